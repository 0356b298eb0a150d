from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes

from fibseg.errors import DataError
from fibseg.metrics import IGNORED, Contingency, Edits
from fibseg.metrics.edits import LIMIT_HOURS, hours


def row(*values: int) -> np.ndarray:
    return np.array([[values]], dtype=np.uint32)


@pytest.mark.parametrize(
    ("found", "truth", "edits"),
    [
        (row(0, 0), row(0, 0), Edits()),
        (row(5, 5, 0, 8), row(1, 1, 0, 2), Edits()),
        (row(5, 5, 6, 6), row(1, 1, 1, 1), Edits(n_merges=1)),
        (row(5, 6, 7, 8), row(1, 1, 1, 1), Edits(n_merges=3)),
        (row(5, 5, 5, 5), row(1, 1, 2, 3), Edits(n_splits=2)),
        (row(0, 0, 0), row(1, 0, 2), Edits(n_additions=2)),
        (row(1, 0, 2), row(0, 0, 0), Edits(n_deletions=2)),
        # Found elsewhere is no edit of what is here: one goes, one comes.
        (row(5, 5, 5, 5, 0), row(0, 0, 0, 1, 1), Edits(n_additions=1, n_deletions=1)),
        # The first is cut off its larger part and joined to the second.
        (row(5, 5, 5, 6, 6), row(1, 2, 2, 2, 2), Edits(n_merges=1, n_splits=1)),
        # A shifted border is no edit.
        (row(5, 5, 5, 6, 6, 6), row(1, 1, 1, 1, 2, 2), Edits()),
    ],
)
def test_small_cases(found: np.ndarray, truth: np.ndarray, edits: Edits) -> None:
    assert Edits.between(found, truth) == edits
    backwards = Edits(edits.n_splits, edits.n_merges, edits.n_deletions, edits.n_additions)
    assert Edits.between(truth, found) == backwards


def by_brute_force(prediction: np.ndarray, truth: np.ndarray) -> Edits:
    """All pairs, one after the other."""
    ps, ts = ([i for i in np.unique(a) if i] for a in (prediction, truth))
    tied = np.zeros((len(ps), len(ts)), bool)
    for i, p in enumerate(ps):
        for k, t in enumerate(ts):
            shared = np.sum((prediction == p) & (truth == t))
            tied[i, k] = shared > np.sum(prediction == p) / 2 or shared > np.sum(truth == t) / 2
    of_true, of_found = tied.sum(axis=0), tied.sum(axis=1)
    return Edits(
        sum(n - 1 for n in of_true if n), sum(n - 1 for n in of_found if n),
        int((of_true == 0).sum()), int((of_found == 0).sum()),
    )


@settings(deadline=None, max_examples=40)
@given(label_volumes(high=6), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_they_are_those_of_all_pairs(truth: np.ndarray, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    found = rng.integers(0, n + 1, truth.shape) + 3 * (truth > rng.integers(0, 300))
    want = by_brute_force(found, truth)
    assert Edits.between(found, truth) == want
    assert want.n_edits == sum(vars(want).values())


@settings(deadline=None, max_examples=40)
@given(label_volumes(high=8), st.integers(0, 8))
def test_parts_of_a_volume_add_up_and_numbers_do_not_matter(truth: np.ndarray, at: int) -> None:
    found = np.roll(truth, 1, axis=2) * 7
    parts = Contingency().update(found[:at], truth[:at]) + Contingency().update(
        found[at:], truth[at:]
    )
    assert Edits.of(parts) == Edits.between(found // 7 + (found > 0), truth)
    assert Edits.between(truth * 3, truth) == Edits()


def test_unknown_ground_costs_nothing() -> None:
    truth = row(IGNORED, IGNORED, IGNORED, 1, 1, 0)
    assert Edits.between(row(4, 4, 4, 0, 0, 4), truth) == Edits(n_additions=1)
    assert Edits.between(row(4, 0, 0, 0, 0, 4), truth) == Edits(n_additions=1, n_deletions=1)
    assert Edits.between(row(4, 4, 4, 4, 4, 0), truth) == Edits()


def test_separate_volumes_add() -> None:
    both = Edits(1, 2, 3, 4) + Edits(10, 20, 30, 40)
    assert both == Edits(11, 22, 33, 44)
    assert both.n_edits == 110


def test_the_limit_is_2880_edits_of_20_s() -> None:
    assert hours(2880, seconds_per_edit=20) == LIMIT_HOURS


def test_images_of_different_shape_are_refused() -> None:
    with pytest.raises(DataError, match="shape"):
        Edits.between(row(1, 2), row(1))
