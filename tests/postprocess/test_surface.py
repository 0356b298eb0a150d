from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import masks, spacings

from fibseg.errors import UsageError
from fibseg.metrics import BoundaryScore, Overlap
from fibseg.postprocess import smooth, smooth_surface
from fibseg.postprocess.surface import LEVELS, smoothed_levels, volume_level

SPACING = (20.0, 10.0, 10.0)
SIGMAS = st.sampled_from([0.0, 5.0, 12.0, 40.0])


def ball(shape, radius_nm, spacing):
    grid = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing, strict=True)),
        indexing="ij",
    )
    return sum(g**2 for g in grid) <= radius_nm**2


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), SIGMAS)
def test_it_holds_as_many_voxels_as_one_level_allows(mask, spacing, sigma_nm):
    """By sorting: everything above the level is inside, and no other level comes nearer."""
    even = smooth_surface(mask, sigma_nm=sigma_nm, spacing=spacing)
    levels = smoothed_levels(mask, sigma_nm=sigma_nm, spacing=spacing)
    assert levels[even].astype(int).min(initial=LEVELS) > levels[~even].max(initial=0)
    n = int(mask.sum())
    candidates = [int((levels >= v).sum()) for v in np.unique(levels) if v > 0] + [0]
    assert abs(even.sum() - n) == min(abs(c - n) for c in candidates)


@settings(deadline=None, max_examples=40)
@given(masks(), spacings())
def test_levels_are_those_of_scipy(mask, spacing):
    levels = smoothed_levels(mask, sigma_nm=15.0, spacing=spacing)
    radius = [int(np.ceil(45.0 / s - 1e-9)) for s in spacing]
    want = ndimage.gaussian_filter(
        mask.astype(float), [15.0 / s for s in spacing], mode="nearest", radius=radius
    )
    np.testing.assert_allclose(levels / (LEVELS - 1), want, atol=1e-4)


def test_a_ball_keeps_its_volume_where_plain_smoothing_shrinks_it():
    mask = ball((21, 41, 41), 120.0, SPACING)
    even = smooth_surface(mask, sigma_nm=50.0, spacing=SPACING)
    plain = smooth(mask.astype(np.float32), sigma_nm=50.0, spacing=SPACING) >= 0.5
    assert even.sum() == pytest.approx(mask.sum(), rel=0.01)
    assert plain.sum() < 0.85 * mask.sum()


def test_a_rough_surface_comes_nearer_to_the_true_one():
    rng = np.random.default_rng(0)
    true = ball((31, 61, 61), 230.0, SPACING)
    rim = ndimage.binary_dilation(true, iterations=2) & ~ndimage.binary_erosion(true, iterations=2)
    rough = np.where(rim & (rng.random(true.shape) < 0.3), ~true, true)
    even = smooth_surface(rough, sigma_nm=30.0, spacing=SPACING)
    iou = [Overlap().update(m, true).compute()["iou"] for m in (rough, even)]
    assert iou[1] > 0.95 > 0.9 > iou[0]
    f1 = [
        BoundaryScore().update(m, true, tolerance_nm=20.0, spacing=SPACING).compute()["boundary_f1"]
        for m in (rough, even)
    ]
    assert f1[1] > 0.99 > f1[0]


def test_the_face_of_the_volume_is_no_surface():
    mask = np.zeros((6, 20, 20), dtype=bool)
    mask[:, :10] = True
    np.testing.assert_array_equal(smooth_surface(mask, sigma_nm=40, spacing=SPACING), mask)


def test_the_level_of_a_volume():
    histogram = np.array([50, 4, 0, 3, 2])
    wanted = {0: 5, 2: 4, 3: 4, 5: 2, 6: 2, 9: 1, 59: 1}
    assert {n: volume_level(histogram, n_voxels=n) for n in wanted} == wanted


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("sigma_nm", [0, 50])
def test_tiny_arrays(shape, value, sigma_nm):
    mask = np.full(shape, value)
    even = smooth_surface(mask, sigma_nm=sigma_nm, spacing=SPACING)
    assert even.dtype == np.bool_
    np.testing.assert_array_equal(even, mask)


def test_bytes_are_a_mask_too():
    mask = ball((9, 15, 15), 60.0, SPACING)
    fn = functools.partial(smooth_surface, sigma_nm=20.0, spacing=SPACING)
    np.testing.assert_array_equal(fn(mask.astype(np.uint8) * 7), fn(mask))


def test_a_negative_sigma_is_refused():
    with pytest.raises(UsageError, match="sigma_nm=-1 is negative"):
        smooth_surface(np.ones((2, 2, 2)), sigma_nm=-1, spacing=SPACING)
