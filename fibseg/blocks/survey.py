"""The first two steps of `label_blocks` on one block: its components, and which of them touch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.functions import Array
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.seams import Faces, cut_faces, directions, touching
from fibseg.blocks.survey_files import Known, load, store
from fibseg.blocks.task import Task
from fibseg.errors import DataError
from fibseg.geometry import connected


@dataclass(frozen=True)
class Survey(Task):
    """What has to be known of the components of every block goes into a file; how many there are.

    That number, as text, is the value of the outcome.
    """

    mask: Array
    shape: tuple[int, ...]
    connectivity: int
    folder: Path

    def read(self, block: Block) -> NDArray[Any]:
        """The mask of the block."""
        return np.asarray(self.mask[block.write.slices])

    def compute(self, block: Block, parts: NDArray[Any]) -> Known:
        """First voxels, voxel counts and outermost planes."""
        labels, n = connected(parts != 0, connectivity=self.connectivity)
        values, first, counts = fastremap.unique(labels, return_index=True, return_counts=True)
        found = values > 0
        place = np.unravel_index(first[found].astype(np.int64), labels.shape)
        inside = tuple(p + a for p, a in zip(place, block.write.start, strict=True))
        first = np.ravel_multi_index(inside, self.shape).astype(np.int64)
        if len(first) != n:
            raise DataError(f"cc3d found {n} components, but {len(first)} have voxels.")
        return Known(np.stack([first, counts[found].astype(np.int64)]), cut_faces(labels))

    def write(self, block: Block, result: Known) -> str:
        """Number of components, once the file is there."""
        store(self.folder, block.index, result)
        return str(result.table.shape[1])


@dataclass(frozen=True)
class Seams(Task):
    """The components of every block, and those that touch in it and its later neighbours.

    The value of the outcome is the table of first voxels and voxel counts, int64 of shape (2, n),
    and pairs of numbers in the whole volume, int64 of shape (m, 2).
    """

    grid: Grid
    folder: Path
    connectivity: int
    key: str

    def read(self, block: Block) -> tuple[Known, list[tuple[tuple[int, int, int], int, Faces]]]:
        """What is known of the block, and of its later neighbours: direction, index, faces."""
        place = self.grid.position(block.index)
        neighbours = []
        for direction in directions(self.connectivity):
            other = tuple(p + d for p, d in zip(place, direction, strict=True))
            if all(0 <= p < n for p, n in zip(other, self.grid.counts, strict=True)):
                index = self.grid.index(other)
                neighbours.append((direction, index, self._known(index).faces))
        return self._known(block.index), neighbours

    def compute(
        self, block: Block, parts: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Table and pairs."""
        here, neighbours = parts
        offsets = np.load(self.folder / "offsets.npy", mmap_mode="r")
        pairs = [np.zeros((0, 2), dtype=np.int64)]
        for direction, index, there in neighbours:
            touch = touching(here.faces, there, direction, connectivity=self.connectivity)
            pairs.append(touch + (offsets[[block.index, index]] - 1))
        return here.table, np.concatenate(pairs)

    def _known(self, index: int) -> Known:
        return load(self.folder, self.grid, index, self.key)
