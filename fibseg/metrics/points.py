"""Found places against true ones: which belong together, and how good the finding is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fibseg.errors import UsageError

Floats = NDArray[np.float64]


def match_points(found: Floats, true: Floats, *, within: float) -> NDArray[np.intp]:
    """Pairs (n, 2) of one found and one true place each, as many as can be, and then the nearest.

    Parameters
    ----------
    found, true
        Places (n, 3) and (m, 3), in the unit of `within`.
    within
        Largest distance of a pair.

    Raises
    ------
    UsageError
        If `within` is not above 0.

    >>> match_points(np.array([[0.0], [3.0]]), np.array([[2.0], [9.0]]), within=2.5).tolist()
    [[1, 0]]
    """
    if not within > 0:
        raise UsageError(f"within={within:g} has to be above 0.")
    if not len(found) or not len(true):
        return np.zeros((0, 2), np.intp)
    near = cKDTree(found).sparse_distance_matrix(cKDTree(true), within, output_type="ndarray")
    n = len(found) + len(true)
    edges = coo_array((np.ones(len(near)), (near["i"], near["j"] + len(found))), shape=(n, n))
    _, group = connected_components(edges, directed=False)
    pairs = []
    order = np.argsort(group[near["i"]], kind="stable")
    bounds = np.flatnonzero(np.diff(group[near["i"]][order])) + 1
    for part in np.split(near[order], bounds):
        pairs += _assigned(part, within)
    result = np.array(sorted(pairs), np.intp).reshape(-1, 2)
    return result


def _assigned(near: NDArray[np.void], within: float) -> list[tuple[int, int]]:
    """Pairs among places that are near to each other."""
    rows, i = np.unique(near["i"], return_inverse=True)
    columns, j = np.unique(near["j"], return_inverse=True)
    # A pair that is too far costs more than all others together: as many pairs as can be.
    cost = np.full((len(rows), len(columns)), within * (min(len(rows), len(columns)) + 1))
    cost[i, j] = near["v"]
    known = np.zeros(cost.shape, bool)
    known[i, j] = True
    return [
        (int(rows[a]), int(columns[b]))
        for a, b in zip(*linear_sum_assignment(cost), strict=True) if known[a, b]
    ]


@dataclass(frozen=True)
class PointScores:
    """How many places were found; scores of several volumes are of their sums."""

    n_found: int
    n_true: int
    n_matched: int

    def __add__(self, other: PointScores) -> PointScores:
        return PointScores(
            self.n_found + other.n_found, self.n_true + other.n_true,
            self.n_matched + other.n_matched,
        )

    @property
    def precision(self) -> float:
        """Share of what was found that is true; NaN if nothing was."""
        return self.n_matched / self.n_found if self.n_found else float("nan")

    @property
    def recall(self) -> float:
        """Share of what is true that was found; NaN if nothing is."""
        return self.n_matched / self.n_true if self.n_true else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of both; NaN if there is nothing at all.

        >>> PointScores(n_found=10, n_true=8, n_matched=6).f1
        0.6666666666666666
        """
        total = self.n_found + self.n_true
        return 2 * self.n_matched / total if total else float("nan")
