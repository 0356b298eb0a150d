"""Closed surfaces of all objects of a label image that no memory holds, found block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, appended, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import object_faces
from fibseg.pipeline.bench import Array
from fibseg.pipeline.row_files import rows_of_objects, write_rows
from fibseg.types import Spacing, Table

TRIANGLE = np.dtype([("corner", "<i8", 3), ("part", "<f4", 3)])
"""A triangle in the file of all of them: see `fibseg.measure.object_faces.surface`."""


@dataclass(frozen=True)
class Surfaces:
    """Surfaces of all objects, those that have one.

    Attributes
    ----------
    label
        Numbers of the objects, ascending.
    n_voxels
        Of each.
    first
        Where the triangles of each begin, and where the last ones end.
    triangles
        Of all objects, in a file.
    spacing
        Size of a voxel in nm, (z, y, x).
    """

    label: NDArray[Any]
    n_voxels: NDArray[np.int64]
    first: NDArray[np.intp]
    triangles: NDArray[Any]
    spacing: Spacing

    def __len__(self) -> int:
        return len(self.label)

    @property
    def largest(self) -> int:
        """Triangles of the object that has most."""
        return int(np.diff(self.first).max(initial=0))

    def __iter__(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Yield vertices, nm from the centre of the first voxel, and triangles of each object."""
        for begin, end in zip(self.first[:-1], self.first[1:], strict=True):
            own = self.triangles[begin:end]
            yield object_faces.surface(own["corner"], own["part"], spacing=self.spacing)


class _Grown:
    """What a block function of surfaces reads."""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the voxels around it that its triangles depend on."""
        return write.grow((object_faces.REACH,) * 3).clip(shape)


@dataclass(frozen=True)
class FindLevels(_Grown):
    """Block function: `fibseg.measure.object_faces.levels_partial` of the block."""

    shape: tuple[int, ...]

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Table:
        """Counts of every object."""
        return object_faces.levels_partial(
            labels, inside=block.write.relative_to(block.read), start=block.write.start,
            shape=self.shape,
        )


@dataclass(frozen=True)
class CutSurfaces(_Grown):
    """Block function: writes the triangles of all objects in a block, tells how many there are."""

    folder: Path
    levels: Table
    shape: tuple[int, ...]

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Table:
        """``block``, ``label`` and ``n`` of every object in the block."""
        table = object_faces.triangles_partial(
            labels, self.levels, inside=block.write.relative_to(block.read),
            start=block.write.start, shape=self.shape,
        )
        rows = np.empty(len(table["label"]), TRIANGLE)
        for name in ("corner", "part"):
            rows[name] = table[name]
        return write_rows(self.folder, block.index, table["label"], rows)


def object_surfaces(
    labels: Array, *, folder: Path, block_shape: Sequence[int], runner: Runner | None = None,
    inputs: str = "", spacing: Spacing,
) -> Surfaces:
    """Surfaces of all objects; an interrupted run goes on.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    folder
        Where triangles are kept, 36 bytes each and twice; the caller removes it.
    block_shape, runner
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what `labels` are.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    key = layout_key(inputs=inputs, step="surfaces", block_shape=list(block_shape))
    place = folder / f"surfaces-{key[:16]}"
    shape = tuple(labels.shape)
    over: dict[str, Any] = {"block_shape": block_shape, "runner": runner, "fingerprint": key}
    counts: Table | None = reduce_blocks(
        FindLevels(shape), labels, object_faces.levels_merge, scratch=place / "counts",
        label="smooth", **over,
    )
    nothing = np.zeros(0, np.int64)
    if counts is None or not len(counts["label"]):
        none = np.zeros(0, TRIANGLE)
        return Surfaces(np.zeros(0, labels.dtype), nothing, np.zeros(1, np.intp), none, spacing)
    levels = object_faces.levels_finish(counts)
    found: Table = reduce_blocks(
        CutSurfaces(place, levels, shape), labels, appended, scratch=place / "found",
        label="surfaces", **over,
    )
    names, first, triangles = rows_of_objects(place, found)
    own = np.searchsorted(levels["label"], names)
    return Surfaces(names, levels["n_voxels"][own], first, triangles, spacing)
