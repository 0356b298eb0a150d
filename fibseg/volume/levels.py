"""Levels of one image on disk: planned, made one after the other, recorded, checked when opened.

Who fills the coarser levels is `fibseg.pipeline.pyramid`, through the engine; here is what it needs
to know of them, and the refusal of an image whose levels are not all there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr

from fibseg.errors import DataError
from fibseg.types import Shape
from fibseg.volume import layout
from fibseg.volume.digests import NotedArray, Records, kept_records, open_noted, total
from fibseg.volume.files import built, remove_tree
from fibseg.volume.metadata import State
from fibseg.volume.pyramid import Level, plan_levels
from fibseg.volume.record import spacing_of


def levels_of(state: State) -> list[Level]:
    """Recorded pyramid levels."""
    found: list[Level] = []
    for level in state["levels"]:
        spacing = spacing_of(level["spacing"])
        finer = found[-1].spacing if found else spacing
        z, y, x = (round(s / f) for s, f in zip(spacing, finer, strict=True))
        found.append(Level(tuple(level["shape"]), spacing, (z, y, x)))
    return found


@dataclass(frozen=True)
class Pyramid:
    """The levels of an image that is being written.

    Attributes
    ----------
    group
        Folder of the image; level 0 is in it.
    kind
        Kind of the image, which decides how voxels are reduced.
    levels
        All levels, finest first.
    ome_version
        Version of OME-Zarr.
    """

    group: Path
    kind: str
    levels: tuple[Level, ...]
    ome_version: str

    @classmethod
    def planned(cls, group: Path, state: State) -> Pyramid:
        """Levels of the image at `group` as they are planned; of a scratch array the finest."""
        z, y, x = state["shape"]
        levels = plan_levels((z, y, x), spacing_of(state["spacing"]))
        if state["kind"] == "scratch":
            levels = levels[:1]
        return cls(group, state["kind"], tuple(levels), state["ome_version"])

    def array(self, number: int) -> NotedArray:
        """Array of one level for reading and writing; an empty one is made if it is not there.

        Raises
        ------
        DataError
            If there is no level 0.
        """
        path = self.group / str(number)
        if number == 0 or self._fits(number):
            return open_noted(path)
        remove_tree(path)
        self.journal_path(number).unlink(missing_ok=True)
        with built(path) as building:
            layout.create_array(
                building, shape=self.levels[number].shape, dtype=self.array(0).dtype,
                ome_version=self.ome_version,
            )
        return open_noted(path)

    def journal_path(self, number: int) -> Path:
        """Where the engine keeps the journal of a coarser level: hidden, in the image."""
        return self.group / f".{number}.journal"

    def block_shape(self, number: int) -> Shape:
        """Voxels of one block of work: the shape of a shard, so that each has one writer."""
        return layout.block_shape(self.levels[number].shape, ome_version=self.ome_version)

    def records(self, number: int) -> Records | None:
        """What is noted of the boxes of one level; None before the first note."""
        shapes = [level.shape for level in self.levels[: number + 1]]
        kept = kept_records(self.group, shapes)
        return kept[number] if len(kept) == len(shapes) else None

    def noted(self, number: int) -> bool:
        """Whether every box of a level is noted: whether all of it was written by the engine."""
        records = self.records(number)
        return records is not None and bool(records["digest"].any(axis=1).all())

    def digest(self, number: int) -> str:
        """Digest of one level, of which every box is noted."""
        records = self.records(number)
        assert records is not None
        return total(self.levels[number].shape, self.array(number).dtype, records["digest"])

    @property
    def maximum(self) -> int:
        """Largest value in level 0, as noted; 0 before."""
        records = self.records(0)
        return 0 if records is None else int(records["maximum"].max(initial=0))

    def recorded(self) -> list[dict[str, Any]]:
        """Record of all levels, to be kept with the finished image.

        Raises
        ------
        DataError
            If a level, a file of one, or the note of a box is missing.
        """
        return [self._record_of(number) for number in range(len(self.levels))]

    def clear(self) -> None:
        """Remove the journals of the coarser levels."""
        for number in range(1, len(self.levels)):
            self.journal_path(number).unlink(missing_ok=True)

    def _record_of(self, number: int) -> dict[str, Any]:
        path, level = self.group / str(number), self.levels[number]
        if number and not path.is_dir():
            raise DataError(
                f"{self.group} cannot be finished: it has {number} of its {len(self.levels)} "
                "pyramid levels. Run the command that makes it again."
            )
        layout.sweep(path)
        n_bytes = layout.stored_bytes(path, layout.open_array(path))
        if not self.noted(number):
            raise DataError(
                f"{self.group} cannot be finished: not every box of its level {number} is noted. "
                "Run the command that makes it again."
            )
        return {
            "shape": list(level.shape),
            "spacing": list(level.spacing),
            "bytes": n_bytes,
            "digest": self.digest(number),
            "metadata": layout.metadata_digest(path),
        }

    def _fits(self, number: int) -> bool:
        """Whether the array of a level is there as it is planned."""
        try:
            array = layout.open_array(self.group / str(number))
        except DataError:
            return False
        same_type: bool = array.dtype == layout.open_array(self.group / "0").dtype
        return array.shape == self.levels[number].shape and same_type


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
