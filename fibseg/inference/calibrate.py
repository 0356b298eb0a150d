"""Ranges over which a network is rounded to 8-bit integers, and what that loses, on windows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fibseg.inference.backends import Backend, Compiled
from fibseg.inference.int8 import Int8, Range, release, rounded_tensors
from fibseg.inference.run_openvino import converted, request_of

DIGITS = 4
"""Digits of a range: what the order of a sum changes is left out."""


def calibrated(network: nn.Module, windows: Sequence[Tensor], *, leading: int) -> Int8:
    """Ranges that hold all values that the tensors of a network take on windows, (c, y, x) each.

    The windows are of one shape. The least range that holds all was as good as those that cut off
    rare values or have the least squared error (benchmarks/RESULTS.md).

    Raises
    ------
    UsageError
        If the network has too few convolutions for int8.
    """
    graph = converted(network, (1, *windows[0].shape))
    groups = rounded_tensors(graph, leading)
    request = request_of(_extremes(graph, [o for group in groups for o in group]))
    found = np.array([_values(request, window) for window in windows])  # (windows, 2 · tensors)
    low, high = found[:, 0::2].min(0), found[:, 1::2].max(0)
    ranges: list[Range] = []
    at = 0
    for group in groups:
        part = slice(at, at + len(group))
        ranges.append(_wide(float(low[part].min()), float(high[part].max())))
        at += len(group)
    return Int8(leading, tuple(ranges), made_by=release())


def _extremes(graph: Any, outputs: Sequence[Any]) -> Any:
    """The graph that gives the least and the greatest value of each output."""
    from openvino import Model, opset13

    every = np.arange(4)
    results = [
        opset13.result(reduce(output, every, False))
        for output in outputs for reduce in (opset13.reduce_min, opset13.reduce_max)
    ]
    return Model(results, graph.get_parameters(), "extremes")


def _values(request: Any, window: Tensor) -> list[float]:
    result = request.infer({0: window[None].contiguous().numpy()})
    return [float(result[i]) for i in range(len(result))]


def _wide(low: float, high: float) -> Range:
    """A range of few digits with 0 in it, which a rectified tensor begins with."""
    high = float(f"{max(high, 0.0):.{DIGITS - 1}e}")
    low = float(f"{min(low, 0.0):.{DIGITS - 1}e}")
    return (low, high) if high > low else (low, low + 1.0)  # always 0: any range will do


@dataclass
class Agreement:
    """What two networks say of the same windows: voxels of each class that one or both have.

    Parameters
    ----------
    level
        Probability from which on a pixel is of a class.
    """

    level: float
    n_classes: int
    both: NDArray[np.int64] = field(init=False)
    either: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.both = np.zeros(self.n_classes, np.int64)
        self.either = np.zeros(self.n_classes, np.int64)

    def add(self, a: Tensor, b: Tensor) -> None:
        """Add logits of a window, (1, classes + 1, y, x)."""
        p, q = masks(a, self.level), masks(b, self.level)
        self.both += (p & q).sum((1, 2)).numpy()
        self.either += (p | q).sum((1, 2)).numpy()

    @property
    def loss(self) -> tuple[float, ...]:
        """1 - IoU of each class; 0 where neither has any."""
        return tuple(
            1 - int(both) / int(either) if either else 0.0
            for both, either in zip(self.both, self.either, strict=True)
        )


def masks(logits: Tensor, level: float) -> Tensor:
    """Where the classes of one window are, (classes, y, x)."""
    return logits.softmax(1)[0, 1:] >= level


def measured_loss(
    exact: Sequence[Tensor], network: nn.Module, windows: Sequence[Tensor], int8: Int8, *,
    level: float,
) -> Int8:
    """The same ranges, with what they lose against float32.

    Parameters
    ----------
    exact
        Logits of `windows` in float32.
    """
    run = compiled(network, windows[0], int8)
    agreement = Agreement(level, exact[0].shape[1] - 1)
    for window, logits in zip(windows, exact, strict=True):
        agreement.add(logits, run(window[None]))
    return replace(int8, loss=tuple(round(part, 6) for part in agreement.loss))


def compiled(network: nn.Module, window: Tensor, int8: Int8 | None = None) -> Compiled:
    """The network for single windows like this one, in float32, or rounded."""
    backend = Backend("openvino", "int8" if int8 else "float32", int8=int8)
    return backend.compile(network, (1, window.shape[0], window.shape[1], window.shape[2]))


def cut(window: Tensor, *, side: int, multiple: int, number: int) -> Tensor:
    """A part of a window, at most `side` pixels wide, that lies elsewhere for every number.

    >>> cut(torch.zeros(1, 96, 64), side=48, multiple=16, number=3).shape
    torch.Size([1, 48, 48])
    """
    corner = []
    for length, share in zip(window.shape[1:], spread(number), strict=True):
        most = max(side // multiple, 1) * multiple
        corner.append((math.floor(share * (max(length - most, 0) + 1)), min(most, length)))
    (y, height), (x, width) = corner
    return window[:, y : y + height, x : x + width].contiguous()


def spread(number: int) -> tuple[float, float]:
    """Point of an even sequence in the unit square (Roberts 2018, R2).

    >>> [tuple(round(v, 3) for v in spread(i)) for i in range(2)]
    [(0.5, 0.5), (0.255, 0.07)]
    """
    plastic = 1.32471795724474602596
    y, x = ((0.5 + number / plastic**k) % 1 for k in (1, 2))
    return y, x


def telling(windows: Iterable[Tensor]) -> list[Tensor]:
    """Windows with something to see: flat ones, of resin or outside of the image, left out."""
    found = list(windows)
    if not found:
        return []
    contrast = torch.stack([window.std() for window in found])
    return [w for w, c in zip(found, contrast, strict=True) if c >= 0.25 * contrast.max()]
