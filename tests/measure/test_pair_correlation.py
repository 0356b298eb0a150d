"""Pair correlation and K: 1 where nothing is, the gap of objects that keep apart, honest p."""

from __future__ import annotations

import numpy as np
import pytest
from surfaces import apart, ball, slit_ball

from fibseg.errors import UsageError
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.pair_correlation import global_envelope, pair_correlation
from fibseg.measure.surface_pairs import SurfacePairs, scattered

RADII = (0.25, 0.5, 1.0)


@pytest.fixture(scope="module")
def round_pairs():
    return SurfacePairs.of(EnvelopeMesh.of(ball(1.6), spacing=(40, 40, 40)), radii_um=RADII)


@pytest.fixture(scope="module")
def slit_pairs():
    return SurfacePairs.of(
        EnvelopeMesh.of(slit_ball(width_um=0.12), spacing=(40, 40, 40)), radii_um=RADII
    )


def test_on_a_ball_every_near_pair_is_a_pair(round_pairs):
    envelope = round_pairs.envelope
    points, vertex = scattered(envelope, 120, np.random.default_rng(0))
    first, second, away = round_pairs.within(points, vertex, radius_um=0.9)
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    wanted = np.argwhere(np.triu(between <= 0.9, k=1))
    assert np.stack([first, second], axis=1).tolist() == wanted.tolist()
    assert away == pytest.approx(between[first, second])


def test_across_a_slit_there_is_no_pair(slit_pairs):
    envelope = slit_pairs.envelope
    points, vertex = scattered(envelope, 900, np.random.default_rng(0))
    first, second, away = slit_pairs.within(points, vertex, radius_um=0.25)
    one, two = (envelope.normals[vertex[which]] for which in (first, second))
    facing = np.einsum("ij,ij->i", one, two)
    middle = envelope.vertices_um.mean(axis=0)
    deep = (points[first, 1] > middle[1] + 0.4) & (points[second, 1] > middle[1] + 0.4)
    radial = np.linalg.norm(points - middle, axis=1)
    inner = deep & (radial[first] < 0.9) & (radial[second] < 0.9)
    assert inner.sum() > 100
    assert facing[inner].min() > -0.5  # never one wall and the other
    everything = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert len(away) < 0.95 * np.triu(everything <= 0.25, k=1).sum()


def test_random_objects_are_random(round_pairs):
    p_values = []
    for seed in range(20):
        points, _ = scattered(round_pairs.envelope, 150, np.random.default_rng(100 + seed))
        found = pair_correlation(
            round_pairs, round_pairs.envelope.feet(points), n_simulations=39, seed=seed
        )
        p_values.append(found.p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.2
    assert np.mean(np.array(p_values) <= 0.5) >= 0.2
    assert found.curves["pair_correlation"][8:].mean() == pytest.approx(1, abs=0.15)
    assert found.curves["ripley_l_um"][-1] == pytest.approx(1, abs=0.1)


def test_objects_that_keep_apart_leave_a_gap(round_pairs):
    points = apart(round_pairs.envelope, 250, least_um=0.25)
    found = pair_correlation(
        round_pairs, round_pairs.envelope.feet(points), n_simulations=99
    )
    curves = found.curves
    gap = curves["radius_to_um"] <= 0.2
    assert (curves["pair_correlation"][gap] == 0).all()
    assert curves["pair_correlation"][5:7].min() > 1
    assert (curves["ripley_l_um"][gap] == 0).all()
    assert max(found.p_value, found.p_pair_correlation) <= 0.02
    assert (curves["pair_correlation_low"] <= curves["pair_correlation_high"]).all()


def test_gathered_objects_lie_above_the_band(round_pairs):
    envelope, rng = round_pairs.envelope, np.random.default_rng(0)
    middles, _ = scattered(envelope, 40, rng)
    points = middles[rng.integers(0, 40, 200)] + 0.08 * rng.standard_normal((200, 3))
    found = pair_correlation(round_pairs, envelope.feet(points), n_simulations=39)
    assert found.p_value <= 0.05
    assert found.curves["pair_correlation"][2] > found.curves["pair_correlation_high"][2]


def test_k_counts_pairs(round_pairs):
    points, _ = scattered(round_pairs.envelope, 200, np.random.default_rng(1))
    found = pair_correlation(
        round_pairs, round_pairs.envelope.feet(points), n_simulations=199
    )
    pairs = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(200, 1)]
    # Chord r on a ball: the cap has an area of exactly pi r squared.
    area = round_pairs.envelope.total_um2
    wanted = area * np.mean(pairs <= 1.0)
    assert found.curves["ripley_k_um2"][-1] == pytest.approx(wanted, rel=0.05)


def test_band_and_p_of_a_row_that_is_out():
    rng = np.random.default_rng(0)
    curves = rng.standard_normal((200, 12))
    inside, low, high = global_envelope(curves, 0.95)
    assert inside > 0.05
    curves[0] = 9
    outside, low, high = global_envelope(curves, 0.95)
    assert outside == 1 / 200
    assert high[5] < 9
    assert (low < high).all()


def test_band_holds_about_as_many_as_it_says():
    curves = np.random.default_rng(1).standard_normal((400, 10)).cumsum(axis=1)
    _, low, high = global_envelope(curves, 0.9)
    within = ((curves >= low) & (curves <= high)).all(axis=1).mean()
    assert within == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_objects_have_none(round_pairs, n):
    feet = round_pairs.envelope.feet(round_pairs.envelope.vertices_um[:n])
    found = pair_correlation(round_pairs, feet, n_simulations=19)
    assert np.isnan(found.p_value)
    assert np.isnan(found.curves["pair_correlation"]).all()


def test_the_order_of_objects_does_not_matter(slit_pairs):
    points, _ = scattered(slit_pairs.envelope, 90, np.random.default_rng(2))
    one, two = (
        pair_correlation(slit_pairs, slit_pairs.envelope.feet(p), n_simulations=19)
        for p in (points, points[::-1])
    )
    assert one.curves["pair_correlation"].tolist() == two.curves["pair_correlation"].tolist()


@pytest.mark.parametrize("wrong", [{"step_um": 2.0}, {"n_simulations": 5}])
def test_what_cannot_be_meant_is_refused(round_pairs, wrong):
    feet = round_pairs.envelope.feet(round_pairs.envelope.vertices_um[:9])
    with pytest.raises(UsageError, match="at least 19 simulations"):
        pair_correlation(round_pairs, feet, **wrong)
