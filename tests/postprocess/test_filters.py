from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, probability_volumes, spacings

from fibseg.blocks import map_blocks
from fibseg.errors import UsageError
from fibseg.postprocess import smooth, threshold


@pytest.mark.parametrize("level", [0.01, 0.2, 0.5, 0.501, 0.999, 1.0])
def test_bytes_stand_for_zero_to_one(level):
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(threshold(every, level=level), every / 255 >= level)


def test_floats_are_compared_as_they_are():
    probs = np.array([0.49, 0.5, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(threshold(probs, level=0.5), [False, True, False])


@pytest.mark.parametrize("level", [0, -1, 1.5, 128])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(UsageError, match="is no probability"):
        threshold(np.zeros((1, 1, 1), np.uint8), level=level)


@settings(deadline=None, max_examples=40)
@given(probability_volumes(), spacings(), block_shapes(), st.sampled_from([0.0, 5.0, 22.0]))
def test_smoothing_blockwise_equals_whole_bit_by_bit(probs, spacing, block_shape, sigma_nm):
    fn = functools.partial(smooth, sigma_nm=sigma_nm, spacing=spacing)
    target = np.zeros(probs.shape, dtype=np.float32)
    map_blocks(fn, probs, target, block_shape=block_shape)
    np.testing.assert_array_equal(target, fn(probs))


def test_smoothing_keeps_a_constant_and_the_sum_of_a_point():
    full = np.full((9, 9, 9), 255, np.uint8)
    spacing = (10.0, 10.0, 10.0)
    np.testing.assert_allclose(smooth(full, sigma_nm=10, spacing=spacing), 1, atol=1e-6)
    point = np.zeros((9, 9, 9), np.float32)
    point[4, 4, 4] = 1
    spread = smooth(point, sigma_nm=10, spacing=spacing)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert spread[4, 4, 4] == pytest.approx(0.4 ** 3, rel=0.02)


def test_smoothing_of_nothing_and_backwards():
    assert smooth(np.zeros((0, 3, 3), np.uint8), sigma_nm=9, spacing=(1, 1, 1)).shape == (0, 3, 3)
    with pytest.raises(UsageError, match="negative"):
        smooth(np.zeros((1, 1, 1)), sigma_nm=-1, spacing=(1, 1, 1))
