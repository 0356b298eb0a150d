"""Mean distances and densities beside what brute force gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import norm

from fibseg.errors import UsageError
from fibseg.measure.crowding import kernel_density_per_um3, mean_distance_um


def points(n, seed=0):
    return np.random.default_rng(seed).uniform(0, 2, (n, 3))


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 99))
def test_mean_distances_are_those_of_brute_force(n, k, seed):
    some = points(n, seed)
    found = mean_distance_um(some, k=k)
    if n <= k:
        assert np.isnan(found).all()
        assert len(found) == n
    else:
        expected = np.sort(cdist(some, some), axis=1)[:, 1 : k + 1].mean(axis=1)
        np.testing.assert_allclose(found, expected)


@given(st.integers(1, 40), st.sampled_from([0.05, 0.1, 0.4]), st.booleans(), st.integers(0, 99))
def test_densities_are_those_of_brute_force(n, bandwidth, leave, seed):
    some = points(n, seed)
    kernels = norm.pdf((some[:, None] - some[None]) / bandwidth).prod(axis=-1) / bandwidth**3
    if leave:
        np.fill_diagonal(kernels, 0)
    found = kernel_density_per_um3(some, bandwidth_um=bandwidth, leave_one_out=leave)
    np.testing.assert_allclose(found, kernels.sum(axis=1), rtol=1e-6, atol=1e-6 / bandwidth**3)


def test_evenly_spread_points_have_the_density_they_were_spread_with():
    some = np.random.default_rng(0).uniform(0, 4, (8000, 3))
    inner = (abs(some - 2) < 1.2).all(axis=1)
    found = kernel_density_per_um3(some, bandwidth_um=0.25, leave_one_out=True)[inner]
    assert found.mean() == pytest.approx(inner.sum() / 2.4**3, rel=0.03)


def test_moving_and_turning_changes_nothing():
    some = points(30)
    turned = (some @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]) + 7
    np.testing.assert_allclose(mean_distance_um(turned), mean_distance_um(some))
    np.testing.assert_allclose(kernel_density_per_um3(turned), kernel_density_per_um3(some))


def test_points_at_one_place_are_at_no_distance():
    assert mean_distance_um(np.zeros((3, 3)), k=2).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mean_distance_um(points(9), k=0), "k=0"),
        (lambda: kernel_density_per_um3(points(9), bandwidth_um=0), "bandwidth_um=0"),
        (lambda: mean_distance_um(points(9)[:, :2]), r"shape \(9, 2\)"),
        (lambda: kernel_density_per_um3(np.full((2, 3), np.nan)), "6 missing"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
