"""What differences of sections are held against: deals, splits and draws of patches."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from fibseg.measure.patch_draws import (
    dealt,
    difference_of,
    drawn_anew,
    split_by_planes,
    two_sided_p,
)
from fibseg.measure.surface_patches import SectionPatches


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def ball(rng):
    """Patches of a sphere, those above the equator section 1."""
    middle = rng.standard_normal((300, 3))
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    section = np.where(middle[:, 0] > 0, 1, 2)
    return SectionPatches(np.arange(300), section, rng.uniform(0.5, 1.5, 300), middle)


def test_a_difference_is_that_of_weighted_means(rng):
    weight, value = rng.uniform(1, 5, 20), rng.normal(0, 1, 20)
    sums = np.stack([weight, weight * value, weight * value**2], axis=1)
    rows = rng.random((7, 20)) < 0.4
    for row, found in zip(rows, difference_of(sums, rows), strict=True):
        known = np.average(value[row], weights=weight[row]) - np.average(
            value[~row], weights=weight[~row]
        )
        assert found == pytest.approx(known)
    assert np.isnan(difference_of(sums, np.zeros((1, 20), bool)))


def test_as_many_patches_are_dealt_to_each_section(rng):
    first = np.arange(12) < 5
    found = dealt(first, 500, rng)
    assert (found.sum(axis=1) == 5).all()
    assert found.mean(axis=0) == pytest.approx(5 / 12, abs=0.1)
    assert len(np.unique(found, axis=0)) > 200


def test_a_split_has_the_area_of_section_1_in_front_of_a_plane(ball, rng):
    first = ball.section == 1
    wanted = ball.area_um2[first].sum()
    for front in split_by_planes(first, ball, 50, rng):
        assert ball.area_um2[front].sum() == pytest.approx(wanted, abs=1.5)
        # Some plane parts them: side * (normal · place - height) >= 1e-6 can be fulfilled.
        side = np.where(front, 1, -1)[:, None]
        rows = side * np.column_stack([ball.middle_um, -np.ones(300)])
        found = linprog(np.zeros(4), A_ub=-rows, b_ub=np.full(300, -1e-6), bounds=(-1, 1))
        assert found.status == 0


def test_splits_turn_with_the_body(ball):
    first = ball.section == 1
    turn = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    turned = SectionPatches(ball.of_site, ball.section, ball.area_um2, ball.middle_um @ turn)
    share = [
        np.mean(split_by_planes(first, body, 4000, np.random.default_rng(0)), axis=0)
        for body in (ball, turned)
    ]
    assert np.abs(share[0] - share[1]).max() < 0.05  # every direction is as likely


def test_draws_spread_as_the_standard_error_says(rng):
    value = rng.normal(0, 1, 400)
    first = np.arange(400) < 150
    sums = np.stack([np.ones(400), value, value**2], axis=1)
    difference, effect = drawn_anew(sums, first, 4000, rng)
    error = np.sqrt(value[first].var() / 150 + value[~first].var() / 250)
    assert difference.std() == pytest.approx(error, rel=0.05)
    found = difference_of(sums, first[None])[0]
    assert difference.mean() == pytest.approx(found, abs=4 * error / 60)
    assert effect == pytest.approx(difference / value.std(), rel=0.25)


def test_chance_counts_what_was_found():
    simulated = np.array([0.1, -0.5, 0.3, np.nan, -2.0])
    assert two_sided_p(0.4, simulated) == pytest.approx(3 / 5)
    assert two_sided_p(-0.4, simulated) == pytest.approx(3 / 5)
    assert two_sided_p(9.0, simulated) == pytest.approx(1 / 5)
    assert np.isnan(two_sided_p(float("nan"), simulated))
