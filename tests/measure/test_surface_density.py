"""Density within 5 % of what was put there, however objects lie, and never across a furrow."""

from __future__ import annotations

import numpy as np
import pytest
from surfaces import apart, ball, ellipsoid, slit_ball

from fibseg.errors import UsageError
from fibseg.measure.connected_balls import connected_in_balls, sites_of
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.surface_density import counts_in_balls, density_per_um2
from fibseg.measure.surface_pairs import scattered

BODIES = {
    "ball": lambda: ball(1.6), "ellipsoid": lambda: ellipsoid((1.0, 1.4, 1.9)),
    "furrow": slit_ball,
}


@pytest.fixture(scope="module", params=list(BODIES))
def envelope(request):
    return EnvelopeMesh.of(BODIES[request.param](), spacing=(40, 40, 40))


@pytest.mark.parametrize("least_um", [0.0, 0.2, 0.25])
def test_mean_density_is_the_number_over_the_area(envelope, least_um):
    n = round(8 * envelope.total_um2)
    means, truths = [], []
    for seed in range(4):
        points = apart(envelope, n, least_um=least_um, seed=seed)
        found = density_per_um2(envelope, envelope.feet(points))
        means.append(found.per_um2.mean())
        truths.append(len(points) / envelope.total_um2)
    assert np.mean(means) == pytest.approx(np.mean(truths), rel=0.05)


def test_objects_that_keep_apart_count_themselves_and_others_do_not():
    body = EnvelopeMesh.of(ball(2.0), spacing=(40, 40, 40))
    random, _ = scattered(body, 400, np.random.default_rng(0))
    ordered = apart(body, 400, least_um=0.27)
    weights = [
        density_per_um2(body, body.feet(points)).self_weight for points in (random, ordered)
    ]
    assert weights[0] < 0.35
    assert weights[1] > 0.6


def test_half_as_dense_on_one_half():
    body = EnvelopeMesh.of(ball(2.0), spacing=(40, 40, 40))
    points = apart(body, 10_000, least_um=0.24)
    middle, rng = points.mean(axis=0), np.random.default_rng(0)
    upper = points[:, 0] > middle[0]
    points = points[upper | (rng.random(len(points)) < 0.5)]
    upper = points[:, 0] > middle[0]
    truth = [np.sum(side) / (body.total_um2 / 2) for side in (upper, ~upper)]
    found = density_per_um2(body, body.feet(points)).per_um2
    away = np.abs(points[:, 0] - middle[0]) > 0.5
    for side, true in zip((upper, ~upper), truth, strict=True):
        assert found[side & away].mean() == pytest.approx(true, rel=0.1)


def test_the_other_wall_of_a_furrow_does_not_count():
    body = EnvelopeMesh.of(slit_ball(width_um=0.12), spacing=(40, 40, 40))
    normal = np.abs(body.normals[:, 0]) > 0.99
    lower, upper = (
        np.flatnonzero(normal & (sign * body.normals[:, 0] > 0)
                       & (np.abs(body.vertices_um[:, 0] - body.vertices_um[:, 0].mean()) < 0.15))
        for sign in (1, -1)
    )
    deep = body.vertices_um[:, 1].mean() + 0.6
    one = lower[np.argmin(np.abs(body.vertices_um[lower] - [[0, deep, 1.5]])[:, 1:].sum(axis=1))]
    away = np.linalg.norm(body.vertices_um[upper] - body.vertices_um[one], axis=1)
    other = upper[np.argmin(away)]
    assert away.min() < 0.2
    feet = body.feet(body.vertices_um[[one, other]])
    others, area = counts_in_balls(body, feet, radius_um=0.4)
    assert others.tolist() == [0, 0]
    assert area == pytest.approx(np.pi * 0.16, rel=0.06)


