"""The cell is the unit: exact signs, few cells told as such, many objects of a cell no evidence."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from fibseg.errors import UsageError
from fibseg.measure import paired_cells
from fibseg.measure.paired_cells import compared_cells, fewest_cells, pooled, signs_p, smallest_p


def all_signs(differences):
    """Share of all signs that make as large a mean, one by one."""
    signs = np.array([*itertools.product((-1, 1), repeat=len(differences))])
    return np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", ["any", "whole", "with zeros"])
def test_signs_equal_brute_force(n, kind):
    rng = np.random.default_rng(n)
    for _ in range(10):
        differences = rng.normal(0.5, 1, n)
        if kind != "any":
            differences = np.round(differences)  # many sums are equal
        if kind == "with zeros":
            differences[0] = 0
        assert signs_p(differences) == pytest.approx(all_signs(differences))


def test_all_is_as_scipy_has_it():
    rng = np.random.default_rng(4)
    first, second = rng.normal(2, 1, 9), rng.normal(1, 1, 9)
    found = compared_cells(first, second)
    interval = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    permuted = stats.permutation_test(
        (first, second), lambda a, b, axis: np.mean(a - b, axis=axis), n_resamples=np.inf,
        permutation_type="samples", vectorized=True,
    )
    assert found.signs_p == pytest.approx(permuted.pvalue)
    d = first - second
    assert found.effect_size == pytest.approx(d.mean() / d.std(ddof=1) * (1 - 3 / 31))
    assert (found.n_cells, found.difference) == (9, pytest.approx(first.mean() - second.mean()))


def test_order_names_and_units_of_cells_change_nothing():
    rng = np.random.default_rng(7)
    first, second = rng.normal(2, 1, 7), rng.normal(1, 1, 7)
    found = compared_cells(first, second)
    order = rng.permutation(7)
    again = compared_cells(first[order], second[order])
    assert (again.difference, again.low, again.signs_p) == pytest.approx(
        (found.difference, found.low, found.signs_p), abs=1e-14
    )
    other = compared_cells(second, first)
    assert (other.difference, other.low, other.high, other.effect_size) == pytest.approx(
        (-found.difference, -found.high, -found.low, -found.effect_size)
    )
    nm = compared_cells(1000 * first, 1000 * second)
    assert nm.difference == pytest.approx(1000 * found.difference)
    assert (nm.effect_size, nm.signs_p) == pytest.approx((found.effect_size, found.signs_p))
    assert other.signs_p == nm.signs_p == found.signs_p


def test_what_differs_between_cells_but_not_within_is_no_matter():
    rng = np.random.default_rng(2)
    first, second, cell = rng.normal(0, 1, 6), rng.normal(0, 1, 6), rng.normal(0, 50, 6)
    alone, shifted = compared_cells(first, second), compared_cells(first + cell, second + cell)
    assert (shifted.difference, shifted.signs_p) == pytest.approx(
        (alone.difference, alone.signs_p)
    )


@pytest.mark.parametrize(("n", "least"), [(1, 1.0), (2, 0.5), (3, 0.25), (6, 1 / 32)])
def test_few_cells_cannot_be_sure_whatever_they_show(n, least):
    found = compared_cells(np.arange(n) + 100.0, np.zeros(n))
    assert found.signs_p == found.smallest_p == least == smallest_p(n)


def test_six_cells_are_the_fewest():
    assert smallest_p(fewest_cells()) < 0.05 < smallest_p(fewest_cells() - 1)


def test_many_cells_are_drawn_and_agree_with_all_signs(monkeypatch):
    differences = np.random.default_rng(0).normal(0.7, 1, 12)
    exact = signs_p(differences)
    monkeypatch.setattr(paired_cells, "EXACT_UP_TO", 5)
    drawn = signs_p(differences, n_draws=20_000)
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert drawn != exact
    assert signs_p(np.ones(12), n_draws=999) == pytest.approx(smallest_p(12, n_draws=999), abs=.003)


def test_a_cell_without_one_section_counts_nowhere():
    first, second = np.array([1.0, 2, np.nan, 4, 7]), np.array([0.5, np.nan, 3, 3, 8])
    kept = [0, 3, 4]
    assert compared_cells(first, second) == compared_cells(first[kept], second[kept])


@pytest.mark.parametrize("n", [0, 1])
def test_no_interval_of_less_than_two_cells(n):
    found = compared_cells(np.ones(n), np.zeros(n))
    assert found.n_cells == n
    assert np.isnan([found.low, found.high, found.effect_size]).all()
    assert np.isnan(found.difference) == (n == 0)


def test_cells_that_differ_alike_have_no_effect_size():
    found = compared_cells(np.array([1.1, 2.1, 3.1]), np.array([1.0, 2.0, 3.0]))
    assert np.isnan(found.effect_size)
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("wrong", [{"second": np.zeros(2)}, {"confidence": 1.0}])
def test_what_are_no_pairs_is_refused(wrong):
    with pytest.raises(UsageError, match=r"no pairs|no share"):
        compared_cells(**{"first": np.zeros(3), "second": np.zeros(3), **wrong})


def test_pooled_objects_find_what_is_not_there_and_cells_do_not():
    rng = np.random.default_rng(0)
    by_cells, by_objects = [], []
    for _ in range(200):
        # Eight cells whose sections differ by chance, either way, with 100 objects in each section.
        mean = rng.normal(0, 1, (8, 2))
        values = mean[..., None] + rng.normal(0, 1, (8, 2, 100))
        section = np.broadcast_to(np.array([1.0, 2.0])[:, None], values.shape)
        by_objects.append(pooled(values.ravel(), section.ravel()).welch_p)
        by_cells.append(compared_cells(*values.mean(axis=2).T).signs_p)
    assert np.mean(np.array(by_cells) < 0.05) <= 0.08
    assert np.mean(np.array(by_objects) < 0.05) > 0.5


def test_pooled_is_welch_of_all_that_have_a_value():
    rng = np.random.default_rng(1)
    values, section = rng.normal(0, 1, 50), rng.integers(1, 3, 50).astype(float)
    values[:3], section[3:6] = np.nan, np.nan
    one, two = (values[6:][section[6:] == k] for k in (1, 2))
    found = pooled(values, section)
    assert (found.n_1, found.n_2) == (len(one), len(two))
    assert found.welch_p == pytest.approx(stats.ttest_ind(one, two, equal_var=False).pvalue)
    assert found.difference == pytest.approx(one.mean() - two.mean())


def test_pooled_of_one_section_is_missing():
    found = pooled(np.arange(4.0), np.ones(4))
    assert (found.n_1, found.n_2) == (4, 0)
    assert np.isnan([found.difference, found.welch_p]).all()
