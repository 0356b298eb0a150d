"""Where objects crowd on an envelope, and where there are none: clusters and islands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fibseg.errors import UsageError
from fibseg.measure.connected_balls import connected_in_balls
from fibseg.measure.envelope import EnvelopeMesh, Feet
from fibseg.measure.surface_pairs import SurfacePairs, scattered
from fibseg.types import Table

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Clusters:
    """Crowds of objects.

    Attributes
    ----------
    cluster
        (n,), number of the cluster of every object, the largest is 1; 0 where it is in none.
    distance_um, n_others
        The rule: a cluster grows from objects with so many others within the distance.
    share, share_at_random
        Of the objects that are in clusters; the same, on average, of random placements.
    p_value
        Of a share at least as large at random; NaN where nothing was simulated.
    """

    cluster: Places
    distance_um: float
    n_others: int
    share: float
    share_at_random: float
    p_value: float


def clusters(
    pairs: SurfacePairs, feet: Feet, *, distance_um: float | None = None, n_others: int = 4,
    n_simulations: int = 199, seed: int = 0,
) -> Clusters:
    """Clusters by DBSCAN (Ester et al., KDD 1996) over pairs that the envelope connects.

    An object is a core if at least `n_others` others are within the distance; cores within it of
    each other are one cluster, and what is near to a core belongs to its nearest.

    Parameters
    ----------
    distance_um
        None is half of the mean spacing, √(area / objects): 1 object in 100 has 4 others within
        that by chance.
    n_simulations
        Random placements, evenly by area, that the share in clusters is compared with; 0 for none.

    Raises
    ------
    UsageError
        If a setting cannot be meant.
    """
    n = len(feet.vertex)
    if distance_um is None:
        distance_um = 0.5 * float(np.sqrt(pairs.envelope.total_um2 / max(n, 1)))
        distance_um = min(distance_um, pairs.radii_um[-1])
    if not distance_um > 0 or n_others < 1:
        raise UsageError(
            f"distance_um={distance_um:g} has to be above 0 and n_others={n_others} at least 1, "
            "such as 0.2 and 4."
        )
    found = _dbscan(pairs, feet.points_um, feet.vertex, distance_um, n_others)
    share = float((found > 0).mean()) if n else float("nan")
    rng = np.random.default_rng(seed)
    random = np.array([
        (_dbscan(
            pairs, *scattered(pairs.envelope, n, rng), distance_um, n_others
        ) > 0).mean() for _ in range(n_simulations if n else 0)
    ])
    p = (1 + np.sum(random >= share)) / (1 + len(random)) if len(random) else float("nan")
    mean = float(random.mean()) if len(random) else float("nan")
    return Clusters(found, distance_um, n_others, share, mean, float(p))


def _dbscan(
    pairs: SurfacePairs, points_um: Floats, vertex: Places, distance_um: float, n_others: int
) -> Places:
    n = len(vertex)
    first, second, away = pairs.within(points_um, vertex, radius_um=distance_um)
    degree = np.bincount(first, minlength=n) + np.bincount(second, minlength=n)
    core = degree >= n_others
    both = core[first] & core[second]
    graph = coo_array((np.ones(int(both.sum())), (first[both], second[both])), shape=(n, n))
    _, piece = connected_components(graph, directed=False)
    number = np.where(core, piece, -1)
    # An object beside several cores goes to the nearest.
    one = core[first] ^ core[second]
    cores = np.where(core[first], first, second)[one]
    others = np.where(core[first], second, first)[one]
    order = np.lexsort((cores, -away[one]))
    number[others[order]] = piece[cores[order]]
    return _by_size(number)


def _by_size(number: Places) -> Places:
    """Numbers from 1, the largest first; 0 for -1."""
    known, where, counts = np.unique(number, return_inverse=True, return_counts=True)
    counts = np.where(known < 0, -1, counts)
    rank = np.empty(len(known), np.int64)
    rank[np.lexsort((known, -counts))] = np.arange(1, len(known) + 1)
    rank[known < 0] = 0
    found: Places = rank[where]
    return found


def islands(envelope: EnvelopeMesh, feet: Feet, *, radius_um: float = 0.5) -> Table:
    """Pieces of envelope farther than a radius from any object, the largest first.

    Near is what the envelope connects to an object within a ball around it.

    Returns
    -------
    Table
        ``island`` (from 1), ``area_um2`` and the middle ``z_um``, ``y_um``, ``x_um``.

    Raises
    ------
    UsageError
        If the radius is not above 0.
    """
    if not 0 < radius_um < np.inf:
        raise UsageError(f"radius_um={radius_um:g} of islands has to be above 0, such as 0.5.")
    free = np.ones(len(envelope.area_um2), bool)
    for patch in connected_in_balls(
        envelope.vertices_um, envelope.neighbours, feet.points_um, feet.vertex,
        radius_um=radius_um,
    ):
        free[patch.member] = False
    where = np.flatnonzero(free)
    links = envelope.neighbours[where][:, where]
    n, piece = connected_components(links, directed=False)
    weight = envelope.area_um2[where]
    area = np.bincount(piece, weight, n)
    middle = [
        np.bincount(piece, weight * envelope.vertices_um[where, k], n) / np.maximum(area, 1e-300)
        for k in range(3)
    ]
    order = np.argsort(-area, kind="stable")
    return {
        "island": np.arange(1, n + 1), "area_um2": area[order],
        **{f"{a}_um": m[order] for a, m in zip("zyx", middle, strict=True)},
    }
