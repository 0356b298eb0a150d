"""Rigid objects as points, in the order in which it is soonest seen that they do not fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.clouds import Clouds
from fibseg.postprocess import distance
from fibseg.types import Mask

Points = NDArray[np.float64]

FAR_POINTS = 32
"""So many points of a body come first, each far from those before it."""


@dataclass(frozen=True)
class Body:
    """One object, to be turned about its deepest point.

    Attributes
    ----------
    points
        From the deepest point to all others, µm; the first of them far from each other.
    centre
        From there to the centre of geometry.
    inner_um
        Radius of a ball around the deepest point that is wholly inside.
    """

    points: Points
    centre: Points
    inner_um: float

    @classmethod
    def of(cls, clouds: Clouds, row: int) -> Body:
        """Body of the object in that row of the clouds."""
        own = clouds.of(row)
        points, cells = clouds.points_um[own], clouds.cells[own]
        place = tuple((cells - cells.min(axis=0) + 1).T)
        outside = np.ones(np.max(place, axis=1) + 2, dtype=bool)
        outside[place] = False
        depth = depth_um(outside, clouds.cell_um)[place].astype(np.float64)
        deepest = int(depth.argmax())
        # From the point of a cell to its border, and from there to the centre of the next one.
        inner = max(0.0, float(depth[deepest]) - math.hypot(*clouds.cell_um))
        moved = points - points[deepest]
        centre = np.average(moved, axis=0, weights=clouds.n_voxels[own])
        return cls(_far_first(moved), centre, inner)


def depth_um(outside: Mask, voxel_um: Sequence[float] | Points) -> NDArray[np.float32]:
    """From the centre of every voxel to that of the nearest one outside, 0 there."""
    z, y, x = (float(size) for size in voxel_um)
    longest = math.hypot(*(n * size for n, size in zip(outside.shape, (z, y, x), strict=True)))
    return distance(outside, max_nm=2 * longest, spacing=(z, y, x))


def _far_first(points: Points) -> Points:
    """The same points, the first each as far as can be from those before, the rest in no order."""
    length = np.einsum("ij,ij->i", points, points)
    away, chosen = length, list[int]()
    for _ in range(min(FAR_POINTS, len(points))):
        chosen.append(int(away.argmax()))
        away = np.minimum(away, length - 2 * points @ points[chosen[-1]] + length[chosen[-1]])
        away[chosen[-1]] = -1
    rest = np.ones(len(points), dtype=bool)
    rest[chosen] = False
    return np.concatenate([points[chosen], np.random.default_rng(0).permutation(points[rest])])
