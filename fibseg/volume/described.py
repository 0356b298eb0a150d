"""What a label image tells viewers of its objects: colours and measurements of each.

OME-Zarr has room for both beside a label image (``image-label``: ``colors``, ``properties``), so
that napari shows an object in the colour it has in the report, and its numbers under the mouse.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError, UsageError
from fibseg.types import Table
from fibseg.volume import metadata
from fibseg.volume.index import LISTED
from fibseg.volume.lock import locked

MOST_DESCRIBED = 5000
"""Of more labels nothing is told: every program that opens the image reads the whole list."""
_DIGITS = 6
_TAKEN = ("label-value", "seal")
_log = logging.getLogger("fibseg.volume")


def describe(
    path: Path, numbers: NDArray[np.integer], *, colors: NDArray[np.uint8] | None = None,
    properties: Table | None = None,
) -> int:
    """How many labels of the label image at `path` now have a colour and properties.

    Parameters
    ----------
    path
        Folder of a finished label image.
    numbers
        Labels, (n,): all that the image has, as viewers may leave out what a list does not name.
    colors
        Red, green and blue, 0 to 255, (n, 3); by default each label gets its own.
    properties
        Columns of n values: numbers, strings or truth values. Numbers are rounded to six digits;
        what is missing (NaN, infinite, the empty string) is left out.

    Raises
    ------
    DataError
        If there is no finished label image with numbered objects.
    UsageError
        If the lengths differ, a label occurs twice or is none, or a column has a name that cannot
        be.
    BusyError
        If another run writes to the label image.
    """
    _check(numbers, colors, properties or {})
    few = len(numbers) <= MOST_DESCRIBED
    if not few:
        _log.warning(
            "%s has %d objects: colours and properties of more than %d are not written into "
            "its metadata; the table has them", path, len(numbers), MOST_DESCRIBED,
        )
    told = _entries(numbers, colors, properties or {}) if few else ({}, {})
    state, before, after = _changed(path, told)
    # Said before: nothing is touched. Else looked at again, now that nobody else can write.
    if after != before:
        with locked(path):
            state, _, after = _changed(path, told)
            metadata.write_state(path, state, ome=after)
    return len(told[0])


def _changed(
    path: Path, told: tuple[metadata.Colors, dict[int, dict[str, Any]]]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """State of a label image, and its OME metadata before and after this is told."""
    state = metadata.read_state(path) if path.parent.name == LISTED else None
    if state is None or not state["complete"] or state["kind"] != "labels":
        raise DataError(
            f"{path} is no finished label image with numbered objects. Only such can be described."
        )
    version = state["ome_version"]
    before = _ome(path, version)
    known = {e["label-value"] for e in before["image-label"].get("colors", [])} if told[0] else {}
    label = metadata.image_label(
        kind="labels", classes=state["classes"], maximum=0, ome_version=version,
        colors={**{n: metadata.distinct_color(n) for n in known}, **told[0]}, properties=told[1],
    )
    return state, before, before | {"image-label": label}


def _ome(path: Path, version: str) -> dict[str, Any]:
    """The OME metadata of an image, as `fibseg.volume.metadata.write_state` takes it."""
    attributes = metadata.read_group(path) or {}
    if version == "0.4":
        return {key: value for key, value in attributes.items() if key != "fibseg"}
    return {key: value for key, value in attributes["ome"].items() if key != "version"}


def _entries(
    numbers: NDArray[np.integer], colors: NDArray[np.uint8] | None, properties: Table
) -> tuple[metadata.Colors, dict[int, dict[str, Any]]]:
    """Colours and properties by label."""
    labels = [int(n) for n in numbers]
    if colors is None:
        chosen = {n: metadata.distinct_color(n) for n in labels}
    else:
        rows = np.asarray(colors).tolist()
        chosen = {n: (int(r), int(g), int(b)) for n, (r, g, b) in zip(labels, rows, strict=True)}
    columns = {name: _plain(values) for name, values in properties.items()}
    told = {
        n: {name: column[i] for name, column in columns.items() if column[i] is not None}
        for i, n in enumerate(labels)
    }
    return chosen, told


def _plain(values: NDArray[Any]) -> list[Any]:
    """Values as JSON holds them, None where one is missing."""
    return [_plain_value(value) for value in np.asarray(values).tolist()]


def _plain_value(value: Any) -> str | bool | int | float | None:
    """One value as JSON holds it.

    >>> [_plain_value(v) for v in (0.123456789, True, 7, "", float("nan"))]
    [0.123457, True, 7, None, None]
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return str(value) or None


def _check(
    numbers: NDArray[np.integer], colors: NDArray[np.uint8] | None, properties: Table
) -> None:
    n = len(numbers)
    lengths = {name: len(values) for name, values in properties.items()}
    if colors is not None:
        lengths["colors"] = len(colors)
    wrong = {name: length for name, length in lengths.items() if length != n}
    if wrong:
        raise UsageError(f"there are {n} labels, and of {wrong} as many values. Give one for each.")
    if colors is not None and np.shape(colors) != (n, 3):
        raise UsageError(f"colors have shape {np.shape(colors)}. Give red, green and blue: (n, 3).")
    if n and (int(np.min(numbers)) < 1 or len(np.unique(numbers)) != n):
        raise UsageError(
            f"labels go from {np.min(numbers)} and {n - len(np.unique(numbers))} occur again. Give "
            "each label, from 1 on, once."
        )
    taken = sorted(set(_TAKEN) & set(properties))
    if taken:
        raise UsageError(f"a property cannot be called {taken[0]!r}. Give the column another name.")
