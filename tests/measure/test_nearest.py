"""The nearest of many points, of which most are never looked at."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from fibseg.measure.nearest import Boxes, groups, nearest


def pieces_of(points, size):
    """The points in cubes of a size, and their boxes."""
    parts = [points[rows] for rows in groups((points // size).astype(np.int64))]
    low, high = (
        np.array([how(part, axis=0) for part in parts]).reshape(-1, 3) for how in (np.min, np.max)
    )
    return parts, Boxes(low, high)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(0, 50),
       st.sampled_from([0.1, 1.0, 7.0, 1000.0]))
def test_it_is_the_least_of_all_distances(seed, n_points, n_places, size):
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 20, (n_points, 3)).astype(float)
    places = rng.normal(10, rng.choice([1, 30]), (n_places, 3))
    parts, boxes = pieces_of(points, size)
    found = nearest(places, boxes, lambda piece: cKDTree(parts[piece]))
    expected = cdist(places, points).min(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_far_pieces_are_not_opened():
    points = np.array([[0.0, 0, x] for x in range(1000)])
    parts, boxes = pieces_of(points, 10)
    opened = []

    def tree(piece):
        opened.append(piece)
        return cKDTree(parts[piece])

    found = nearest(np.array([[0.0, 3, 500.5], [0, 4, 503.0]]), boxes, tree)
    np.testing.assert_allclose(found, [np.hypot(3, 0.5), 4])
    assert set(opened) <= {49, 50}


def test_without_points_everything_is_infinitely_far():
    none = Boxes(np.zeros((0, 3)), np.zeros((0, 3)))
    assert nearest(np.zeros((2, 3)), none, lambda piece: None).tolist() == [np.inf] * 2


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), max_size=40))
def test_groups_hold_every_row_once(cells):
    cells = np.array(cells, dtype=np.int64).reshape(-1, 3)
    found = list(groups(cells))
    assert sorted(row for rows in found for row in rows.tolist()) == list(range(len(cells)))
    places = [tuple(cells[rows[0]]) for rows in found]
    assert places == sorted(set(places))
    assert all((cells[rows] == cells[rows[0]]).all() for rows in found)
