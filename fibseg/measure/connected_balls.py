"""What of a surface is connected within a ball: the other wall of a furrow is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fibseg.measure.envelope import EnvelopeMesh

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

AT_ONCE = 400_000
"""So many members of balls are looked at together: some 100 MB."""


@dataclass(frozen=True, eq=False)
class BallMembers:
    """Members of many balls, ball after ball.

    Attributes
    ----------
    owner, member
        (m,), ball and point of the surface that is connected to its start within it.
    away_um
        (m,), from the middle of the ball.
    """

    owner: Places
    member: Places
    away_um: Floats


def connected_in_balls(
    points_um: Floats, neighbours: csr_array, centres_um: Floats, start: Places, *,
    radius_um: float, tree: cKDTree | None = None,
) -> Iterator[BallMembers]:
    """The connected piece of surface around each centre, some balls at a time.

    Parameters
    ----------
    points_um
        (n, 3), vertices of the surface.
    neighbours
        (n, n), which of them are linked.
    centres_um, start
        (k, 3) and (k,): the middle of every ball, and the vertex that its piece has to hold.
    radius_um
        Of the balls.
    """
    for owner, member, linked in _balls(
        points_um, neighbours, centres_um, start, radius_um=radius_um, tree=tree
    ):
        owner, member = owner[linked], member[linked]
        away = np.linalg.norm(points_um[member] - centres_um[owner], axis=1)
        yield BallMembers(owner, member, away)


def apart_in_balls(
    points_um: Floats, neighbours: csr_array, *, radius_um: float
) -> tuple[Places, Places]:
    """Pairs of points that are near, but not connected within a ball around either, each once."""
    n = len(points_um)
    found = [np.zeros(0, np.int64)]
    for owner, member, linked in _balls(
        points_um, neighbours, points_um, np.arange(n), radius_um=radius_um, tree=None
    ):
        owner, member = owner[~linked], member[~linked]
        found.append(np.minimum(owner, member) * n + np.maximum(owner, member))
    # Seen from both ends, it is there twice.
    key, times = np.unique(np.concatenate(found), return_counts=True)
    key = key[times > 1]
    return key // n, key % n


def _balls(
    points_um: Floats, neighbours: csr_array, centres_um: Floats, start: Places, *,
    radius_um: float, tree: cKDTree | None,
) -> Iterator[tuple[Places, Places, NDArray[np.bool_]]]:
    """Ball, member, and whether it is connected to the start, of some balls at a time."""
    tree = cKDTree(points_um) if tree is None else tree
    counts = np.asarray(tree.query_ball_point(centres_um, radius_um, return_length=True))
    ends = np.cumsum(counts.astype(np.int64))
    first = 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + AT_ONCE, "right")))
        found: Any = tree.query_ball_point(
            centres_um[first:last], radius_um, return_sorted=True
        )
        sizes = np.array([len(one) for one in found], np.int64)
        member = np.concatenate([np.asarray(one, np.int64) for one in found])
        owner = np.repeat(np.arange(last - first), sizes)
        linked = _reached(owner, member, start[first:last], neighbours, len(points_um))
        yield owner + first, member, linked
        first = last


def _reached(
    owner: Places, member: Places, start: Places, neighbours: csr_array, n: int
) -> NDArray[np.bool_]:
    """Which members are linked to the start of their ball by others of it."""
    key = owner * n + member  # ascending
    pointer, linked = neighbours.indptr.astype(np.int64), neighbours.indices.astype(np.int64)
    degree = pointer[member + 1] - pointer[member]
    source = np.repeat(np.arange(len(member)), degree)
    offset = np.arange(len(source)) - np.repeat(np.cumsum(degree) - degree, degree)
    target = linked[pointer[member[source]] + offset]
    upward = target > member[source]  # each edge once
    source, target = source[upward], target[upward]
    wanted = owner[source] * n + target
    place = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    there = key[place] == wanted if len(key) else np.zeros(0, bool)
    graph = coo_array(
        (np.ones(int(there.sum()), np.int8), (source[there], place[there])),
        shape=(len(member),) * 2,
    )
    _, piece = connected_components(graph, directed=False)
    begin = np.arange(len(start)) * n + start
    place = np.minimum(np.searchsorted(key, begin), max(len(key) - 1, 0))
    known = key[place] == begin if len(key) else np.zeros(len(start), bool)
    own = np.where(known, piece[place] if len(key) else 0, -1)
    kept: NDArray[np.bool_] = piece == own[owner]
    return kept


@dataclass(frozen=True, eq=False)
class Sites:
    """A surface in coarse: clusters of neighbouring vertices, each as one place.

    Attributes
    ----------
    points_um, area_um2
        (n, 3) and (n,): area-weighted mean of the vertices, and their area.
    neighbours
        (n, n), which are linked.
    of_vertex
        Site of every vertex of the envelope.
    """

    points_um: Floats
    area_um2: Floats
    neighbours: csr_array
    of_vertex: Places


def sites_of(envelope: EnvelopeMesh, *, size_um: float) -> Sites:
    """Sites about `size_um` wide: the vertices of one cube that are connected within it.

    Two walls that pass through one cube make two sites.
    """
    cube = np.floor(envelope.vertices_um / size_um).astype(np.int64)
    links = envelope.neighbours.tocoo()
    same = np.all(cube[links.row] == cube[links.col], axis=1)
    n = len(cube)
    within = coo_array(
        (np.ones(int(same.sum()), np.int8), (links.row[same], links.col[same])), shape=(n, n)
    )
    n_sites, site = connected_components(within, directed=False)
    area: Floats = np.bincount(site, envelope.area_um2, n_sites).astype(np.float64)
    points = np.stack([
        np.bincount(site, envelope.area_um2 * envelope.vertices_um[:, k], n_sites)
        for k in range(3)
    ], axis=1) / np.maximum(area, 1e-300)[:, None]
    row, col = site[links.row[~same]], site[links.col[~same]]
    linked = coo_array((np.ones(len(row), np.int8), (row, col)), shape=(n_sites,) * 2).tocsr()
    linked.sum_duplicates()
    linked.data[:] = 1
    linked.sort_indices()
    return Sites(points, area, linked, site.astype(np.int64))
