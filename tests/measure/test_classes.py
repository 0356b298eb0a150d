from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from fibseg.errors import UsageError
from fibseg.measure import classes
from fibseg.measure.classes import NAMES, by_mixture, by_thresholds


def three_groups(n=300, seed=0):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(m, s, n) for m, s in ((0.5, 0.2), (4.0, 0.8), (9.0, 0.5))]
    return np.concatenate(parts), np.repeat(NAMES, n)


def test_thresholds_belong_to_the_outer_classes_and_are_stated():
    found = by_thresholds(np.array([1.0, 1.01, 4.99, 5.0, np.nan, np.inf]), near=1, far=5)
    assert found.names.tolist() == [
        "perinuclear", "intermediate", "intermediate", "peripheral", "", ""
    ]
    assert found.limits == (1, 5)
    assert found.rule == (
        "perinuclear where distance_nucleus_um ≤ 1, peripheral where it is ≥ 5, intermediate "
        "between"
    )


@pytest.mark.parametrize(("near", "far"), [(2, 2), (3, 1), (math.nan, 1)])
def test_thresholds_in_no_order_are_refused(near, far):
    with pytest.raises(UsageError, match="from the nucleus outwards"):
        by_thresholds(np.arange(3.0), near=near, far=far)


def test_a_mixture_finds_three_groups_and_states_them():
    values, truth = three_groups()
    found = by_mixture(values, column="depth_um")
    assert np.mean(found.names == truth) > 0.99
    assert 0.9 < found.limits[0] < 2.5
    assert 5.5 < found.limits[1] < 8.5
    assert "depth_um of 900 objects (seed 0)" in found.rule
    assert all(f"{name} mean" in found.rule for name in NAMES)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([1e-3, 1.0, 1e3]))
def test_classes_follow_each_other_outwards_in_any_order_and_unit(seed, unit):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, 2.0, 60)
    found = by_mixture(values * unit)
    order = [NAMES.index(name) for name in found.names[np.argsort(values)]]
    assert order == sorted(order)
    assert found.limits[0] <= found.limits[1]
    shuffled = rng.permutation(60)
    again = by_mixture(values[shuffled] * unit)
    assert again.names.tolist() == found.names[shuffled].tolist()
    assert again.rule == found.rule


def test_a_border_is_where_both_components_are_equally_likely():
    low, high = classes._Part(1.0, 0.3, 0.7), classes._Part(3.0, 1.1, 0.3)
    border = classes._border(low, high)
    weighted = [p.share * norm.pdf(border, p.mean, p.sd) for p in (low, high)]
    assert weighted[0] == pytest.approx(weighted[1])
    assert low.mean < border < high.mean
    equal = classes._border(classes._Part(1, 0.5, 0.5), classes._Part(2, 0.5, 0.5))
    assert equal == pytest.approx(1.5)


def test_a_border_hidden_by_a_strong_component_is_half_way():
    hidden = classes._border(classes._Part(1, 1, 0.999), classes._Part(1.5, 1, 0.001))
    assert hidden == pytest.approx(1.25)


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 20, [1.0, 2.0] * 10, [np.nan] * 30])
def test_what_allows_no_mixture_has_no_classes_and_says_why(values):
    found = by_mixture(np.array(values))
    assert found.names.tolist() == [""] * len(values)
    assert all(math.isnan(limit) for limit in found.limits)
    assert found.rule.startswith("no classes: ")


def test_objects_without_a_distance_have_no_class():
    values, _ = three_groups(20)
    values[3] = np.nan
    assert by_mixture(values).names[3] == ""