def test_counts_and_areas_equal_brute_force():
    body = EnvelopeMesh.of(ball(0.8), spacing=(40, 40, 40))
    points, _ = scattered(body, 60, np.random.default_rng(3))
    feet = body.feet(points)
    others, area = counts_in_balls(body, feet, radius_um=0.5)
    between = np.linalg.norm(feet.points_um[:, None] - feet.points_um[None], axis=2)
    assert others.tolist() == ((between <= 0.5).sum(axis=1) - 1).tolist()
    near = np.linalg.norm(feet.points_um[:, None] - body.vertices_um[None], axis=2) <= 0.5
    assert area == pytest.approx(near @ body.area_um2)


def test_order_and_axes_do_not_matter():
    mask = ellipsoid((0.7, 0.9, 1.2))
    one, two = (EnvelopeMesh.of(m, spacing=(40, 40, 40)) for m in (mask, mask.transpose(2, 0, 1)))
    points, _ = scattered(one, 80, np.random.default_rng(0))
    found = density_per_um2(one, one.feet(points))
    swapped = density_per_um2(two, two.feet(points[:, [2, 0, 1]]))
    turned = density_per_um2(one, one.feet(points[::-1]))
    assert turned.per_um2[::-1] == pytest.approx(found.per_um2)
    assert swapped.per_um2 == pytest.approx(found.per_um2, rel=0.02)


def test_at_a_face_of_the_volume_only_what_is_seen_counts():
    mask = ball(1.5)
    body = EnvelopeMesh.of(mask[mask.shape[0] // 2 :], spacing=(40, 40, 40))
    means = []
    for seed in range(3):
        points, _ = scattered(body, round(80 * body.total_um2), np.random.default_rng(seed))
        found = density_per_um2(body, body.feet(points), self_weight=0)
        means.append(found.per_um2[points[:, 0] < 0.3].mean())
    assert np.mean(means) == pytest.approx(80, rel=0.06)


@pytest.mark.parametrize("wrong", [{"radius_um": 0}, {"self_weight": 1.5}])
def test_what_cannot_be_meant_is_refused(wrong):
    body = EnvelopeMesh.of(ball(0.4), spacing=(40, 40, 40))
    with pytest.raises(UsageError, match=r"such as 0\.5|between 0"):
        density_per_um2(body, body.feet(body.vertices_um[:3]), **wrong)


def test_no_object_has_no_density():
    body = EnvelopeMesh.of(ball(0.4), spacing=(40, 40, 40))
    assert density_per_um2(body, body.feet(np.zeros((0, 3)))).per_um2.shape == (0,)


def test_a_piece_holds_what_is_linked_within_the_ball():
    body = EnvelopeMesh.of(slit_ball(), spacing=(40, 40, 40))
    start = np.array([0, 500, 1000])
    links = body.neighbours
    for patch in connected_in_balls(
        body.vertices_um, links, body.vertices_um[start], start, radius_um=0.4
    ):
        for k, first in enumerate(start):
            inside = np.linalg.norm(body.vertices_um - body.vertices_um[first], axis=1) <= 0.4
            reached, todo = {int(first)}, [int(first)]
            while todo:
                for other in links.indices[links.indptr[todo[-1]] : links.indptr[todo.pop() + 1]]:
                    if inside[other] and int(other) not in reached:
                        reached.add(int(other))
                        todo.append(int(other))
            assert sorted(reached) == sorted(patch.member[patch.owner == k].tolist())


def test_sites_keep_the_area_and_the_walls_of_a_furrow_apart():
    body = EnvelopeMesh.of(slit_ball(), spacing=(40, 40, 40))
    sites = sites_of(body, size_um=0.2)
    assert sites.area_um2.sum() == pytest.approx(body.total_um2)
    # Vertices of one site look the same way.
    looks = np.stack([
        np.bincount(sites.of_vertex, body.area_um2 * body.normals[:, k]) for k in range(3)
    ], axis=1)
    share = np.linalg.norm(looks, axis=1) / sites.area_um2
    assert np.quantile(share, 0.01) > 0.4
