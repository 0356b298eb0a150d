"""Features against scipy, against analytic images, and cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import shapes, spacings

from fibseg.errors import UsageError
from fibseg.geometry import Box
from fibseg.models.features import FEATURES, TRUNCATE, feature_halo, pixel_features

SIGMAS = (15.0, 40.0)


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def by_name(image, sigmas, spacing):
    found = pixel_features(image, sigmas_nm=sigmas, spacing=spacing)
    names = [(name, s) for s in sigmas for name in FEATURES]
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("spacing", [(20.0, 20.0, 20.0), (30.0, 10.0, 8.0)])
def test_they_are_what_scipy_and_numpy_make_of_the_whole_array(spacing):
    image = noise((14, 22, 25))
    wide = image.astype(np.float64)
    for (name, sigma), found in by_name(image, SIGMAS, spacing).items():
        voxels = [sigma / s for s in spacing]
        radius = [int(np.ceil(TRUNCATE * v - 1e-9)) for v in voxels]
        mean = ndimage.gaussian_filter(wide, voxels, mode="nearest", radius=radius)
        inner = (slice(1, -1),) * 3  # numpy's gradient is one-sided at the faces
        if name == "mean":
            np.testing.assert_allclose(found, mean, atol=1e-5)
        elif name == "gradient":
            wanted = sigma * np.sqrt(sum(g**2 for g in np.gradient(mean, *spacing)))
            np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-4)
        elif name == "laplacian":
            wanted = sum(
                np.diff(np.pad(mean, [(int(i == a),) * 2 for i in range(3)], "edge"), 2, axis=a)
                / s**2 for a, s in enumerate(spacing)
            )
            np.testing.assert_allclose(found, sigma**2 * wanted, atol=1e-3)
        else:
            square = ndimage.gaussian_filter(wide**2, voxels, mode="nearest", radius=radius)
            np.testing.assert_allclose(found, np.sqrt(np.maximum(square - mean**2, 0)), atol=1e-3)


def test_a_ramp_has_its_slope_and_no_curvature_in_nm_whatever_the_voxels():
    for spacing in ((20.0, 20.0, 20.0), (40.0, 10.0, 10.0)):
        z, y, x = (np.arange(n) * s for n, s in zip((30, 80, 80), spacing, strict=True))
        ramp = (0.003 * z[:, None, None] + 0.004 * y[:, None] + 0 * x).astype(np.float32)
        found = by_name(ramp, (30.0,), spacing)
        middle = (slice(10, 20), slice(20, 60), slice(20, 60))
        np.testing.assert_allclose(found["gradient", 30.0][middle], 0.005 * 30, rtol=1e-3)
        np.testing.assert_allclose(found["laplacian", 30.0][middle], 0, atol=2e-3)
        # A Gaussian of 30 nm, cut at 3 sigma, spreads over 0.005 per nm.
        deviation = found["deviation", 30.0][middle]
        np.testing.assert_allclose(deviation, 0.005 * 30, rtol=0.04)


def test_a_parabola_has_its_curvature():
    x = np.arange(81) * 10.0
    image = np.broadcast_to((x - 400) ** 2 / 1e4, (5, 9, 81)).astype(np.float32)
    found = by_name(image, (40.0,), (10.0, 10.0, 10.0))
    np.testing.assert_allclose(found["laplacian", 40.0][:, :, 20:60], 40**2 * 2e-4, rtol=1e-2)


@given(shapes(high=24), spacings(), st.integers(0, 2**31), st.data())
def test_a_box_with_its_halo_has_the_very_features_of_the_whole(shape, spacing, seed, data):
    image = noise(shape, seed)
    sigmas = data.draw(st.sampled_from([(8.0,), (20.0, 10.0), (5.0, 33.0)]))
    whole = pixel_features(image, sigmas_nm=sigmas, spacing=spacing)
    start = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    box = Box(start, stop)
    seen = box.grow(feature_halo(sigmas, spacing)).clip(shape)
    part = pixel_features(image[seen.slices], sigmas_nm=sigmas, spacing=spacing)
    np.testing.assert_array_equal(
        part[(slice(None), *box.relative_to(seen).slices)], whole[(slice(None), *box.slices)]
    )


def test_the_halo_is_no_larger_than_it_has_to_be():
    spacing, sigmas = (20.0, 10.0, 10.0), (10.0, 20.0)
    halo = feature_halo(sigmas, spacing)
    image = np.zeros((31, 41, 41), np.float32)
    flat = pixel_features(image, sigmas_nm=sigmas, spacing=spacing)
    image[15, 20, 20] = 100
    z, y, x = np.nonzero((pixel_features(image, sigmas_nm=sigmas, spacing=spacing) != flat).any(0))
    assert (15 - z.min(), 20 - y.min(), 20 - x.min()) == halo


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 1), (0, 4, 4)])
def test_one_voxel_one_plane_and_nothing(shape):
    found = pixel_features(np.full(shape, 2.0, np.float32), sigmas_nm=SIGMAS, spacing=(9, 9, 9))
    assert found.shape == (8, *shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[::4], 2, rtol=1e-6)
    np.testing.assert_allclose(found[1::4], 0)
    np.testing.assert_allclose(found[2::4], 0)


@pytest.mark.parametrize("sigmas", [(), (0.0,), (10.0, -1.0)])
def test_sizes_that_are_none_are_refused(sigmas):
    with pytest.raises(UsageError, match="sigmas_nm"):
        pixel_features(np.zeros((2, 2, 2), np.float32), sigmas_nm=sigmas, spacing=(9, 9, 9))
