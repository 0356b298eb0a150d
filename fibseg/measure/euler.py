"""Euler number (pieces less tunnels plus cavities) of every object, from sums that add over blocks.

An object is the union of its voxels as closed cubes, so that voxels which share a face, an edge or
a corner are connected (26), and what is around them is where it shares a face (6). Laid one by one
in C order, each cube changes the Euler number by 1 - χ(what it shares with those already laid),
which the 13 of its neighbours that come before it tell: a table of 2¹³ entries.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure.neighbours import Rule, Tile, added, neighbour_sums, of_labels
from fibseg.types import Labels, Table

_COLUMN = "euler_number"
BEFORE = tuple(
    step for step in itertools.product((-1, 0, 1), repeat=3) if step < (0, 0, 0)
)
"""Steps to the 13 neighbours of a voxel that come before it in C order."""


def partial(labels: Labels, *, inside: Box) -> Table:
    """What the voxels of one block add to the Euler number of every object.

    Parameters
    ----------
    labels
        Numbered objects of the block and one voxel around it, less where the volume ends; shape
        (z, y, x), 0 = none.
    inside
        The block itself, in voxels of `labels`.

    Returns
    -------
    Table
        ``label`` and ``euler_number`` (int64) where it is not 0, sorted.
    """
    return neighbour_sums(labels, [RULE], inside=inside)


def merge(first: Table, second: Table) -> Table:
    """Sums of both blocks together."""
    return added([first, second])


def finish(sums: Table | None, *, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Euler number of each of `labels`: 1 for a solid piece, 0 for a ring, 2 for a hollow ball."""
    if sums is None:
        return np.zeros(len(labels), dtype=np.int64)
    return of_labels(sums, _COLUMN, labels)


def measure(labels: Labels) -> Table:
    """``label`` and ``euler_number`` of all objects of a whole volume in memory.

    >>> ring = np.zeros((3, 5, 5), dtype=np.uint8)
    >>> ring[1, 1:4, 1:4] = 7
    >>> ring[1, 2, 2] = 0
    >>> measure(ring)["euler_number"].tolist()
    [0]
    """
    names = np.unique(labels[labels != 0])
    sums = partial(labels, inside=Box.whole(labels.shape))
    return {"label": names, _COLUMN: finish(sums, labels=names)}


def _counted(tile: Tile) -> tuple[NDArray[np.intp], NDArray[np.int8]]:
    """Voxels with another neighbour before them, and their change of the Euler number."""
    own = tile.own
    missing, bit = np.zeros((2, own.size), np.uint8), np.empty(own.size, np.uint8)
    different = np.empty(own.size, bool)
    for i, step in enumerate(BEFORE):
        tile.differs(step, different)
        missing[i // 8] |= np.multiply(different.view(np.uint8), np.uint8(1 << i % 8), out=bit)
    where = np.flatnonzero(np.logical_and(missing[0] | missing[1], own))
    return where, _changes()[missing[0, where] + 256 * missing[1, where].astype(np.uint16)]


RULE = Rule(_COLUMN, _counted, (1, 1, 1), "constant")
"""What every voxel adds to the Euler number of its object."""


@functools.cache
def _changes() -> NDArray[np.int8]:
    """Change by a voxel, for every set of `BEFORE` that is *not* of its object (bit i: step i).

    A cell of the cube's surface (corner, edge or face) is named by its place -1, 0 or 1 along
    each axis, 0 where it spans the cube. A neighbour at `step` shares the cells whose place is
    that of the step wherever the step moves.
    """
    sets = np.arange(1 << len(BEFORE))
    shared = np.zeros(len(sets), dtype=np.int64)
    for cell in itertools.product((-1, 0, 1), repeat=3):
        if cell == (0, 0, 0):
            continue
        owners = [
            i for i, step in enumerate(BEFORE)
            if all(s in (0, c) for s, c in zip(step, cell, strict=True))
        ]
        everyone = sum(1 << i for i in owners)
        dimension = cell.count(0)
        shared += (-1) ** dimension * ((sets & everyone) != everyone)
    return (1 - shared).astype(np.int8)
