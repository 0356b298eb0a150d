"""Capture and recapture: right for independent detectors, an upper bound for others."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.errors import UsageError
from fibseg.measure.recapture import recapture


def drawn(rng, n=400, first=0.7, second=0.8, hard=0.0):
    """Counts of two detectors, of which a share of the objects is hidden from both."""
    seen = rng.random(n) >= hard
    a, b = seen & (rng.random(n) < first), seen & (rng.random(n) < second)
    return recapture(int(a.sum()), int(b.sum()), int((a & b).sum()))


def test_independent_detectors_tell_how_many_there_are():
    rng = np.random.default_rng(0)
    found = [drawn(rng) for _ in range(400)]
    assert np.mean([f.n_total for f in found]) == pytest.approx(400, rel=0.01)
    inside = np.mean([f.low <= 400 <= f.high for f in found])
    assert 0.91 <= inside <= 0.985
    assert np.mean([f.recall for f in found]) == pytest.approx(0.8, abs=0.01)


def test_what_both_miss_is_not_known_and_recall_is_the_most_that_it_can_be():
    rng = np.random.default_rng(1)
    found = [drawn(rng, hard=0.2) for _ in range(100)]
    assert np.mean([f.recall for f in found]) == pytest.approx(0.8, abs=0.02)
    # Of what there is, only 0.64 were found.


def test_the_same_found_twice_is_all_there_is():
    found = recapture(50, 50, 50)
    assert (found.n_total, found.low, found.high, found.recall) == (50, 50, 50, 1)


def test_nothing_found_tells_nothing():
    assert np.isnan(recapture(0, 0, 0).recall)


@pytest.mark.parametrize("counts", [(3, 5, 4), (3, 5, -1)])
def test_more_by_both_than_by_one_cannot_be(counts):
    with pytest.raises(UsageError, match="cannot be"):
        recapture(*counts)
