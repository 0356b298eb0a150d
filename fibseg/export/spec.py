"""All that is needed to use a trained network on a new volume, except its weights."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fibseg.errors import DataError
from fibseg.export.schema import (
    exact_keys,
    is_number,
    names,
    plain,
    positive_numbers,
    read_json_text,
    refuse_newer,
    whole_number,
)
from fibseg.types import Spacing

FORMAT_VERSION = 1
"""Raised whenever an older fibseg could misread a newer `model.json`."""

PACKAGES = ("fibseg", "torch", "monai", "pytorch-lightning", "numpy")
"""What decides about the numbers of a network."""

CORE = 1024
"""Side in pixels of the part of a window that counts, before a volume's size trims it."""


@dataclass(frozen=True)
class WindowSpec:
    """What the network sees in inference: a core that counts and a margin that does not.

    Parameters
    ----------
    core
        Largest side (y, x) of the core, px of the working grid, multiples of the stride multiple.
    margin
        Pixels on each side of the core, at least the receptive radius.
    """

    core: tuple[int, int]
    margin: int


@dataclass(frozen=True)
class ModelSpec:
    """The description of a model, one to one with `model.json`.

    Parameters
    ----------
    network
        Registry name and parameters of the architecture, ``{"name": "unet", "features": […]}``.
    classes
        Names of the classes; background is not among them.
    spacing
        Working spacing that the network was trained at, nm, (z, y, x).
    normalisation
        The rule, not the values: ``{"low_percentile": 0.5, "high_percentile": 99.5,
        "stain": "bright"}``; percentiles are those of each volume that the model is used on.
    context
        Neighbouring planes on each side that are given as channels.
    window
        Window of inference.
    receptive_field
        Radius in px: how far beside a pixel the network looks.
    stride_multiple
        Window corners and sides are multiples of this many px.
    training
        Volumes, split and overrides that the model comes from.
    metrics
        Scores on the held-out data; a score that is not defined is None, never NaN.
    versions
        Releases of the packages that made it.
    """

    network: dict[str, Any]
    classes: tuple[str, ...]
    spacing: Spacing
    normalisation: dict[str, Any]
    context: int
    window: WindowSpec
    receptive_field: int
    stride_multiple: int
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @property
    def in_channels(self) -> int:
        """Number of input planes of the network."""
        return 2 * self.context + 1

    @property
    def n_outputs(self) -> int:
        """Number of output channels of the network: background, then the classes."""
        return len(self.classes) + 1

    def to_json(self) -> str:
        """Text of `model.json`, keys sorted, so that equal specs are byte-equal.

        Raises
        ------
        DataError
            If a value is not plain data, or breaks a rule of the format.
        """
        checked = asdict(parse_spec(asdict(self)))
        return json.dumps(plain(checked, "model.json"), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Spec from the text of a `model.json`.

        Raises
        ------
        DataError
            If the text is not JSON, or the description breaks a rule of the format.
        """
        return parse_spec(read_json_text(text))


def parse_spec(data: Any) -> ModelSpec:
    """Spec from the data of a `model.json`, every rule of the format checked.

    Raises
    ------
    DataError
        If a key is missing, unknown or has a value that cannot be meant.
    """
    refuse_newer(data, FORMAT_VERSION)
    d = plain(exact_keys(data, (f.name for f in fields(ModelSpec)), "model.json"), "model.json")
    window = exact_keys(d["window"], ("core", "margin"), "window")
    core = window["core"] if isinstance(window["core"], list) else [window["core"]]
    spec = ModelSpec(
        network=_network(d["network"]),
        classes=names(d["classes"], "classes"),
        spacing=_spacing(d["spacing"]),
        normalisation=checked_normalisation(d["normalisation"]),
        context=whole_number(d["context"], "context"),
        window=WindowSpec(
            _pair([whole_number(c, "window.core", least=1) for c in core]),
            whole_number(window["margin"], "window.margin"),
        ),
        receptive_field=whole_number(d["receptive_field"], "receptive_field"),
        stride_multiple=whole_number(d["stride_multiple"], "stride_multiple", least=1),
        training=exact_keys(d["training"], d["training"], "training"),
        metrics=exact_keys(d["metrics"], d["metrics"], "metrics"),
        versions=exact_keys(d["versions"], d["versions"], "versions"),
        format_version=whole_number(d["format_version"], "format_version", least=1),
    )
    _check_window(spec)
    return spec


def describe_model(
    *,
    network: Mapping[str, Any],
    classes: Sequence[str],
    normalisation: Mapping[str, Any],
    context: int,
    receptive_field: int,
    stride_multiple: int,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    core: int = CORE,
    spacing: Spacing,
) -> ModelSpec:
    """Spec of a freshly trained network, with its window worked out and versions filled in.

    Parameters
    ----------
    receptive_field
        Exact receptive radius, px (`fibseg.models.receptive_margin`).
    stride_multiple
        `fibseg.models.stride_multiple`.
    core
        Largest side of a window's core, px; rounded down to the stride multiple.

    Raises
    ------
    DataError
        If something is not plain data, or breaks a rule of the format.
    """
    multiple = stride_multiple
    side = max(core // multiple, 1) * multiple
    # One pixel beyond the receptive field, so that the values just outside a core are exact as
    # well: upsampling to a finer grid interpolates with them.
    margin = -(-(receptive_field + 1) // multiple) * multiple
    data = {
        "format_version": FORMAT_VERSION,
        "network": dict(network),
        "classes": list(classes),
        "spacing": [float(s) for s in spacing],
        "normalisation": dict(normalisation),
        "context": context,
        "window": {"core": [side, side], "margin": margin},
        "receptive_field": receptive_field,
        "stride_multiple": multiple,
        "training": dict(training),
        "metrics": dict(metrics),
        "versions": installed_versions(),
    }
    return parse_spec(data)


def installed_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Releases of Python and of the packages that decide about a model's numbers."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _network(data: Any) -> dict[str, Any]:
    """Architecture as plain data with a registry name."""
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise DataError(
            f"network is {data!r}, which has no registry name. Export the model again with "
            "fibseg train."
        )
    return data


def checked_normalisation(data: Any) -> dict[str, Any]:
    """Rule of normalisation: two percentiles in order and the side that stain ends on.

    Raises
    ------
    DataError
        If it is something else.
    """
    rule = exact_keys(data, ("low_percentile", "high_percentile", "stain"), "normalisation")
    low, high = rule["low_percentile"], rule["high_percentile"]
    ordered = is_number(low) and is_number(high) and 0 <= low < high <= 100
    if not ordered or rule["stain"] not in ("bright", "dark"):
        raise DataError(
            f"normalisation is {data!r}: it takes 0 <= low_percentile < high_percentile <= 100 "
            "and stain bright or dark. Export the model again with fibseg train."
        )
    return rule


def _spacing(value: Any) -> Spacing:
    z, y, x = positive_numbers(value, "spacing", n=3)
    return z, y, x


def _pair(value: list[int]) -> tuple[int, int]:
    if len(value) != 2:
        raise DataError(f"window.core is {value}, not two numbers. Export the model again.")
    return value[0], value[1]


def _check_window(spec: ModelSpec) -> None:
    """Refuse a window off the pooling grid, or with a margin inside the receptive field."""
    sides = (*spec.window.core, spec.window.margin)
    if any(s % spec.stride_multiple for s in sides):
        raise DataError(
            f"window core {spec.window.core} and margin {spec.window.margin} are not multiples "
            f"of stride_multiple {spec.stride_multiple}. Export the model again."
        )
    if spec.window.margin < spec.receptive_field:
        raise DataError(
            f"window margin {spec.window.margin} is smaller than the receptive radius "
            f"{spec.receptive_field}: seams would show. Export the model again."
        )
