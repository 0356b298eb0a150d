from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, probability_volumes, spacings

from fibseg.blocks import map_blocks
from fibseg.errors import UsageError
from fibseg.postprocess import enhance_particles, opening, preserve_bright_particles

CUBE = (10.0, 10.0, 10.0)
DIAMETERS = st.sampled_from([0.0, 9.8, 20.0, 44.0])
METHODS = st.sampled_from(["laplacian", "difference"])


def element(radius_nm, spacing):
    half = [int(radius_nm / s + 1e-9) for s in spacing]
    grid = np.meshgrid(
        *(np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True)), indexing="ij"
    )
    return sum(g**2 for g in grid) <= radius_nm**2 * (1 + 1e-9)


def ball(shape, radius_nm, spacing, centre=None):
    """Share of each voxel inside of a ball, from 4³ points."""
    fine = np.zeros(shape)
    steps = (np.arange(4) - 1.5) / 4
    middle = [(n - 1) / 2 for n in shape] if centre is None else centre
    for shift in np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3):
        grid = np.meshgrid(
            *((np.arange(n) + d - c) * s
              for n, d, c, s in zip(shape, shift, middle, spacing, strict=True)), indexing="ij"
        )
        fine += sum(g**2 for g in grid) <= radius_nm**2
    return (fine / 64).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(probability_volumes(), spacings(), DIAMETERS)
def test_the_top_hat_is_that_of_scipy_with_a_ball(image, spacing, diameter_nm):
    foot = element(diameter_nm / 2, spacing)
    low = ndimage.grey_erosion(image, footprint=foot, mode="constant", cval=255)
    opened = ndimage.grey_dilation(low, footprint=foot, mode="constant", cval=0)
    np.testing.assert_array_equal(
        preserve_bright_particles(image, diameter_nm=diameter_nm, spacing=spacing), image - opened
    )


@settings(deadline=None, max_examples=60)
@given(probability_volumes(), spacings(), block_shapes(), DIAMETERS)
def test_the_top_hat_blockwise_equals_whole(image, spacing, block_shape, diameter_nm):
    fn = functools.partial(preserve_bright_particles, diameter_nm=diameter_nm, spacing=spacing)
    target = np.zeros_like(image)
    map_blocks(fn, image, target, block_shape=block_shape)
    np.testing.assert_array_equal(target, fn(image))


@settings(deadline=None, max_examples=40)
@given(probability_volumes(), spacings(), DIAMETERS, st.integers(1, 255))
def test_every_level_of_the_opening_is_the_opening_of_that_level(image, spacing, nm, level):
    opened = image - preserve_bright_particles(image, diameter_nm=nm, spacing=spacing)
    np.testing.assert_array_equal(
        opened >= level, opening(image >= level, radius_nm=nm / 2, spacing=spacing)
    )


def test_small_things_stay_and_the_ground_goes():
    spacing = (20.0, 10.0, 10.0)
    image = np.broadcast_to(np.linspace(50, 120, 60).astype(np.uint8), (24, 40, 60)).copy()
    image[10:12, 8:11, 10:13] += 90
    image[6:18, 12:36, 25:49] += 60
    kept = preserve_bright_particles(image, diameter_nm=60, spacing=spacing)
    assert kept[10, 9, 11] >= 85
    assert kept[11:13, 20:28, 30:44].max() <= 10
    assert preserve_bright_particles(image * np.float32(2), diameter_nm=60, spacing=spacing)[
        10, 9, 11
    ] == pytest.approx(2 * kept[10, 9, 11])


@pytest.mark.parametrize("method", ["laplacian", "difference"])
@pytest.mark.parametrize("spacing", [CUBE, (25.0, 10.0, 10.0), (10.0, 12.0, 30.0)])
def test_a_ball_of_that_diameter_gives_its_contrast_in_its_middle(method, spacing):
    shape = tuple(int(2 * 330 / s) | 1 for s in spacing)
    image = 0.2 + 0.5 * ball(shape, 90.0, spacing)
    answer = {
        d: enhance_particles(image, diameter_nm=d, method=method, spacing=spacing)
        for d in (90, 140, 180, 230, 360)
    }
    middle = {d: float(a[tuple(n // 2 for n in shape)]) for d, a in answer.items()}
    assert middle[180] == pytest.approx(0.5, rel=0.02)
    assert max(middle, key=middle.get) == 180
    assert answer[180].argmax() == image.size // 2
    assert answer[180][0, 0, 0] == pytest.approx(0, abs=1e-3)


def test_both_ways_are_those_of_scipy_where_voxels_are_fine():
    image = np.random.default_rng(0).random((40, 40, 40)).astype(np.float32)
    sigma = 4.0
    diameter_nm = 2 * math.sqrt(3) * sigma * 10
    laplace = -(sigma**2) * ndimage.gaussian_laplace(image.astype(float), sigma, mode="nearest")
    found = enhance_particles(image, diameter_nm=diameter_nm, spacing=CUBE)
    np.testing.assert_allclose(found, np.maximum(laplace, 0) / 0.92499, atol=2e-3)
    assert found.max() > 0.1
    narrow, wide = (
        ndimage.gaussian_filter(image.astype(float), s, mode="nearest")
        for s in (sigma / math.sqrt(1.6), sigma * math.sqrt(1.6))
    )
    found = enhance_particles(image, diameter_nm=diameter_nm, method="difference", spacing=CUBE)
    scale = (narrow - wide)[found > 0.05] / found[found > 0.05]
    assert np.ptp(scale) < 2e-3


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([4.0, 15.0, 60.0]), spacings(), METHODS, st.integers(0, 255))
def test_even_ground_and_slopes_are_no_particles(diameter_nm, spacing, method, level):
    how = {"diameter_nm": diameter_nm, "method": method, "spacing": spacing}
    even = np.full((7, 8, 9), level, dtype=np.uint8)
    assert enhance_particles(even, **how).max() < 1e-5
    slope = np.linspace(0, 1, 61, dtype=np.float32) * np.ones((3, 3, 1), dtype=np.float32)
    middle = enhance_particles(slope, **how | {"spacing": (30.0, 30.0, 30.0)})[1, 1, 30]
    assert middle < 1e-5


@settings(deadline=None, max_examples=40)
@given(probability_volumes(), spacings(), block_shapes(), METHODS)
def test_enhancing_blockwise_equals_whole(image, spacing, block_shape, method):
    fn = functools.partial(enhance_particles, diameter_nm=24.0, method=method, spacing=spacing)
    target = np.zeros(image.shape, dtype=np.float32)
    map_blocks(fn, image, target, block_shape=block_shape)
    np.testing.assert_array_equal(target, fn(image))


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_tiny_arrays(shape, dtype):
    image = np.ones(shape, dtype=dtype)
    kept = preserve_bright_particles(image, diameter_nm=100, spacing=CUBE)
    assert (kept.shape, kept.dtype, kept.sum()) == (shape, dtype, 0)
    found = enhance_particles(image, diameter_nm=100, spacing=CUBE)
    assert (found.shape, found.dtype) == (shape, np.float32)
    assert found.sum() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("operator", "settings", "words"),
    [(preserve_bright_particles, {"diameter_nm": -1}, "diameter_nm=-1 is negative"),
     (enhance_particles, {"diameter_nm": 0}, "diameter_nm=0 is no diameter"),
     (enhance_particles, {"diameter_nm": 9, "method": "x"}, "Use one of laplacian, difference")],
)
def test_what_cannot_be_meant_is_refused(operator, settings, words):
    with pytest.raises(UsageError, match=words):
        operator(np.zeros((2, 2, 2), np.uint8), **settings, spacing=CUBE)
