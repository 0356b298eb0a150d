"""Objects as pieces that fit into memory: a bounding box each, or the tiles of a large one.

The tiles are cubes of a fixed grid that starts at the corner of the volume. They depend on the
largest size allowed and on nothing else, least of all on the blocks of a run.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.geometry import Box

MAX_OBJECT_VOXELS = 2**24
"""Voxels in the bounding box of an object that is looked at as a whole."""


@dataclass(frozen=True)
class Piece:
    """The voxels of `label` in `box`; what lies outside of `room` is left out of account."""

    label: int
    box: Box
    room: Box

    @classmethod
    def of_row(cls, row: NDArray[np.int64]) -> Piece:
        """Piece of one row of `cut_objects`."""
        label, *corners = row.tolist()
        a, b, c, d = (tuple(corners[at : at + 3]) for at in range(0, 12, 3))
        return cls(label, Box(a, b), Box(c, d))

    @property
    def read(self) -> Box:
        """`box` with one voxel around it, of what is around the object as far as `room` goes."""
        return self.box.grow((1, 1, 1)).intersect(self.room)


def cut_objects(
    label: NDArray[np.integer],
    start: NDArray[np.integer],
    stop: NDArray[np.integer],
    *,
    shape: Sequence[int],
    max_object_voxels: int,
) -> tuple[NDArray[np.int64], list[int]]:
    """Pieces of all objects, and the numbers of those that were cut.

    Parameters
    ----------
    label
        Numbers of the objects, shape (n,).
    start, stop
        Their bounding boxes in voxels, half-open, shape (n, 3).
    shape
        Shape of the volume.
    max_object_voxels
        An object whose bounding box holds more is cut along cubes of at most so many voxels.

    Returns
    -------
    tuple
        int64 of shape (m, 13), one row per piece, sorted by label and by tile in C order: label,
        then start and stop of the box, then of the room; and a list of labels.

    Raises
    ------
    UsageError
        If the largest size is below 1.
    """
    side = _side(max_object_voxels)
    large = np.prod(stop - start, axis=1, dtype=np.int64) > max_object_voxels
    whole = np.zeros((len(label), 13), dtype=np.int64)
    whole[:, 0], whole[:, 1:4], whole[:, 4:7], whole[:, 10:] = label, start, stop, shape
    tiles = [_tiles(row, side) for row in whole[large]]
    rows = np.concatenate([whole[~large], *tiles])
    return rows[np.argsort(rows[:, 0], kind="stable")], whole[large, 0].tolist()


def _tiles(row: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """One row per tile that the bounding box of `row` meets, in C order."""
    along = [
        np.arange(a // side * side, b, side) for a, b in zip(row[1:4], row[4:7], strict=True)
    ]
    corners = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)
    rows = np.repeat(row[None], len(corners), axis=0)
    rows[:, 7:10], rows[:, 10:] = corners, np.minimum(corners + side, row[10:])
    rows[:, 1:4] = np.maximum(rows[:, 1:4], corners)
    rows[:, 4:7] = np.minimum(rows[:, 4:7], rows[:, 10:])
    return rows


def _side(max_object_voxels: int) -> int:
    """Side in voxels of the largest cube of at most so many."""
    if max_object_voxels < 1:
        raise UsageError(f"max_object_voxels={max_object_voxels} leaves nothing. Use {2**24}.")
    return next(
        side for side in itertools.count(int(max_object_voxels ** (1 / 3)) + 1, -1)
        if side**3 <= max_object_voxels
    )
