"""Places matched one to one: as many as can be, the nearest of these, the same in any order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fibseg.errors import UsageError
from fibseg.metrics import PointScores, match_points


def best(found, true, within):
    """The same by trying everything: most pairs, then the least sum of distances."""
    away = np.linalg.norm(found[:, None] - true[None], axis=2)
    top = (0, 0.0)
    n = min(len(found), len(true))
    for k in range(n + 1):
        for rows in itertools.combinations(range(len(found)), k):
            for columns in itertools.permutations(range(len(true)), k):
                d = away[list(rows), list(columns)]
                if (d <= within).all():
                    top = min(top, (-k, float(d.sum())))
    return top


@pytest.mark.parametrize("seed", range(12))
def test_as_many_pairs_as_can_be_and_the_nearest(seed):
    rng = np.random.default_rng(seed)
    found, true = rng.uniform(0, 3, (5, 3)), rng.uniform(0, 3, (4, 3))
    pairs = match_points(found, true, within=1.2)
    away = np.linalg.norm(found[pairs[:, 0]] - true[pairs[:, 1]], axis=1)
    assert (away <= 1.2).all()
    n, total = best(found, true, 1.2)
    assert len(pairs) == -n
    assert away.sum() == pytest.approx(total)
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)


def test_a_greedy_match_would_lose_a_pair():
    found, true = np.array([[0.0, 0, 0], [1.0, 0, 0]]), np.array([[0.9, 0, 0], [1.9, 0, 0]])
    assert match_points(found, true, within=1.0).tolist() == [[0, 0], [1, 1]]


def test_many_places_are_matched_as_fast_as_they_are_many():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 100, (20000, 3))
    order = rng.permutation(len(true))
    pairs = match_points(true[order] + rng.normal(0, 0.01, true.shape), true, within=0.2)
    assert len(pairs) == len(true)
    assert (order[pairs[:, 0]] == pairs[:, 1]).mean() > 0.999


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_matches_nothing(n, m):
    assert match_points(np.zeros((n, 3)), np.zeros((m, 3)), within=1).shape == (0, 2)


def test_too_far_is_no_pair():
    assert len(match_points(np.zeros((1, 3)), np.full((1, 3), 9.0), within=1)) == 0


def test_a_distance_has_to_be_above_zero():
    with pytest.raises(UsageError, match="within=0"):
        match_points(np.zeros((1, 3)), np.zeros((1, 3)), within=0)


def test_scores_of_volumes_are_those_of_their_sums():
    total = PointScores(4, 2, 2) + PointScores(0, 6, 0)
    assert (total.precision, total.recall) == (0.5, 0.25)
    assert total.f1 == pytest.approx(1 / 3)
    assert np.isnan(PointScores(0, 0, 0).f1)
    assert np.isnan(PointScores(0, 1, 0).precision)
    assert np.isnan(PointScores(1, 0, 0).recall)
