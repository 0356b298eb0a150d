"""OME-Zarr metadata: groups, multiscales, label colours; version 0.5 (Zarr 3) and 0.4 (Zarr 2).

What fibseg itself must remember of an image or product is the attribute ``fibseg`` beside it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fibseg.errors import DataError
from fibseg.types import Spacing
from fibseg.volume.files import UNSEALED, read_json, write_json
from fibseg.volume.pyramid import Level

METHODS = {
    "image": "mean", "probabilities": "mean", "distances": "mean", "labels": "mode",
    "annotation": "mode of the painted voxels",
}
MOST_COLORS = 1000
BACKGROUND_GREY = (96, 96, 96)
Colors = dict[int, tuple[int, int, int]]
"""Red, green and blue, 0 to 255, of label values."""

State = dict[str, Any]
"""What fibseg remembers of an image or product: plain JSON."""


def write_group(folder: Path, attributes: dict[str, Any], *, ome_version: str) -> None:
    """Make `folder` a Zarr group with `attributes`, crash-safe; older attributes are replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in group_documents(attributes, ome_version=ome_version).items():
        write_json(folder / name, document)


def group_documents(
    attributes: dict[str, Any], *, ome_version: str
) -> dict[str, dict[str, Any]]:
    """The files that make a Zarr group with `attributes`, by name."""
    if ome_version == "0.4":
        return {".zgroup": {"zarr_format": 2}, ".zattrs": attributes}
    return {"zarr.json": {"attributes": attributes, "zarr_format": 3, "node_type": "group"}}


def read_group(folder: Path) -> dict[str, Any] | None:
    """Attributes of the Zarr group at `folder`, or None where there is no group.

    Raises
    ------
    DataError
        If the metadata is damaged.
    """
    if (folder / "zarr.json").is_file():
        document = read_json(folder / "zarr.json")
        if document.get("node_type") != "group":
            return None
        return dict(document.get("attributes", {}))
    if (folder / ".zgroup").is_file():
        return read_json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    return None


def read_state(folder: Path) -> dict[str, Any] | None:
    """What fibseg remembers of the image or product at `folder`, or None if it made none there."""
    state = (read_group(folder) or {}).get("fibseg")
    if state is not None and (not isinstance(state, dict) or "complete" not in state):
        raise DataError(f"The attribute 'fibseg' of {folder} is damaged: {str(state)[:80]}.")
    return state


def write_state(folder: Path, state: dict[str, Any], *, ome: dict[str, Any] | None = None) -> None:
    """Write what fibseg remembers, together with the OME metadata once the product is complete."""
    version = state["ome_version"]
    if ome is None:
        attributes: dict[str, Any] = {}
    elif version == "0.4":
        attributes = dict(ome)
    else:
        attributes = {"ome": {"version": version, **ome}}
    write_group(
        folder, {**attributes, "fibseg": {**state, "seal": UNSEALED}}, ome_version=version
    )


def multiscales(
    name: str, levels: list[Level], *, kind: str, ome_version: str
) -> list[dict[str, Any]]:
    """The ``multiscales`` entry: axes in nanometer, scale and half-voxel shift of every level."""
    finest = levels[0].spacing
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {"type": "scale", "scale": list(level.spacing)},
                {"type": "translation", "translation": _shift(level.spacing, finest)},
            ],
        }
        for number, level in enumerate(levels)
    ]
    entry = {
        "name": name,
        "axes": [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"],
        "datasets": datasets,
        "type": METHODS[kind],
    }
    return [{"version": ome_version, **entry} if ome_version == "0.4" else entry]


def _shift(spacing: Spacing, finest: Spacing) -> list[float]:
    """Centre of the first voxel of a level, in nm, when that of level 0 lies at 0."""
    return [(s - f) / 2 for s, f in zip(spacing, finest, strict=True)]


def omero(
    name: str, *, low: float, high: float, largest: float, smallest: float = 0
) -> dict[str, Any]:
    """One grey channel that viewers open with the window `low` to `high`."""
    window = {
        "min": float(smallest), "max": float(largest), "start": float(low), "end": float(high)
    }
    channel = {"label": name, "color": "FFFFFF", "active": True, "window": window}
    return {"channels": [channel], "rdefs": {"model": "greyscale"}}


def image_label(
    *, kind: str, classes: dict[str, int], colors: Colors | None, maximum: int, ome_version: str,
    properties: Mapping[int, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The ``image-label`` entry: where the image is, colours, class names, other properties.

    Without `colors` every label has one of its own. Beyond 1000 labels there is no list: viewers
    leave labels out that a list does not name, and bring their own colours where there is none.
    """
    entry: dict[str, Any] = {"source": {"image": "../../"}}
    if ome_version == "0.4":
        entry["version"] = "0.4"
    if colors is None and maximum <= MOST_COLORS:
        colors = {label: distinct_color(label) for label in range(1, maximum + 1)}
        if kind == "annotation" and maximum:
            colors[1] = BACKGROUND_GREY
    known = {int(value): name for name, value in classes.items()}
    if known and kind == "annotation":
        known = {1: "background", **known}
    if colors:
        # Validators want colours and properties to name the same labels.
        named = {*known, *(properties or {})}
        colors = {**{label: distinct_color(label) for label in named}, **colors}
        entry["colors"] = [
            {"label-value": int(label), "rgba": [*map(int, rgb), 255]}
            for label, rgb in sorted(colors.items())
        ]
    told = {label: {"class": name} for label, name in known.items()}
    for label, more in (properties or {}).items():
        told[label] = {**told.get(label, {}), **more}
    if any(told.values()):
        entry["properties"] = [
            {"label-value": label, **told.get(label, {})} for label in sorted(colors or told)
        ]
    return entry


def distinct_color(label: int) -> tuple[int, int, int]:
    """Colour of one label, red, green, blue 0 to 255: neighbours in number differ most in hue.

    >>> distinct_color(1) != distinct_color(2)
    True
    """
    hue = label * 0.618033988749895 % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75 - 0.25 * (label % 2), 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def index_labels(folder: Path, names: list[str], *, ome_version: str) -> None:
    """Tell other programs which label images `folder` (``labels/``) holds."""
    write_group(folder, labels_index(sorted(names), ome_version), ome_version=ome_version)


def labels_index(names: list[str], ome_version: str) -> dict[str, Any]:
    """Attributes of the group that holds the label images `names`."""
    listing = {"labels": names}
    return listing if ome_version == "0.4" else {"ome": {"version": ome_version, **listing}}
