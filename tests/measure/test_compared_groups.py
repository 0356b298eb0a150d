"""Two conditions, compared with the cell as the unit: against SciPy, and against what is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from fibseg.errors import UsageError
from fibseg.measure import compared_groups as module
from fibseg.measure.compared_groups import (
    compared_conditions,
    compared_groups,
    effect_interval,
    holm,
    labels_p,
    pooled_objects,
    smallest_p,
)


def of_means(one, two, axis):
    return np.abs(np.mean(one, axis=axis) - np.mean(two, axis=axis))


def scipys_p(one, two):
    return stats.permutation_test(
        (one, two), of_means, vectorized=True, n_resamples=np.inf, alternative="greater",
    ).pvalue


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (2, 5), (6, 3), (5, 5)])
def test_the_exact_test_is_scipys(sizes):
    rng = np.random.default_rng(sum(sizes))
    one, two = rng.normal(0, 1, sizes[0]), rng.normal(0.8, 2, sizes[1])
    assert labels_p(one, two) == pytest.approx(scipys_p(one, two), abs=1e-12)


def test_equal_values_are_ties_for_both():
    one, two = np.array([1.0, 1, 2, 2]), np.array([1.0, 2, 2, 3])
    assert labels_p(one, two) == pytest.approx(scipys_p(one, two), abs=1e-12)
    assert labels_p(one, one) == 1.0


def test_many_cells_are_drawn_and_agree_with_all_ways(monkeypatch):
    rng = np.random.default_rng(1)
    one, two = rng.normal(0, 1, 7), rng.normal(1, 1, 8)
    exact = labels_p(one, two)
    monkeypatch.setattr(module, "EXACT_UP_TO", 10)
    drawn = labels_p(one, two, n_draws=20_000)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert drawn == labels_p(one, two, n_draws=20_000), "the same seed, the same p"
    assert drawn != labels_p(one, two, n_draws=20_000, seed=1)
    assert smallest_p(7, 8, n_draws=99) == 0.01
    assert np.isnan(labels_p(one, one[:0]))


@pytest.mark.parametrize("sizes", [(2, 2), (3, 3), (2, 4), (4, 3), (4, 4)])
def test_the_smallest_p_is_reached_where_conditions_lie_apart(sizes):
    one, two = np.arange(sizes[0]) + 0.0, 100 + np.arange(sizes[1]) ** 2.0
    assert labels_p(one, two) == pytest.approx(smallest_p(*sizes))


@given(
    hnp.arrays(float, st.integers(2, 5), elements=st.floats(-100, 100, width=16)),
    hnp.arrays(float, st.integers(2, 5), elements=st.floats(-100, 100, width=16)),
)
def test_swapped_and_shuffled_it_tells_the_same(one, two):
    found, other = compared_groups(one, two), compared_groups(two[::-1], one[::-1])
    assert found.labels_p == other.labels_p
    assert smallest_p(len(one), len(two)) <= found.labels_p <= 1
    assert found.difference == -other.difference
    if np.isfinite(found.effect_size):
        assert found.effect_size == pytest.approx(-other.effect_size)
        assert found.effect_low <= found.effect_size <= found.effect_high or abs(
            found.effect_size
        ) > 1e6


def test_false_positives_are_as_rare_as_promised_and_true_ones_are_found():
    rng = np.random.default_rng(3)
    alike = np.array([labels_p(*rng.normal(0, 1, (2, 5))) for _ in range(2000)])
    far = np.array([
        labels_p(rng.normal(0, 1, 5), rng.normal(2.5, 1, 5)) for _ in range(200)
    ])
    rate = np.mean(alike <= 0.05)
    assert 0.03 < rate < 0.065  # 2000 draws: 0.05 within three standard errors
    assert np.mean(far <= 0.05) > 0.8


def test_the_pooled_test_is_wrong_where_cells_differ():
    """Cells that differ among themselves, and no condition: the reason for all of this."""
    rng = np.random.default_rng(4)
    wrong = {"cells": 0, "pooled": 0}
    for _ in range(200):
        cells = [rng.normal(rng.normal(0, 1), 1, 50) for _ in range(8)]
        means = np.array([cell.mean() for cell in cells])
        wrong["cells"] += compared_groups(means[:4], means[4:]).labels_p <= 0.05
        wrong["pooled"] += pooled_objects(cells[:4], cells[4:])["welch_p"] <= 0.05
    assert wrong["cells"] < 22  # 5 % and three standard errors
    assert wrong["pooled"] > 100


def test_intervals_hold_the_truth_as_often_as_promised():
    rng = np.random.default_rng(5)
    held, effect = 0, 0
    for _ in range(600):
        found = compared_groups(rng.normal(0, 1, 4), rng.normal(1.5, 1, 6), n_draws=1)
        held += found.low <= 1.5 <= found.high
        effect += found.effect_low <= 1.5 <= found.effect_high
    assert 0.92 < held / 600 < 0.985
    assert 0.92 < effect / 600 < 0.985


@pytest.mark.parametrize(("g", "n_1", "n_2"), [(0.0, 3, 3), (1.2, 5, 9), (-4.0, 2, 2)])
def test_ends_of_the_effects_interval_make_the_found_t_just_unlikely(g, n_1, n_2):
    low, high = effect_interval(g, n_1, n_2, confidence=0.9)
    scale, df = np.sqrt(n_1 * n_2 / (n_1 + n_2)), n_1 + n_2 - 2
    t = g / (1 - 3 / (4 * df - 1)) * scale
    assert stats.nct.sf(t, df, low * scale) == pytest.approx(0.05, abs=1e-6)
    assert stats.nct.cdf(t, df, high * scale) == pytest.approx(0.05, abs=1e-6)


def test_welchs_interval_is_scipys():
    one, two = np.array([1.0, 4, 2, 8]), np.array([7.0, 9, 12])
    found = compared_groups(one, two, confidence=0.9)
    other = stats.ttest_ind(two, one, equal_var=False).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((other.low, other.high))


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_cells_have_values_and_no_test(n):
    found = compared_groups(np.array([1.0, 2, 3]), np.array([5.0] * n + [np.nan]))
    assert (found.n_1, found.n_2) == (3, n)
    assert found.mean_1 == 2.0
    assert np.isnan([found.labels_p, found.effect_size, found.low, found.smallest_p]).all()
    assert (found.difference == 3.0) if n else np.isnan(found.difference)


def test_cells_that_are_all_alike_have_no_effect_size():
    found = compared_groups(np.ones(3), np.ones(3))
    assert found.labels_p == 1.0
    assert np.isnan([found.effect_size, found.effect_low, found.low]).all()


@pytest.mark.parametrize("bad", [
    {"confidence": 1.0}, {"confidence": 0.0}, {"first": np.ones((2, 2))},
])
def test_what_cannot_be_meant_is_refused(bad):
    with pytest.raises(UsageError, match=r"no share|no lists"):
        compared_groups(**{"first": np.ones(2), "second": np.ones(2), **bad})


def test_holms_correction_keeps_the_order_and_the_missing():
    assert holm(np.array([0.01, 0.02, 0.03])).tolist() == pytest.approx([0.03, 0.04, 0.04])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert np.isnan(holm(np.array([np.nan]))).all()


def test_conditions_are_compared_in_pairs_and_corrected_over_them():
    rng = np.random.default_rng(0)
    values = {name: rng.normal(i, 1, 4) for i, name in enumerate("abc")}
    rows = compared_conditions(values)
    assert [(row["first"], row["second"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    one = compared_groups(values["a"], values["c"])
    assert rows[1]["labels_p"] == one.labels_p
    assert [row["holm_p"] for row in rows] == holm(
        np.array([row["labels_p"] for row in rows])
    ).tolist()
    assert rows[1]["holm_p"] > rows[1]["labels_p"]


def test_pooled_objects_without_any_have_no_test():
    found = pooled_objects([np.array([1.0, np.nan])], [])
    assert (found["n_1"], found["n_2"]) == (1, 0)
    assert np.isnan(found["welch_p"])
