from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fibseg.measure import bootstrap
from fibseg.measure.bootstrap import drawn_coefficients, n_draws
from fibseg.measure.statistics import correlations


def sorted_pairs(n, seed, digits=None):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.normal(size=n))
    y = 0.4 * x + rng.normal(size=n)
    return (x, y) if digits is None else (np.round(x, digits), np.round(y, digits))


def by_scipy(x, y, draws, seed):
    """The same draws, object by object."""
    picked = np.random.default_rng(seed).integers(0, len(x), (draws, len(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return [
            np.array([f(x[p], y[p]).statistic for p in picked])
            for f in (stats.pearsonr, stats.spearmanr)
        ]


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 90), st.integers(0, 99), st.sampled_from([None, 1, 0]))
def test_every_draw_has_the_coefficients_of_scipy(n, seed, digits):
    x, y = sorted_pairs(n, seed, digits)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return
    found = drawn_coefficients(x, y, draws=20, seed=seed)
    for ours, theirs in zip(found, by_scipy(x, y, 20, seed), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6, 1e-7])
def test_one_outlier_does_not_drown_the_others(spread):
    rng = np.random.default_rng(0)
    x = np.append(np.sort(rng.normal(size=30)) * spread, 1e3 * max(spread, 1e-3))
    y = np.append(rng.normal(size=30), 1e3)
    ours, rho = drawn_coefficients(x, y, draws=200, seed=1)
    theirs, their_rho = by_scipy(x, y, 200, 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(rho, their_rho, rtol=1e-12, atol=1e-12)
    assert np.std(ours) > 0.1  # with the outlier near 1, without it near 0


def test_memory_does_not_change_the_draws(monkeypatch):
    x, y = sorted_pairs(30, 0)
    whole = drawn_coefficients(x, y, draws=200, seed=0)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 30 * 7)
    for some, all_ in zip(drawn_coefficients(x, y, draws=200, seed=0), whole, strict=True):
        np.testing.assert_allclose(some, all_, rtol=1e-12, atol=1e-14)


def test_a_draw_of_equal_values_has_no_coefficient():
    x, y = np.array([0, 0, 0, 1.0]), np.array([0, 0, 1, 1.0])
    for found in drawn_coefficients(x, y, draws=300, seed=0):
        assert 0.2 < np.isnan(found).mean() < 0.6
        assert np.nanmax(np.abs(found)) <= 1 + 1e-12


@pytest.mark.parametrize(("n", "most"), [(4, 2000), (20_000, 2000), (10**7, 2000), (10**7, 100)])
def test_ends_of_intervals_are_as_sure_as_said(n, most):
    draws = n_draws(n, most)
    assert draws <= most
    if draws < most:  # the 2.5 % quantile of a normal distribution, from so many draws
        density = stats.norm.pdf(stats.norm.ppf(0.025))
        error = np.sqrt(0.025 * 0.975 / draws) / density / np.sqrt(n)
        assert error < 5e-4


def test_many_objects_take_fewer_draws_and_say_so():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50_000)
    found = correlations({"a": x, "b": x + rng.normal(size=len(x))}, "a", ["b"])
    assert found["n_draws"].tolist() == [800]
    width = found["pearson_high"] - found["pearson_low"]
    # 1.96 (1 - r²) / √n to either side, for normal values
    assert width[0] == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(len(x)), rel=0.15)
