from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from skimage.metrics import adapted_rand_error, contingency_table, variation_of_information

from fibseg.errors import DataError
from fibseg.metrics import IGNORED, Contingency, ObjectScore


def label_images(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth of boxes, and the same with objects moved, split, merged, lost and invented."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((8, 24, 24), np.uint32)
    for i in range(12):
        z, y, x = rng.integers(0, (5, 19, 19))
        truth[z : z + 3, y : y + 5, x : x + 5] = i + 1
    prediction = np.roll(truth, rng.integers(-1, 2, 3), (0, 1, 2))
    prediction[prediction == 3] = 4
    prediction[:, :, 12:][prediction[:, :, 12:] == 5] = 77
    prediction[prediction == 6] = 0
    prediction[0, :2, :2] = 99
    return prediction, truth


def by_hungarian(prediction: np.ndarray, truth: np.ndarray, threshold: float) -> list[float]:
    """IoU of matches by brute force: every pair, best assignment."""
    ps, ts = np.unique(prediction[prediction > 0]), np.unique(truth[truth > 0])
    iou = np.array(
        [
            [
                np.sum((prediction == p) & (truth == t)) / np.sum((prediction == p) | (truth == t))
                for t in ts
            ]
            for p in ps
        ]
    )
    rows, columns = linear_sum_assignment(-np.where(iou > threshold, iou, 0))
    return [v for v in iou[rows, columns] if v > threshold]


@pytest.mark.parametrize("seed", range(4))
def test_matches_agree_with_brute_force(seed: int) -> None:
    p, t = label_images(seed)
    score = Contingency().update(p, t).score()
    half, three = by_hungarian(p, t, 0.5), by_hungarian(p, t, 0.75)
    n_p, n_t = np.unique(p).size - 1, np.unique(t).size - 1
    got = score.compute()
    assert (score.n_prediction, score.n_truth) == (n_p, n_t)
    assert (score.n_matched_50, score.n_matched_75) == (len(half), len(three))
    assert got["object_f1_50"] == pytest.approx(2 * len(half) / (n_p + n_t))
    assert got["panoptic_quality"] == pytest.approx(2 * sum(half) / (n_p + n_t))


@pytest.mark.parametrize("seed", range(4))
def test_entropies_and_rand_agree_with_scikit_image(seed: int) -> None:
    p, t = label_images(seed)
    got = Contingency().update(p, t).score().compute()
    split, merge = variation_of_information(t, p, ignore_labels=(0,))
    assert (got["voi_split"], got["voi_merge"]) == pytest.approx((split, merge))
    assert got["adapted_rand_error"] == pytest.approx(adapted_rand_error(t, p)[0])


def test_split_and_merge_are_told_apart() -> None:
    one = np.ones((1, 4, 8), np.uint32)
    two = np.repeat([1, 2], 4)[None, None].repeat(4, 1).astype(np.uint32)
    split = Contingency().update(two, one).score().compute()
    merge = Contingency().update(one, two).score().compute()
    assert (split["voi_split"], split["voi_merge"]) == (1.0, 0.0)
    assert (merge["voi_split"], merge["voi_merge"]) == (0.0, 1.0)


def test_table_agrees_with_scikit_image() -> None:
    p, t = label_images(9)
    table = contingency_table(t, p)
    for predicted, true, n in Contingency().update(p, t).pairs:
        assert round(table[true, predicted] * 1.0) == n or table[true, predicted] == n


@given(seed=st.integers(0, 50), cut=st.integers(0, 8), flip=st.booleans())
@settings(max_examples=20, deadline=None)
def test_any_blocks_in_any_order_give_the_same_table(seed: int, cut: int, flip: bool) -> None:
    p, t = label_images(seed)
    parts = [slice(0, cut), slice(cut, 8)][:: -1 if flip else 1]
    table = Contingency()
    for part in parts:
        table = table + Contingency().update(p[part], t[part])
    whole = Contingency().update(p, t)
    np.testing.assert_array_equal(table.keys, whole.keys)
    np.testing.assert_array_equal(table.counts, whole.counts)
    assert table.score() == whole.score()


def test_scores_of_separate_images_join_like_one_image_with_other_labels() -> None:
    p1, t1 = label_images(1)
    p2, t2 = label_images(2)
    joined = Contingency().update(p1, t1).score() + Contingency().update(p2, t2).score()
    shift_p, shift_t = np.where(p2 > 0, p2 + 200, 0), np.where(t2 > 0, t2 + 200, 0)
    table = Contingency().update(p1, t1).update(shift_p, shift_t)
    for name in ("object_f1_50", "panoptic_quality", "object_volume_error"):
        assert joined.compute()[name] == pytest.approx(table.score().compute()[name])


def test_unknown_ground_neither_rewards_nor_punishes() -> None:
    truth = np.zeros((1, 10, 30), np.uint32)
    truth[:, 2:6, 2:6] = 1
    truth[:, :, 15:] = IGNORED
    prediction = np.zeros_like(truth)
    prediction[:, 2:6, 2:6] = 5  # right
    prediction[:, 2:6, 14:20] = 6  # mostly on unknown ground: left out
    score = Contingency().update(prediction, truth).score()
    assert (score.n_prediction, score.n_truth, score.n_matched_75) == (1, 1, 1)
    prediction[:, 2:6, 10:16] = 7  # mostly on known ground: invented
    assert Contingency().update(prediction, truth).score().n_prediction == 2


def test_nothing_predicted_and_nothing_true() -> None:
    nothing = np.zeros((2, 3, 3), np.uint32)
    _, truth = label_images(0)
    assert all(
        math.isnan(v) for v in Contingency().update(nothing, nothing).score().compute().values()
    )
    missed = Contingency().update(np.zeros_like(truth), truth).score().compute()
    assert missed["object_recall_50"] == 0
    assert math.isnan(missed["object_precision_50"])
    assert Contingency().update(nothing[:0], nothing[:0]).score() == ObjectScore()


def test_what_is_no_label_image_is_refused() -> None:
    good = np.zeros((1, 2, 2), np.uint32)
    with pytest.raises(DataError, match="float64, not whole numbers"):
        Contingency().update(good.astype(float), good)
    with pytest.raises(DataError, match="run from -1 to 0"):
        Contingency().update(good, good.astype(int) - np.eye(2, dtype=int))
    with pytest.raises(DataError, match="shapes differ"):
        Contingency().update(good, good[:, :1])
