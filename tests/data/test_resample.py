from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import block_reduce

from fibseg.data import resample, resample_annotation, resampled_shape, working_factor


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_whole_factors_are_block_means(f: int, h: int, w: int, seed: int) -> None:
    plane = np.random.default_rng(seed).integers(0, 255, (h * f, w * f), np.uint8)
    got = resample(plane, (10.0, 10.0), (10.0 * f, 10.0 * f))
    np.testing.assert_allclose(got, block_reduce(plane, f, np.mean), rtol=1e-5)


def test_a_border_that_does_not_fill_a_pixel_is_repeated() -> None:
    plane = np.array([[1.0, 3.0, 5.0]])
    assert resample(plane, (1.0, 1.0), (1.0, 2.0)).tolist() == [[2.0, 5.0]]


@pytest.mark.parametrize("working", [(14.0, 14.0), (7.0, 7.0), (15.0, 10.0)])
def test_other_ratios_keep_a_linear_ramp(working: tuple[float, float]) -> None:
    y, x = np.mgrid[:60, :80] + 0.5
    plane = (2 * y + 3 * x).astype(np.float32)
    got = resample(plane, (10.0, 10.0), working)
    assert got.shape == resampled_shape((60, 80), (10.0, 10.0), working)
    fy, fx = 60 / got.shape[0], 80 / got.shape[1]
    yy, xx = np.mgrid[: got.shape[0], : got.shape[1]] + 0.5
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(got[inner], (2 * yy * fy + 3 * xx * fx)[inner], atol=0.25)


def test_channels_are_kept_apart() -> None:
    planes = np.random.default_rng(0).random((3, 30, 30), np.float32)
    whole = resample(planes, (10.0, 10.0), (14.0, 14.0))
    for one, plane in zip(whole, planes, strict=True):
        np.testing.assert_allclose(one, resample(plane, (10.0, 10.0), (14.0, 14.0)))


def test_annotation_takes_the_commonest_class_where_half_is_labelled() -> None:
    annotation = np.array([
        [2, 2, 0, 0, 3, 1],
        [2, 1, 0, 1, 3, 3],
    ])
    got = resample_annotation(annotation, (10.0, 10.0), (20.0, 20.0))
    assert got.tolist() == [[2, 0, 3]]
    assert got.dtype == np.uint8


def test_annotation_of_the_same_spacing_is_untouched() -> None:
    annotation = np.random.default_rng(0).integers(0, 4, (9, 7), np.uint8)
    assert np.array_equal(resample_annotation(annotation, (10, 10), (10.4, 10.4)), annotation)


def test_factors() -> None:
    assert [working_factor(10, w) for w in (5, 10, 10.9, 19, 20, 30)] == [None, 1, 1, 2, 2, 3]
