from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from fibseg.errors import DataError
from fibseg.metrics import Overlap, ProbabilityCounts


def planes(seed: int = 0, shape: tuple[int, int] = (60, 70)) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and painting that is 0, 1 or 2."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, shape, np.uint8), rng.integers(0, 3, shape, np.uint8)


@given(
    arrays(np.uint8, (5, 7)), arrays(np.uint8, (5, 7), elements=st.integers(0, 3)),
    st.integers(1, 255),
)
def test_every_threshold_is_scored_as_its_mask_would_be(
    probs: np.ndarray, painted: np.ndarray, level: int
) -> None:
    counts = ProbabilityCounts.of(probs, painted, value=2)
    want = Overlap().update(probs >= level, painted == 2, scored=painted > 0)
    assert counts.at(level) == want
    false_positive, true_positive = counts.at_least()[:, level]
    assert (true_positive, false_positive) == (want.true_positive, want.false_positive)


@given(st.integers(1, 59))
def test_planes_join_to_the_counts_of_the_whole(cut: int) -> None:
    probs, painted = planes()
    parts = [
        ProbabilityCounts.of(probs[rows], painted[rows], value=2)
        for rows in (slice(0, cut), slice(cut, None))
    ]
    whole = ProbabilityCounts.of(probs, painted, value=2)
    assert np.array_equal((parts[0] + parts[1]).counts, whole.counts)
    assert whole.n_scored == np.count_nonzero(painted)


def test_best_level_is_that_of_a_search_over_masks() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random((80, 80)) < 0.3
    probs = np.clip(rng.normal(np.where(truth, 120, 60), 30), 0, 255).astype(np.uint8)
    counts = ProbabilityCounts.of(probs, truth.astype(np.uint8) + 1, value=2)
    iou = [Overlap().update(probs >= level, truth).compute()["iou"] for level in range(1, 256)]
    assert counts.at(counts.best_level()).compute()["iou"] == max(iou)
    assert 70 < counts.best_level() < 110


def test_among_equal_levels_the_nearest_to_one_half_is_taken() -> None:
    probs = np.array([[10, 10, 250, 250]], np.uint8)
    painted = np.array([[1, 1, 2, 2]], np.uint8)
    assert ProbabilityCounts.of(probs, painted, value=2).best_level() == 128
    low = np.array([[10, 10, 90, 90]], np.uint8)
    assert ProbabilityCounts.of(low, painted, value=2).best_level() == 90


def test_brier_score_and_reliability_agree_with_scikit_learn() -> None:
    probs, painted = planes(5)
    counts = ProbabilityCounts.of(probs, painted, value=2)
    known = painted > 0
    truth, p = (painted == 2)[known], probs[known] / 255
    assert counts.brier() == pytest.approx(brier_score_loss(truth, p))
    found = counts.reliability(n_bins=8)
    # Bins of 32 whole levels each; scikit-learn takes the same edges when they are given so.
    observed, predicted = calibration_curve(truth, (probs[known] + 0.5) / 256, n_bins=8)
    assert found.observed == pytest.approx(observed)
    assert found.predicted == pytest.approx((predicted * 256 - 0.5) / 255)
    assert found.n_voxels.sum() == counts.n_scored
    off = np.abs(found.predicted - found.observed) @ found.n_voxels / counts.n_scored
    assert found.calibration_error == pytest.approx(off)


def test_probabilities_that_mean_what_they_say_are_hardly_off() -> None:
    rng = np.random.default_rng(0)
    probs = rng.integers(0, 256, (500, 500)).astype(np.uint8)
    painted = (rng.random(probs.shape) < probs / 255).astype(np.uint8) + 1
    honest = ProbabilityCounts.of(probs, painted, value=2).reliability()
    assert honest.calibration_error < 0.01
    bold = np.where(probs > 127, 255, 0).astype(np.uint8)
    assert ProbabilityCounts.of(bold, painted, value=2).reliability().calibration_error > 0.2


def test_nothing_scored_gives_missing_values() -> None:
    nothing = ProbabilityCounts.of(
        np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint8), value=2
    )
    assert nothing.n_scored == 0
    assert nothing.best_level() == 128
    assert np.isnan(nothing.brier())
    assert np.isnan(nothing.reliability().calibration_error)
    assert nothing.reliability().as_dict()["predicted"] == [None] * 10


def test_arrays_of_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="shapes differ"):
        ProbabilityCounts.of(np.zeros((3, 3), np.uint8), np.zeros((3, 4), np.uint8), value=2)
