"""Surface of every object, from weighted counts of voxel pairs that add over blocks.

Each pair of a voxel of the object and one that is none of it counts for the object, whatever the
other one is: touching objects both have the wall between them. Where the volume ends, an object
goes on as it is there, so that the faces of the volume are no surface.

A whole object is left as often as it is entered along each direction, so steps one way are enough.
One that is cut is not: of half a ball, steps away from the cut leave through the mantle, and steps
towards it do not. So a pair counts half from either side; what steps the other way add is known
from the voxels at the faces of the volume alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure.directions import Directions
from fibseg.measure.neighbours import Rule, Tile, added, neighbour_sums, of_labels
from fibseg.types import Labels, Spacing, Table

_COLUMN = "surface_units"


def rule(directions: Directions) -> Rule:
    """What every voxel counts for the surface of its object."""
    return Rule(_COLUMN, lambda tile: _counted(tile, directions), directions.reach, "edge")


def partial(labels: Labels, *, inside: Box, directions: Directions) -> Table:
    """Surface of every object in one block, in whole halves of a unit.

    Parameters
    ----------
    labels
        Numbered objects of the block and `directions.reach` voxels around it, less where the
        volume ends; shape (z, y, x), 0 = none.
    inside
        The block itself, in voxels of `labels`.
    directions
        `Directions.of` the spacing, made once: every block has to count the same.

    Returns
    -------
    Table
        ``label`` and ``surface_units`` (int64) of objects with a surface in the block, sorted.
    """
    return neighbour_sums(labels, [rule(directions)], inside=inside)


def merge(first: Table, second: Table) -> Table:
    """Units of both blocks together."""
    return added([first, second])


def finish(
    sums: Table | None, *, labels: NDArray[Any], directions: Directions
) -> NDArray[np.float64]:
    """Surface in µm² of each of `labels`, 0 for those without a pair in `sums`."""
    if sums is None:
        return np.zeros(len(labels))
    units = of_labels(sums, _COLUMN, labels).astype(np.float64)
    return units * (directions.unit_nm2 / 2 * 1e-6)


def measure(labels: Labels, *, spacing: Spacing) -> Table:
    """``label`` and ``surface_area_um2`` of all objects of a whole volume in memory.

    >>> ball = (np.indices((25, 25, 25)) - 12) ** 2
    >>> found = measure((ball.sum(axis=0) <= 100).astype(np.uint8), spacing=(1000.0,) * 3)
    >>> (found["surface_area_um2"] / (4 * np.pi * 10**2)).round(2)
    array([1.])
    """
    directions = Directions.of(spacing)
    sums = partial(labels, inside=Box.whole(labels.shape), directions=directions)
    names = np.unique(labels[labels != 0])
    return {
        "label": names,
        "surface_area_um2": finish(sums, labels=names, directions=directions),
    }


def _counted(
    tile: Tile, directions: Directions
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Voxels that a step takes out of their object, and the half units of all such steps."""
    own = tile.own
    leaving = np.zeros((len(directions.groups), own.size), np.uint8)
    different = np.empty(own.size, bool)
    for group, steps in zip(leaving, directions.groups, strict=True):
        for step in steps:
            group += tile.differs(step, different).view(np.uint8)
    where = np.flatnonzero(np.logical_and(np.bitwise_or.reduce(leaving), own))
    units = np.zeros(len(where), np.int64)
    for group, unit in zip(leaving, directions.units, strict=True):
        units += group[where] * np.int64(2 * unit)
    at_faces, more = _other_way(tile, directions)
    return np.concatenate([where, at_faces]), np.concatenate([units, more])


def _other_way(
    tile: Tile, directions: Directions
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Voxels at faces of the volume, and what steps the other way count more than those one way.

    Steps from voxel to voxel within the volume cancel out. Those that end beyond it stay: an object
    that goes on there along a step is not left by it, but by one the other way elsewhere.
    """
    voxels = tile.at_faces(directions.reach)
    more = np.zeros(len(voxels), np.int64)
    if not len(voxels):
        return voxels, more
    here = voxels + tile.span.start
    place = np.stack(np.unravel_index(here, tile.shape))  # (3, n)
    first, last = (np.reshape(end, (3, 1)) for end in (tile.volume.start, tile.volume.stop))
    for steps, unit in zip(directions.groups, directions.units, strict=True):
        for step in steps:
            for way in (1, -1):
                there = place + way * np.reshape(step, (3, 1))
                beyond = ((there < first) | (there >= last)).any(axis=0)
                goes_on = tile.codes[here + way * tile.offset(step)] == tile.codes[here]
                more += way * unit * (beyond & goes_on)
    return voxels, more
