"""Levels of one image on disk: built and recorded once, checked against the record when opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from fibseg.errors import DataError
from fibseg.volume import layout
from fibseg.volume.digests import Records, read_records, total, write_records
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
    layout.sweep(group / "0")
    layout.stored_bytes(group / "0", array)
    found = survey(
        array, known=_noted(group, array), histogram=histogram, label=f"digest of {group.name}"
    )
    (z, y, x), (sz, sy, sx) = array.shape, state["spacing"]
    levels = plan_levels((z, y, x), (sz, sy, sx))
    if kind == "scratch":
        levels = levels[:1]
    coarse = build_levels(group, array, levels, kind=kind, ome_version=version)
    write_records(group, [found.records, *coarse])
    record = [
        _record_of(group / str(n), level, records)
        for n, (level, records) in enumerate(zip(levels, [found.records, *coarse], strict=True))
    ]
    return record, found


def _noted(group: Path, array: zarr.Array[Any]) -> Records | None:
    """What the engine noted of level 0 while it was written."""
    try:
        return read_records(group, [array.shape])[0]
    except DataError:
        return None


def _record_of(path: Path, level: Level, records: Records) -> dict[str, Any]:
    array = layout.open_array(path, mode="r")
    return {
        "shape": list(level.shape),
        "spacing": list(level.spacing),
        "bytes": layout.stored_bytes(path, array),
        "digest": total(level.shape, array.dtype, records["digest"]),
        "metadata": layout.metadata_digest(path),
    }


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
