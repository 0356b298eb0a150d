"""Surface of every object, from weighted counts of voxel pairs that add over blocks.

Each pair of a voxel of the object and one that is none of it counts for the object, whatever the
other one is: touching objects both have the wall between them. Where the volume ends, an object
goes on as it is there, so that the faces of the volume are no surface.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure.directions import Directions
from fibseg.measure.neighbours import Slab, added, of_labels, slab_sums
from fibseg.types import Labels, Spacing, Table

_COLUMN = "surface_units"


def partial(labels: Labels, *, inside: Box, directions: Directions) -> Table:
    """Surface of every object in one block, in whole units.

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
    return slab_sums(
        labels, lambda slab: _counted(slab, directions), _COLUMN, inside=inside,
        margin=directions.reach, beyond="edge",
    )


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
    return units * (directions.unit_nm2 * 1e-6)


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


def _counted(slab: Slab, directions: Directions) -> NDArray[np.uint32]:
    """Units of every voxel of the slab's span: those of each step that leaves its object."""
    span = slab.span
    n = span.stop - span.start
    total, step_units = np.zeros(n, np.uint32), np.empty(n, np.uint32)
    different = np.empty(n, bool)
    for group, units in zip(directions.groups, directions.units, strict=True):
        leaving = np.zeros(n, np.uint8)
        for step in group:
            leaving += slab.differs(step, different).view(np.uint8)
        total += np.multiply(leaving, np.uint32(units), out=step_units)
    return total
