"""Levels of one image on disk: built and recorded once, checked against the record when opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from fibseg.errors import DataError
from fibseg.volume import layout
from fibseg.volume.intensity import Survey, survey
from fibseg.volume.metadata import State
from fibseg.volume.pyramid import Level, build_levels, plan_levels


def levels_of(state: State) -> list[Level]:
    """Recorded pyramid levels."""
    return [
        Level(tuple(level["shape"]), tuple(level["spacing"])) for level in state["levels"]
    ]


def complete_levels(
    group: Path, state: State, *, histogram: bool = False
) -> tuple[list[dict[str, Any]], Survey]:
    """Build the coarser levels; returns the record of all levels and the survey of level 0."""
    kind, version = state["kind"], state["ome_version"]
    array = layout.open_array(group / "0", mode="r")
    layout.stored_bytes(group / "0", array)
    found = survey(array, histogram=histogram, label=f"digest of {group.name}")
    (z, y, x), (sz, sy, sx) = array.shape, state["spacing"]
    levels = plan_levels((z, y, x), (sz, sy, sx))
    if kind == "scratch":
        levels = levels[:1]
    build_levels(group, array, levels, kind=kind, ome_version=version)
    record = [
        {
            "shape": list(level.shape),
            "spacing": list(level.spacing),
            "bytes": layout.stored_bytes(
                group / str(n), layout.open_array(group / str(n), mode="r")
            ),
        }
        for n, level in enumerate(levels)
    ]
    return record, found


def open_level(group: Path, state: State, level: int) -> zarr.Array[Any]:
    """Array of one pyramid level of a finished image, for reading.

    Raises
    ------
    DataError
        If there is no such level, or files of it are missing or cut off.
    """
    levels = state["levels"]
    if not 0 <= level < len(levels):
        raise DataError(
            f"{group} has no pyramid level {level}. It has the levels 0 to {len(levels) - 1}."
        )
    array = layout.open_array(group / str(level))
    expected, there = levels[level]["bytes"], layout.stored_bytes(group / str(level), array)
    if list(array.shape) != levels[level]["shape"] or there != expected:
        raise DataError(
            f"{group / str(level)} has {there} bytes of data for shape {tuple(array.shape)}, but "
            f"{expected} for {tuple(levels[level]['shape'])} were written. It was cut off or "
            "changed by another program: copy the store again, or make this product again."
        )
    return array
