"""A plane in regions that a person can paint: where they lie, their means, and what they look like.

::

    |-----|-----|----|      edges: as many regions as fit, equal to a pixel, none cut off
"""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rectangle: TypeAlias = tuple[int, int, int, int]
"""y0, x0, y1, x1 in pixels, the last two not included."""
Edges: TypeAlias = NDArray[np.int64]

SCALES = 4
"""Contrast is measured between neighbours on so many grids, each half as fine as the one before."""
N_LOOKS = 2 + SCALES
"""Numbers that say what a region looks like."""


def region_edges(length: int, side: float) -> Edges:
    """Borders of the regions along an axis, their number plus one, from 0 to `length`.

    >>> region_edges(224, 75.0).tolist(), region_edges(5, 8.0).tolist()
    ([0, 75, 149, 224], [0, 5])
    """
    n = max(1, min(length, round(length / side)))
    return np.rint(np.linspace(0, length, n + 1)).astype(np.int64)


def region_boxes(ys: Edges, xs: Edges) -> list[Rectangle]:
    """Boxes of all regions, row by row.

    >>> region_boxes(np.array([0, 2]), np.array([0, 3, 5]))
    [(0, 0, 2, 3), (0, 3, 2, 5)]
    """
    return [
        (int(y0), int(x0), int(y1), int(x1))
        for y0, y1 in itertools.pairwise(ys) for x0, x1 in itertools.pairwise(xs)
    ]


def region_means(plane: NDArray[Any], ys: Edges, xs: Edges) -> NDArray[np.float64]:
    """Mean of the plane (y, x) in each region, in the order of `region_boxes`.

    >>> region_means(np.array([[1, 3, 8]]), np.array([0, 1]), np.array([0, 2, 3])).tolist()
    [2.0, 8.0]
    """
    rows = np.add.reduceat(plane, ys[:-1], axis=0, dtype=np.float64)
    sums = np.add.reduceat(rows, xs[:-1], axis=1)
    means: NDArray[np.float64] = (sums / np.diff(ys)[:, None] / np.diff(xs)).ravel()
    return means


def region_looks(image: NDArray[np.float32], ys: Edges, xs: Edges) -> NDArray[np.float64]:
    """What each region looks like: mean, spread, contrast by scale; shape (regions, `N_LOOKS`).

    Contrasts are logarithms, so that a difference means a ratio. Regions of one pixel have some.

    Parameters
    ----------
    image
        Normalised intensities, shape (y, x).
    ys, xs
        Of `region_edges`.
    """
    mean = region_means(image, ys, xs)
    square = region_means(np.square(image), ys, xs)
    looks = [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    grid = image
    for scale in range(SCALES):
        steps = np.maximum(np.abs(_along(grid, 0)), np.abs(_along(grid, 1)))
        looks.append(np.log(_coarse_means(steps, ys, xs, 2**scale) + 0.01))
        grid = _halved(grid)
    return np.stack(looks, axis=1)


def _coarse_means(
    plane: NDArray[np.float32], ys: Edges, xs: Edges, factor: int
) -> NDArray[np.float64]:
    """Mean of a plane that is `factor` times coarser than the regions' pixels in each region.

    A region finer than its pixels takes the pixel that it lies in.
    """
    sums = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
    np.cumsum(np.cumsum(plane, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    cuts = []
    for edges, n in ((ys, plane.shape[0]), (xs, plane.shape[1])):
        first = np.minimum(edges[:-1] // factor, n - 1)
        cuts.append((first, np.clip(edges[1:] // factor, first + 1, n)))
    (y0, y1), (x0, x1) = cuts
    total = sums[np.ix_(y1, x1)] - sums[np.ix_(y0, x1)] - sums[np.ix_(y1, x0)]
    total += sums[np.ix_(y0, x0)]
    means: NDArray[np.float64] = (total / np.outer(y1 - y0, x1 - x0)).ravel()
    return means


def _along(plane: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Difference to the next pixel, 0 at the last."""
    return np.diff(plane, axis=axis, append=plane.take([-1], axis=axis))


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 2 x 2 pixels; an axis of one pixel stays, an odd last one is left out."""
    for axis, n in enumerate(plane.shape):
        if n > 1:
            even = plane.take(range(0, n - n % 2), axis=axis)
            parts = (*even.shape[:axis], n // 2, 2, *even.shape[axis + 1 :])
            plane = even.reshape(parts).mean(axis=axis + 1, dtype=np.float32)
    return plane
