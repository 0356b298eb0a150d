"""The envelope of balls, of which depth, normals and everything along them are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError
from fibseg.pseudolabel import EnvelopeDepth, contrast_within, mean_along
from fibseg.pseudolabel.envelope import border_depth

SHAPE = (64, 64, 64)
RADIUS_NM = 400.0


def radius_nm(spacing, shape=SHAPE):
    middle = (np.array(shape) - 1) / 2
    places = np.moveaxis(np.indices(shape), 0, -1)
    return np.linalg.norm((places - middle) * spacing, axis=-1), middle * spacing


def ball(spacing=(20.0, 20.0, 20.0), shape=SHAPE, reach_nm=300.0, radius=RADIUS_NM):
    away, middle = radius_nm(spacing, shape)
    return EnvelopeDepth.of(away < radius, reach_nm=reach_nm, spacing=spacing), away, middle


def directions(n=200):
    vectors = np.random.default_rng(0).standard_normal((n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("spacing", "shape"), [((20.0, 20.0, 20.0), SHAPE), ((30.0, 15.0, 15.0), (44, 84, 84))]
)
def test_depth_and_normals_of_a_ball(spacing, shape):
    envelope, away, middle = ball(spacing, shape)
    near = (away > 200) & (away < 600)
    error = envelope.depth_nm - (RADIUS_NM - away)
    assert abs(error[near]).max() < max(spacing)
    assert abs(error[near].mean()) < 0.2 * max(spacing)
    outwards = directions()
    _, normals = envelope.at(middle + (RADIUS_NM - 30) * outwards)
    assert (normals * -outwards).sum(axis=1).min() > np.cos(np.radians(6))


@pytest.mark.parametrize("depth_nm", [-60.0, 0.0, 28.0, 120.0])
def test_feet_lie_at_their_depth(depth_nm):
    envelope, _, middle = ball()
    start = middle + directions() * np.linspace(250, 550, 200)[:, None]
    feet, normals = envelope.foot(start, depth_nm=depth_nm)
    away = np.linalg.norm(feet - middle, axis=1)
    np.testing.assert_allclose(RADIUS_NM - away, depth_nm, atol=14)
    moved = (feet - middle) / away[:, None]
    assert (moved * directions()).sum(axis=1).min() > 0.99
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(200))


def test_along_normals_an_image_of_the_radius_is_the_radius():
    envelope, away, middle = ball()
    points, normals = envelope.foot(middle + 380 * directions(), depth_nm=20.0)
    found = mean_along(
        away, points, normals, offsets_nm=[-40, 0, 40, 80], spacing=(20.0, 20.0, 20.0)
    )
    expected = np.linalg.norm(points - middle, axis=1) - 20
    np.testing.assert_allclose(found, expected, atol=4)


@pytest.mark.parametrize("error_nm", [-40.0, -20.0, 0.0, 30.0])
def test_a_mask_that_errs_is_snapped_to_the_membranes(error_nm):
    spacing = (20.0, 20.0, 20.0)
    away, middle = radius_nm(spacing)
    rng = np.random.default_rng(0)
    image = 160 - 45 * np.exp(-(((RADIUS_NM - 28 - away) / 25) ** 2)) + rng.normal(0, 8, SHAPE)
    rough = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 5)
    mask = away + 12 * rough / rough.std() < RADIUS_NM + error_nm
    before = EnvelopeDepth.of(mask, reach_nm=300.0, spacing=spacing)
    after = before.snapped(image, middle_nm=28.0)
    outwards = directions()

    def errors(envelope):
        feet, _ = envelope.foot(middle + RADIUS_NM * outwards, depth_nm=28.0)
        return np.linalg.norm(feet - middle, axis=1) - (RADIUS_NM - 28)

    assert abs(errors(after)).mean() < 7
    assert abs(errors(after).mean()) < 5
    if error_nm:
        assert abs(errors(after)).mean() < 0.5 * abs(errors(before)).mean()


def test_contrast_sees_the_shell_alone():
    envelope, _, _ = ball()
    shell = envelope.shell(28.0, 15.0)
    flat = np.full(int(shell.sum()), 7.0, np.float32)
    settings = {"spot_nm": 25.0, "around_nm": 80.0, "spacing": (20.0, 20.0, 20.0)}
    np.testing.assert_allclose(contrast_within(flat, shell, **settings), 0, atol=1e-4)
    z, y, x = np.nonzero(shell)
    top = np.argmin(z)
    spot = flat + 10 * np.exp(
        -((z - z[top]) ** 2 + (y - y[top]) ** 2 + (x - x[top]) ** 2) * 20.0**2 / (2 * 40.0**2)
    ).astype(np.float32)
    found = contrast_within(spot, shell, **settings)
    assert np.argmax(found) == top
    # On a plane a Gaussian spot of 40 nm loses to the Gaussians: 10 (1600/2225 - 1600/8000).
    assert found[top] == pytest.approx(10 * (1600 / 2225 - 1600 / 8000), rel=0.15)


@pytest.mark.parametrize(("value", "said"), [(0, "empty"), (1, "full")])
def test_a_mask_without_a_border_is_refused(value, said):
    with pytest.raises(DataError, match=said):
        EnvelopeDepth.of(np.full((4, 4, 4), value), reach_nm=100.0, spacing=(20.0, 20.0, 20.0))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("spacing", [(25.0, 8.0, 8.0), (10.0, 10.0, 10.0)])
def test_the_border_lies_between_voxels_whichever_way_it_faces(axis, spacing):
    shape = [9, 9, 9]
    shape[axis] = 40
    index = np.indices(shape)[axis]
    inside = index >= 20
    depth, half = border_depth(inside, max_nm=500, spacing=spacing)
    expected = (index - 19.5) * spacing[axis]
    near = np.abs(expected) < 300
    np.testing.assert_allclose(depth[near], expected[near], atol=1e-3)
    np.testing.assert_allclose(half[near], spacing[axis] / 2, atol=1e-3)
