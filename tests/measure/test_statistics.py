from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fibseg.errors import UsageError
from fibseg.measure.statistics import correlations

NUMBERS = [f"pearson_{p}" for p in ("r", "low", "high", "p")] + [
    f"spearman_{p}" for p in ("rho", "low", "high", "p")
]


def related(n, slope, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return {"size_um": x, "distance_um": slope * x + rng.normal(size=n)}


def row_of(table, **options):
    found = correlations(table, "size_um", ["distance_um"], **options)
    return {name: column[0] for name, column in found.items()}


@pytest.mark.parametrize(("n", "slope"), [(8, 0.5), (60, 0.0), (500, -2.0)])
def test_coefficients_and_p_values_are_those_of_scipy(n, slope):
    table = related(n, slope)
    row = row_of(table)
    pearson, spearman = (f(*table.values()) for f in (stats.pearsonr, stats.spearmanr))
    assert row["n_objects"] == n
    assert row["pearson_r"] == pytest.approx(pearson.statistic)
    assert row["pearson_p"] == pytest.approx(pearson.pvalue)
    assert row["spearman_rho"] == pytest.approx(spearman.statistic)
    assert row["spearman_p"] == pytest.approx(spearman.pvalue)


@pytest.mark.parametrize("rounded", [False, True])
def test_intervals_are_those_of_scipy(rounded):
    table = related(40, 0.7)
    if rounded:  # many equal values
        table = {name: np.round(values) for name, values in table.items()}
    row = row_of(table, n_bootstrap=6000, confidence=0.9)
    for name, statistic in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        other = stats.bootstrap(
            tuple(table.values()), lambda x, y, f=statistic: f(x, y).statistic, paired=True,
            vectorized=False, n_resamples=1500, method="percentile", confidence_level=0.9,
            rng=np.random.default_rng(5),
        ).confidence_interval
        assert row[f"{name}_low"] == pytest.approx(other.low, abs=0.03)
        assert row[f"{name}_high"] == pytest.approx(other.high, abs=0.03)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    truth = 1 / np.sqrt(2)
    rows = [row_of(related(80, 1.0, seed), n_bootstrap=400) for seed in range(150)]
    inside = np.mean([row["pearson_low"] <= truth <= row["pearson_high"] for row in rows])
    assert 0.88 <= inside <= 0.99


def test_no_correlation_is_significant_as_often_as_it_says():
    p = [row_of(related(50, 0.0, seed), n_bootstrap=100)["pearson_p"] for seed in range(200)]
    assert np.mean(np.array(p) < 0.05) <= 0.1


def test_a_monotone_curve_has_rank_correlation_one():
    x = np.linspace(0, 3, 30)
    row = row_of({"size_um": x, "distance_um": np.exp(-5 * x)})
    assert row["spearman_rho"] == row["spearman_low"] == row["spearman_high"] == pytest.approx(-1)
    assert -1 < row["pearson_r"] < -0.5


@settings(deadline=None, max_examples=25)
@given(st.integers(4, 60), st.integers(0, 9), st.booleans())
def test_neither_order_nor_unit_nor_blocks_of_draws_matter(n, seed, ties):
    table = related(n, 0.5, seed)
    if ties:
        table = {name: np.round(values, 1) for name, values in table.items()}
    row = row_of(table, n_bootstrap=150, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(n)
    assert row_of({k: v[shuffled] for k, v in table.items()}, n_bootstrap=150, seed=seed) == row
    nm = row_of({k: v * 1024 for k, v in table.items()}, n_bootstrap=150, seed=seed)
    assert [nm[k] for k in NUMBERS] == pytest.approx([row[k] for k in NUMBERS], nan_ok=True)
    assert row["pearson_low"] <= row["pearson_high"]


@pytest.mark.parametrize(
    "table",
    [
        {"size_um": np.zeros(0), "distance_um": np.zeros(0)},
        {"size_um": np.ones(1), "distance_um": np.ones(1)},
        {"size_um": np.arange(3.0), "distance_um": np.arange(3.0)},
        {"size_um": np.full(9, 0.1), "distance_um": np.arange(9.0)},
        {"size_um": np.arange(9), "distance_um": np.full(9, 1e9) + np.arange(9) * 1e-6},
        {"size_um": np.arange(9.0), "distance_um": np.full(9, np.nan)},
    ],
)
def test_too_few_or_equal_objects_have_no_correlation(table):
    row = row_of(table)
    assert all(np.isnan(row[name]) for name in NUMBERS)
    assert row["n_objects"] == np.isfinite(table["distance_um"]).sum()


def test_objects_without_a_value_are_left_out_pair_by_pair():
    table = related(30, 1.0) | {"other_um": np.arange(30.0)}
    table["distance_um"][:5] = np.nan
    table["size_um"][4:7] = np.inf
    found = correlations(table, "size_um", ["distance_um", "other_um"])
    assert found["n_objects"].tolist() == [23, 27]
    assert found["with_column"].tolist() == ["distance_um", "other_um"]
    rest = {name: values[7:] for name, values in table.items()}
    assert found["pearson_r"][0] == row_of(rest)["pearson_r"]


def test_settings_that_cannot_be_meant_are_refused():
    table = related(9, 1.0)
    with pytest.raises(UsageError, match=r"no column 'area'; it has size_um, distance_um"):
        correlations(table, "size_um", ["area"])
    with pytest.raises(UsageError, match="at least one other column"):
        correlations(table, "size_um", [])
    with pytest.raises(UsageError, match=r"confidence=95 is no share"):
        row_of(table, confidence=95)
    with pytest.raises(UsageError, match="at least 100"):
        row_of(table, n_bootstrap=10)


def test_a_few_objects_with_ties_may_be_drawn_all_equal():
    row = row_of({"size_um": np.array([0, 0, 0, 1.0]), "distance_um": np.array([0, 0, 1, 1.0])})
    assert np.isfinite([row[name] for name in NUMBERS]).all()
