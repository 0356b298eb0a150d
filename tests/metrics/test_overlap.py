from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from fibseg.errors import DataError
from fibseg.metrics import Overlap, overlap_per_class


def masks(seed: int, shape: tuple[int, ...] = (5, 6, 7)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random(shape) > 0.4, rng.random(shape) > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(seed: int) -> None:
    p, t = masks(seed)
    got = Overlap().update(p, t).compute()
    a, b = t.ravel(), p.ravel()
    assert got["iou"] == pytest.approx(jaccard_score(a, b))
    assert got["dice"] == pytest.approx(f1_score(a, b))
    assert got["precision"] == pytest.approx(precision_score(a, b))
    assert got["recall"] == pytest.approx(recall_score(a, b))
    assert got["volume_error"] == pytest.approx((p.sum() - t.sum()) / t.sum())


@given(seed=st.integers(0, 99), cut=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_sum_over_blocks_is_the_whole(seed: int, cut: int) -> None:
    p, t = masks(seed)
    scored = masks(seed + 1000)[0]
    whole = Overlap().update(p, t, scored=scored)
    parts = Overlap().update(p[:cut], t[:cut], scored=scored[:cut])
    assert parts.update(p[cut:], t[cut:], scored=scored[cut:]) == whole


def test_unscored_voxels_do_not_count() -> None:
    p, t = masks(7)
    scored = np.zeros_like(p)
    scored[2] = True
    assert Overlap().update(p, t, scored=scored) == Overlap().update(p[2], t[2])
    other = np.where(scored, p, ~p)
    assert Overlap().update(other, t, scored=scored) == Overlap().update(p, t, scored=scored)


def test_nothing_to_compare_is_nan_and_not_a_perfect_score() -> None:
    empty = np.zeros((2, 2, 2), bool)
    assert all(math.isnan(v) for v in Overlap().update(empty, empty).compute().values())
    got = Overlap().update(~empty, empty).compute()
    assert got["iou"] == 0
    assert math.isnan(got["recall"])
    assert Overlap().update(np.zeros((0, 3, 3)), np.zeros((0, 3, 3))).n_scored == 0


def test_classes_are_scored_one_by_one() -> None:
    rng = np.random.default_rng(0)
    p, t = rng.integers(1, 4, (2, 3, 20, 20))
    got = overlap_per_class(p, t, classes={"mitochondria": 2, "nucleus": 3})
    want = jaccard_score(t.ravel(), p.ravel(), labels=[2, 3], average=None)
    np.testing.assert_allclose([s.compute()["iou"] for s in got.values()], want)


def test_other_shapes_are_refused_with_the_shapes() -> None:
    with pytest.raises(DataError, match=r"\(2, 3, 4\), \(4, 3, 2\).*axes look swapped"):
        Overlap().update(np.zeros((2, 3, 4)), np.zeros((4, 3, 2)))
    with pytest.raises(DataError, match="shapes differ"):
        Overlap().update(np.zeros((2, 3, 4)), np.zeros((2, 3, 5)))
