"""Pairs along an envelope: all that are near on a ball, none across a furrow; evenly scattered."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from surfaces import ball, ellipsoid, slit_ball

from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.surface_pairs import SurfacePairs, scattered, sites_width

RADII = (0.25, 0.5, 1.0)


def pairs_on(mask):
    return SurfacePairs.of(EnvelopeMesh.of(mask, spacing=(40, 40, 40)), radii_um=RADII)


@pytest.fixture(scope="module")
def round_pairs():
    return pairs_on(ball(1.0))


@pytest.fixture(scope="module")
def slit_pairs():
    return pairs_on(slit_ball(width_um=0.12))


@pytest.mark.parametrize("radius", [0.1, 0.25, 0.7, 1.0])
def test_on_a_ball_pairs_are_those_of_brute_force(round_pairs, radius):
    points, vertex = scattered(round_pairs.envelope, 80, np.random.default_rng(0))
    first, second, away = round_pairs.within(points, vertex, radius_um=radius)
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    known = np.argwhere(np.triu(between <= radius, 1))
    assert np.stack([first, second], axis=1).tolist() == known.tolist()
    assert away == pytest.approx(between[first, second])


def test_across_a_slit_there_is_no_pair(slit_pairs):
    body = slit_pairs.envelope
    middle = body.vertices_um.mean(axis=0)
    deep = (np.abs(body.normals[:, 0]) > 0.95) & (
        np.abs(body.vertices_um[:, 0] - middle[0]) < 0.15
    ) & (body.vertices_um[:, 1] > middle[1] + 0.4)
    vertex = np.flatnonzero(deep)[::23]
    points = body.vertices_um[vertex]
    lower = body.normals[vertex, 0] > 0
    first, second, away = slit_pairs.within(points, vertex, radius_um=0.25)
    assert (lower[first] == lower[second]).all()
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    across = np.triu(between <= 0.25, 1) & (lower[:, None] != lower[None])
    assert across.sum() > 10  # that are near through the nucleoplasm's gap
    # Of one wall hardly a pair is lost.
    along = np.triu(between <= 0.25, 1) & (lower[:, None] == lower[None])
    assert len(first) >= 0.97 * along.sum()
    assert away.max() <= 0.25


def test_the_order_of_objects_changes_no_pair(slit_pairs):
    points, vertex = scattered(slit_pairs.envelope, 120, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(120)
    one = slit_pairs.within(points, vertex, radius_um=0.8)
    two = slit_pairs.within(points[order], vertex[order], radius_um=0.8)
    known = {frozenset(p) for p in zip(one[0].tolist(), one[1].tolist(), strict=True)}
    again = {
        frozenset(p) for p in zip(order[two[0]].tolist(), order[two[1]].tolist(), strict=True)
    }
    assert known == again


@pytest.mark.parametrize("n", [0, 1])
def test_less_than_two_objects_have_no_pair(round_pairs, n):
    points, vertex = scattered(round_pairs.envelope, n, np.random.default_rng(0))
    first, second, away = round_pairs.within(points, vertex, radius_um=1.0)
    assert len(first) == len(second) == len(away) == 0


def test_sites_are_about_as_wide_as_they_are_told(round_pairs):
    widths = [sites_width(sites) for sites in round_pairs.levels]
    assert widths == sorted(widths)
    assert widths[0] == pytest.approx(0.12, rel=0.4)
    assert widths[-1] == pytest.approx(0.2, rel=0.4)


def test_scattered_places_are_even_by_area():
    body = EnvelopeMesh.of(ellipsoid((0.6, 0.9, 1.4)), spacing=(40, 40, 40))
    points, vertex = scattered(body, 20_000, np.random.default_rng(0))
    away, nearest = body.tree().query(points)
    assert away.max() < 0.06
    assert np.mean(nearest == vertex) > 0.7
    # As many in every eighth along the long axis as it has area.
    edges = np.quantile(body.vertices_um[:, 2], np.linspace(0, 1, 9))
    edges[0], edges[-1] = -np.inf, np.inf
    area, _ = np.histogram(body.vertices_um[:, 2], edges, weights=body.area_um2)
    found, _ = np.histogram(body.vertices_um[vertex, 2], edges)
    assert stats.chisquare(found, area / area.sum() * len(points)).pvalue > 0.001
