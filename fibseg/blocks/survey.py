"""The first two steps of `label_blocks` on one block: its components, and which of them touch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.functions import Array
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.seams import Faces, cut_faces, directions, touching
from fibseg.blocks.survey_files import Known, load, store
from fibseg.blocks.task import Task
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
        first, counts = firsts_and_counts(labels, n)
        place = np.unravel_index(first, labels.shape)
        inside = tuple(p + a for p, a in zip(place, block.write.start, strict=True))
        table = np.stack([np.ravel_multi_index(inside, self.shape), counts])
        return Known(table.astype(np.int64), cut_faces(labels))

    def write(self, block: Block, result: Known) -> str:
        """Number of components, once the file is there."""
        store(self.folder, block.index, result)
        return str(result.table.shape[1])


def firsts_and_counts(
    labels: NDArray[Any], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First voxel in C order, and voxel count, of each of the components 1 … n.

    By runs of equal voxels, of which there are many times fewer than voxels.

    >>> firsts_and_counts(np.array([[0, 2, 2], [2, 1, 0]]), 2)
    (array([4, 1]), array([1, 3]))
    """
    flat = labels.ravel()
    begins = np.ones(flat.size, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    starts = np.flatnonzero(begins)
    owner = flat[starts]
    first = np.full(n + 1, flat.size)
    np.minimum.at(first, owner, starts)
    counts = np.zeros(n + 1, dtype=np.int64)
    np.add.at(counts, owner, np.diff(starts, append=flat.size))
    return first[1:], counts[1:]


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
