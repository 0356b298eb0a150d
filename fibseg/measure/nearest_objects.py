"""The nearest other objects of every object, from centre to centre and from surface to surface."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from fibseg.errors import UsageError
from fibseg.measure.corners import Corners
from fibseg.types import Spacing, Table

Points = NDArray[np.float64]

_ALL_PAIRS = 2**15
_ROUNDING = 1 + 1e-9


def centre_neighbours(table: Table, *, k: int) -> Table:
    """``label`` and the `k` objects with the nearest centres of geometry, nearest first.

    Parameters
    ----------
    table
        ``label`` and ``centroid_z_um``, ``centroid_y_um``, ``centroid_x_um`` of all objects, as
        from `fibseg.measure.regions`.
    k
        How many.

    Returns
    -------
    Table
        ``centre_neighbour_1_um`` (distance in µm) and ``centre_neighbour_1`` (label), … up to k.
        NaN and 0 where there are not so many other objects.

    Raises
    ------
    UsageError
        If `k` is below 1.

    >>> row = {f"centroid_{axis}_um": np.zeros(3) for axis in "zy"}
    >>> row |= {"label": np.array([4, 7, 9]), "centroid_x_um": np.array([0.0, 1.0, 3.0])}
    >>> centre_neighbours(row, k=1)["centre_neighbour_1"].tolist()
    [7, 4, 7]
    """
    _check(k)
    centres = np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1)
    away, rows = _nearest_points(centres, k)
    return _columns("centre", table["label"], away, rows)


def surface_neighbours(corners: Corners, *, k: int, spacing: Spacing) -> Table:
    """``label`` and the `k` objects whose surfaces are nearest, nearest first.

    The distance goes from interface to interface, between the nearest two points of both objects,
    each the union of its voxels: exact, and 0 where they touch, if only by a corner.

    For each object, its distances to single corners of the others say how far its neighbours are
    at most. Others whose bounding boxes are nearer than that are looked at, the nearest boxes
    first, until the next box is farther than the k-th distance found. Of a pair only those corners
    are compared that are near enough to the other one's box to matter. So little but the corners
    themselves is held in memory, and these may lie in a file.

    Parameters
    ----------
    corners
        Of all objects, from `fibseg.measure.corners`.
    k
        How many.
    spacing
        Size of a voxel in nm, (z, y, x).

    Returns
    -------
    Table
        ``surface_neighbour_1_um`` (distance in µm) and ``surface_neighbour_1`` (label), … up to k;
        of equally near ones the smaller label first. NaN and 0 where there are not so many other
        objects.

    Raises
    ------
    UsageError
        If `k` is below 1.
    """
    _check(k)
    bodies = _Bodies.of(corners, spacing)
    away, rows = np.full((len(corners), k), np.nan), np.full((len(corners), k), -1)
    known: defaultdict[int, dict[int, float]] = defaultdict(dict)
    limits = _nearest_points(bodies.some_um, k)[0][:, -1]
    for row in range(len(corners)):
        found: list[tuple[float, int]] = []
        done = known.pop(row, {})
        for gap, other in bodies.near(row, limits[row]):
            if len(found) >= k and gap > found[k - 1][0] * _ROUNDING:
                break
            distance = done.get(other)
            if distance is None:
                distance = bodies.distance(row, other)
                if other > row:
                    known[other][row] = distance
            found = sorted([*found, (distance, other)])
        for place, (distance, other) in enumerate(found[:k]):
            away[row, place], rows[row, place] = distance, other
    return _columns("surface", corners.label, away, rows)


@dataclass(frozen=True)
class _Bodies:
    """Corners with bounding boxes, and trees to find the boxes that are near.

    Attributes
    ----------
    low_um, high_um
        Corners of the boxes, shape (objects, 3).
    some_um
        One corner of each object.
    half_um
        Half of the diagonal of each box.
    trees
        Largest half diagonal, rows and centres of boxes, by size: one large object does not make
        all others look far.
    """

    corners: Corners
    size_um: Points
    low_um: Points
    high_um: Points
    some_um: Points
    half_um: Points
    trees: Sequence[tuple[float, NDArray[np.intp], cKDTree]]

    @classmethod
    def of(cls, corners: Corners, spacing: Spacing) -> _Bodies:
        """Bodies of all objects that have corners."""
        size = np.asarray(spacing) * 1e-3
        n, begin = np.diff(corners.first), corners.first[:-1]
        low, high = np.zeros((2, len(corners), 3))
        for row in range(len(corners)):
            own = corners.of(row)
            low[row], high[row] = own.min(axis=0) * size, own.max(axis=0) * size
        half = np.linalg.norm(high - low, axis=1) / 2
        sizes = np.ceil(np.log2(half))
        trees = []
        for each in np.unique(sizes):
            rows = np.flatnonzero(sizes == each)
            trees.append((float(half[rows].max()), rows, cKDTree((low + high)[rows] / 2)))
        some = corners.places[begin + n // 2] * size
        return cls(corners, size, low, high, some, half, trees)

    def near(self, row: int, limit_um: float) -> Iterator[tuple[float, int]]:
        """Other objects by the distance of their boxes, at least all within the limit."""
        middle = (self.low_um[row] + self.high_um[row]) / 2
        rows = []
        for largest, of_size, tree in self.trees:
            reach = limit_um + self.half_um[row] + largest if np.isfinite(limit_um) else np.inf
            rows.append(of_size[tree.query_ball_point(middle, reach * _ROUNDING)])
        others = np.concatenate(rows)
        others = np.sort(others[others != row])
        gaps = _gaps(self.low_um[row], self.high_um[row], self.low_um[others], self.high_um[others])
        order = np.argsort(gaps, kind="stable")
        yield from zip(gaps[order].tolist(), others[order].tolist(), strict=True)

    def distance(self, row: int, other: int) -> float:
        """Of the nearest two corners, µm."""
        first, second = (self.corners.of(each) * self.size_um for each in (row, other))
        gap_first = _gaps(self.low_um[other], self.high_um[other], first, first)
        gap_second = _gaps(self.low_um[row], self.high_um[row], second, second)
        # From the corner that is nearest to the other box, there and back: seldom far too far.
        here = first[gap_first.argmin()]
        there = second[np.square(second - here).sum(axis=1).argmin()]
        at_most = float(np.sqrt(np.square(first - there).sum(axis=1).min())) * _ROUNDING
        if at_most == 0:
            return 0.0
        first, second = first[gap_first <= at_most], second[gap_second <= at_most]
        if len(first) * len(second) <= _ALL_PAIRS:
            return float(cdist(first, second).min())
        found, _ = cKDTree(second).query(first, distance_upper_bound=at_most * _ROUNDING)
        return float(np.min(found))


def _check(k: int) -> None:
    if k < 1:
        raise UsageError(f"k={k} are no neighbours. Give at least 1.")


def _gaps(low: Points, high: Points, lows: Points, highs: Points) -> Points:
    """Distance of one box to others, 0 where they share a place."""
    apart = np.maximum(np.maximum(lows - high, low - highs), 0)
    return np.asarray(np.sqrt(np.square(apart).sum(axis=1)))


def _nearest_points(points: Points, k: int) -> tuple[Points, NDArray[np.intp]]:
    """Distance and row of the `k` nearest others, (n, k); NaN and -1 where there are fewer."""
    n = len(points)
    away, rows = np.full((n, k), np.nan), np.full((n, k), -1)
    if n < 2:
        return away, rows
    most = min(k, n - 1)
    found, which = map(np.asarray, cKDTree(points).query(points, most + 1))
    own = which == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True  # among points at one place, not always itself is found
    away[:, :most], rows[:, :most] = found[~own].reshape(n, -1), which[~own].reshape(n, -1)
    return away, rows


def _columns(kind: str, label: NDArray[Any], away: Points, rows: NDArray[np.intp]) -> Table:
    table: Table = {"label": label}
    for place in range(away.shape[1]):
        there = rows[:, place] >= 0
        names = np.zeros(len(label), dtype=label.dtype)
        names[there] = label[rows[there, place]]
        table[f"{kind}_neighbour_{place + 1}_um"] = away[:, place]
        table[f"{kind}_neighbour_{place + 1}"] = names
    return table
