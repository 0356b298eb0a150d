"""Distances in two steps, for volumes that no memory holds: within planes, then across them.

The square of a distance is the sum of its squares along the axes. So the nearest voxel of the other
side can be looked for within every plane, and then among what the planes found: T. Saito and
J. Toriwaki, Pattern Recognition 27 (1994) 1551. Neither step looks into a box, and the second one
stops where no farther plane can be nearer.

Squares are in units of the finest spacing. Where the spacings are multiples of each other they are
whole numbers, which float32 holds exactly up to 4096 voxels.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.postprocess.threads import threads
from fibseg.types import Spacing

Squares = NDArray[np.float32]

TILE = (32, 64)
"""Rows and columns that are worked on together: with 64 planes they stay in a core's cache."""


def squared_cap(max_nm: float, spacing: Spacing) -> float:
    """Square of a cap in units of the finest spacing."""
    return float(np.float32((max_nm / min(spacing)) ** 2))


def squares_in_planes(mask: NDArray[Any], *, max_nm: float, spacing: Spacing) -> Squares:
    """Signed square of the distance to the nearest voxel of the other side in the same plane.

    Outside of `mask` it is positive, inside negative, beyond the cap infinite.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    max_nm
        Larger distances are infinite.
    spacing
        Size of a voxel in nm, (z, y, x).

    >>> squares_in_planes(np.array([[[0, 0, 1, 1]]]), max_nm=15, spacing=(10, 10, 10))
    array([[[ inf,   1.,  -1., -inf]]], dtype=float32)
    """
    inside = mask != 0
    # For edt these are two objects: it looks for the nearest voxel that is not of the same one.
    objects = np.ascontiguousarray(inside, dtype=np.uint8) + np.uint8(1)
    found = np.empty(mask.shape, dtype=np.float32)
    if not found.size:
        return found
    unit = tuple(s / min(spacing) for s in spacing[1:])
    for plane, into in zip(objects, found, strict=True):
        if plane.min() == plane.max():  # as most are where objects are few
            into.fill(np.inf)
        else:
            into[...] = edt.edtsq(plane, anisotropy=unit, black_border=False, parallel=threads())
    found[found > squared_cap(max_nm, spacing)] = np.inf
    return np.negative(found, out=found, where=inside)


def of_one_side(squares: Squares, side: int) -> Squares:
    """Squares of the voxels outside (`side` 1) or inside (-1); the others are what they seek: 0.

    >>> of_one_side(np.array([np.inf, 1, -1, -np.inf], dtype=np.float32), -1)
    array([ 0.,  0.,  1., inf], dtype=float32)
    """
    found: Squares = np.maximum(squares * np.float32(side), np.float32(0))
    return found


def lower_across(
    best: Squares, planes: Squares, *, first: int, max_nm: float, spacing: Spacing
) -> None:
    """Lower squared distances in place, where what was found in other planes is nearer.

    Parameters
    ----------
    best
        Squares of one side (`of_one_side`), shape (z, y, x).
    planes
        The same of the planes to be looked at, shape (planes, y, x).
    first
        Where the first of them lies, counted from the first plane of `best`.
    max_nm
        Beyond it nothing has to be right.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    step, limit = spacing[0] / min(spacing), squared_cap(max_nm, spacing)
    starts = (range(0, n, t) for n, t in zip(best.shape[1:], TILE, strict=True))
    for y, x in itertools.product(*starts):
        tile = np.s_[:, y : y + TILE[0], x : x + TILE[1]]
        here = np.ascontiguousarray(best[tile])
        _lower_tile(here, np.ascontiguousarray(planes[tile]), first, step, limit)
        best[tile] = here


def _lower_tile(best: Squares, planes: Squares, first: int, step: float, limit: float) -> None:
    """One tile of `lower_across`."""
    least = planes.min(axis=(1, 2))
    order = range(len(planes))
    for i in order if first >= 0 else reversed(order):  # the nearest first
        room = min(float(best.max()), limit) - float(least[i])
        if room <= 0:
            continue
        place, width = first + i, math.sqrt(room) / step
        start = max(0, math.floor(place - width))
        stop = min(len(best), math.ceil(place + width) + 1)
        if start < stop:
            gaps = ((np.arange(start, stop) - place) * step) ** 2
            nearer = planes[i] + gaps.astype(np.float32)[:, None, None]
            np.minimum(best[start:stop], nearer, out=best[start:stop])
