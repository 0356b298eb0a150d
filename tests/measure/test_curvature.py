"""Curvature of balls, a capsule and a torus."""

from __future__ import annotations

import numpy as np
import pytest
from surfaces import axes_um, ball, middle_um

from fibseg.errors import UsageError
from fibseg.measure.curvature import curvature
from fibseg.measure.envelope import EnvelopeMesh


def measured(mask, spacing=(40.0, 40.0, 40.0), every=40, **options):
    envelope = EnvelopeMesh.of(mask, spacing=spacing)
    feet = envelope.feet(envelope.vertices_um[::every])
    found = curvature(envelope, feet, **options)
    return feet, found["mean_curvature_per_um"], found["gaussian_curvature_per_um2"]


@pytest.mark.parametrize("radius", [0.8, 1.5])
@pytest.mark.parametrize("spacing", [(40.0, 40.0, 40.0), (50.0, 40.0, 40.0)])
def test_a_ball(radius, spacing):
    _, mean, gaussian = measured(ball(radius, spacing=spacing), spacing)
    assert mean.mean() == pytest.approx(1 / radius, rel=0.05)
    assert gaussian.mean() == pytest.approx(1 / radius**2, rel=0.1)
    assert mean.std() < 0.1


def test_a_hollow_is_bent_the_other_way():
    mask = ~ball(1.0)[25:]  # a dent: closed, it would be a cavity, which is no envelope
    feet, mean, gaussian = measured(mask, every=60)
    inner = feet.points_um[:, 0] > 0.3
    mean, gaussian = mean[inner], gaussian[inner]
    assert mean.mean() == pytest.approx(-1, rel=0.05)
    assert gaussian.mean() == pytest.approx(1, rel=0.1)


def test_a_capsule_is_a_cylinder_between_two_balls():
    shape, radius, half = (90, 50, 50), 0.6, 0.9
    z, y, x = axes_um(shape)
    rest = np.maximum(np.abs(z) - half, 0)
    feet, mean, gaussian = measured(rest * rest + y * y + x * x < radius**2, every=10)
    along = np.abs(feet.points_um[:, 0] - middle_um(shape)[0])
    tube, cap = along < half - 0.4, along > half + 0.4
    assert mean[tube].mean() == pytest.approx(1 / (2 * radius), rel=0.08)
    assert np.abs(gaussian[tube]).mean() < 0.15
    assert mean[cap].mean() == pytest.approx(1 / radius, rel=0.08)
    assert gaussian[cap].mean() == pytest.approx(1 / radius**2, rel=0.15)


def test_a_torus():
    shape, large, small = (44, 110, 110), 1.5, 0.6
    z, y, x = axes_um(shape)
    feet, mean, gaussian = measured(np.hypot(np.hypot(y, x) - large, z) < small)
    around = feet.points_um - middle_um(shape)
    cosine = (np.hypot(around[:, 1], around[:, 2]) - large) / small
    out = large + small * cosine
    assert np.abs(gaussian - cosine / (small * out)).mean() < 0.12
    assert np.abs(mean - (large + 2 * small * cosine) / (2 * small * out)).mean() < 0.08
    assert np.corrcoef(gaussian, cosine / (small * out))[0, 1] > 0.97


def test_a_place_without_enough_envelope_is_missing():
    mask = np.zeros((12, 12, 12), bool)
    mask[:2, :2, :2] = True  # a corner of the volume cuts it: hardly a vertex is left
    _, mean, gaussian = measured(mask, every=1, radius_um=0.01)
    assert len(mean)
    assert np.isnan(mean).all()
    assert np.isnan(gaussian).all()


def test_no_radius_is_refused():
    with pytest.raises(UsageError, match=r"such as 0\.3"):
        measured(ball(0.3), radius_um=0.0)
