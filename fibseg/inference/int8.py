"""A network of 8-bit integers: where a graph of OpenVINO is rounded, and over which ranges.

Post-training quantisation: what goes into a convolution is rounded to 256 steps of one range for
the tensor, weights to 129 steps around 0 of one range for each output channel (Jacob 2018,
arXiv:1712.05877). The first convolutions, which see the image, and the last, which gives logits,
stay as they are. OpenVINO computes what lies between two roundings in integers.

A processor without VNNI adds pairs of products in 16 bits, where 2 · 255 · 127 does not fit, and
cuts off the sum. With weights of -64 to 64 it fits, so sums are exact on any, whatever the order
(half the range is what OpenVINO advises, docs.openvino.ai, "Saturation (overflow) Issue
Workaround").

The ranges are a few dozen numbers, and with the weights they make the graph, the same everywhere:
they go with the product instead of a file of the graph.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError

Range = tuple[float, float]
"""Least and greatest value of a tensor that 256 steps are laid over."""

MOST_WEIGHT = 64
"""Greatest integer of a weight: two products with 255 fit into 16 bits."""

_PASSING = ("MaxPool", "Interpolate", "Concat")
"""Give on values as they are: rounded before, they need no rounding after."""


@dataclass(frozen=True)
class Int8:
    """What makes a graph of 8-bit integers of a network, and what that loses.

    Parameters
    ----------
    leading
        Convolutions at the beginning that stay as they are.
    ranges
        One for each list of `rounded_tensors`.
    loss
        1 - IoU with float32, of each class.
    made_by
        Release of OpenVINO: another one may lay out the graph in another way.
    """

    leading: int
    ranges: tuple[Range, ...]
    loss: tuple[float, ...] = ()
    made_by: str = ""

    @classmethod
    def read(cls, record: Any) -> Int8 | None:
        """From the record of a product; None if it cannot be meant, or is of another OpenVINO."""
        try:
            made = cls(
                int(record["leading"]), tuple((float(a), float(b)) for a, b in record["ranges"]),
                tuple(map(float, record["loss"])), str(record["made_by"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
        sound = all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in made.ranges)
        return made if sound and made.made_by == release() else None

    def apply(self, graph: Any) -> Any:
        """The graph with roundings put in, changed in place.

        Raises
        ------
        UsageError
            If the ranges are not as many as this network rounds, so of another one.
        """
        groups = rounded_tensors(graph, self.leading)
        if len(groups) != len(self.ranges):
            raise UsageError(
                f"{len(self.ranges)} ranges are given, and the network rounds {len(groups)} "
                "tensors: they are of another network. Set overwrite=true to begin anew."
            )
        for convolution in _inner(graph, self.leading):
            _round(convolution.input_value(1), *_weight_ranges(convolution), levels=255)
        for outputs, (low, high) in zip(groups, self.ranges, strict=True):
            for output in outputs:
                _round(output, np.float32(low), np.float32(high), levels=256)
        return graph


def release() -> str:
    """Release of OpenVINO; empty where it is not installed."""
    with contextlib.suppress(PackageNotFoundError):
        return version("openvino")
    return ""


def rounded_tensors(graph: Any, leading: int) -> list[list[Any]]:
    """Outputs of nodes that are rounded, in order of the graph; those of one list share a range.

    What is concatenated shares one, since a convolution takes one.

    Parameters
    ----------
    graph
        Of OpenVINO, in float32.
    leading
        Convolutions at the beginning that stay as they are.

    Raises
    ------
    UsageError
        If there is no convolution between the first ones and the last.
    """
    groups: list[dict[tuple[str, int], Any]] = []
    for convolution in _inner(graph, leading):
        origins = {_key(o): o for o in _origins(convolution.input_value(0))}
        met = [g for g in groups if g.keys() & origins.keys()]
        groups = [g for g in groups if g not in met]
        groups.append({k: v for g in [*met, origins] for k, v in g.items()})
    order = {node.get_name(): i for i, node in enumerate(graph.get_ordered_ops())}
    lists = [sorted(g.values(), key=lambda o: order[o.get_node().get_name()]) for g in groups]
    return sorted(lists, key=lambda found: order[found[0].get_node().get_name()])


def _inner(graph: Any, leading: int) -> list[Any]:
    """Convolutions between the first ones and the last."""
    found = [n for n in graph.get_ordered_ops() if n.get_type_name() == "Convolution"]
    if len(found) < leading + 2:
        raise UsageError(
            f"precision=int8 leaves {leading + 1} convolutions as they are, and this network has "
            f"{len(found)}: nothing is left. Use precision=auto."
        )
    return found[leading:-1]


def _origins(output: Any) -> list[Any]:
    """Where the values of a tensor come from, ways that give them on left out."""
    node = output.get_node()
    if node.get_type_name() not in _PASSING:
        return [output]
    ways = range(node.get_input_size()) if node.get_type_name() == "Concat" else (0,)
    return [origin for i in ways for origin in _origins(node.input_value(i))]


def _key(output: Any) -> tuple[str, int]:
    return output.get_node().get_name(), output.get_index()


def _weight_ranges(convolution: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ranges around 0 of 255 steps for the weights of each output channel, (o, 1, 1, 1).

    They are about twice as wide as the weights, of which the greatest becomes `MOST_WEIGHT`.
    """
    constant = convolution.input_value(1).get_node()
    weights = np.asarray(constant.get_data(), np.float32)
    most = np.abs(weights).max((1, 2, 3), keepdims=True)
    most[most == 0] = 1  # a channel of zeros is 0 with any range
    most *= np.float32(127 / MOST_WEIGHT)
    return -most, most


def _round(output: Any, low: Any, high: Any, *, levels: int) -> None:
    """Put a rounding behind an output, before all that read it."""
    from openvino import opset13

    readers = list(output.get_target_inputs())
    rounding = opset13.fake_quantize(output, low, high, low, high, levels)
    for reader in readers:
        reader.replace_source_output(rounding.output(0))
