from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, masks, spacings

from fibseg.blocks import map_blocks
from fibseg.errors import UsageError
from fibseg.geometry import reach_nm
from fibseg.postprocess import distance, signed_distance

CAPS = st.sampled_from([3.0, 20.0, 57.3, 1e6])


def of_scipy(mask, spacing, max_nm):
    if not mask.any():
        return np.full(mask.shape, max_nm)
    return np.minimum(ndimage.distance_transform_edt(~mask, sampling=spacing), max_nm)


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), CAPS)
def test_distances_are_those_of_scipy(mask, spacing, max_nm):
    outside = of_scipy(mask, spacing, max_nm)
    found = distance(mask, max_nm=max_nm, spacing=spacing)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, outside, rtol=1e-6)
    signed = signed_distance(mask, max_nm=max_nm, spacing=spacing)
    inside = of_scipy(~mask, spacing, max_nm)
    np.testing.assert_allclose(signed, np.where(mask, -inside, outside), rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), CAPS)
def test_the_other_side_has_the_opposite_distance(mask, spacing, max_nm):
    how = {"max_nm": max_nm, "spacing": spacing}
    signed = signed_distance(mask, **how)
    np.testing.assert_array_equal(signed_distance(~mask, **how), -signed)
    np.testing.assert_array_equal(signed < 0, mask)
    np.testing.assert_allclose(np.maximum(signed, 0), distance(mask, **how), rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(masks(), spacings(), block_shapes(), st.sampled_from([3.0, 20.0, 57.3]))
def test_with_a_cap_it_is_a_local_operator(mask, spacing, block_shape, max_nm):
    fn = functools.partial(signed_distance, max_nm=max_nm, spacing=spacing)
    assert reach_nm(fn) == max_nm
    target = np.zeros(mask.shape, dtype=np.float32)
    map_blocks(fn, mask, target, block_shape=block_shape)
    np.testing.assert_allclose(target, fn(mask), rtol=1e-6)


def test_beyond_the_cap_stands_the_cap_itself():
    mask = np.zeros((1, 1, 9), dtype=np.uint8)
    mask[..., 0] = 7
    found = distance(mask, max_nm=0.3, spacing=(1, 1, 0.1))
    np.testing.assert_allclose(found[0, 0, :3], [0, 0.1, 0.2], rtol=1e-6)
    assert (found[0, 0, 3:] == np.float32(0.3)).all()


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [False, True])
def test_tiny_arrays(value, shape):
    mask = np.full(shape, value)
    how = {"max_nm": 50.0, "spacing": (5, 5, 5)}
    np.testing.assert_array_equal(distance(mask, **how), np.full(shape, 0 if value else 50))
    np.testing.assert_array_equal(
        signed_distance(mask, **how), np.full(shape, -50 if value else 50)
    )


def test_the_order_in_memory_does_not_matter():
    mask = np.random.default_rng(0).random((9, 12, 15)) < 0.05
    how = {"max_nm": 200.0, "spacing": (20.0, 10.0, 5.0)}
    for fn in (distance, signed_distance):
        np.testing.assert_array_equal(fn(np.asfortranarray(mask), **how), fn(mask, **how))


@pytest.mark.parametrize("max_nm", [0, -1, np.inf, np.nan])
def test_a_cap_that_is_none_is_refused(max_nm):
    with pytest.raises(UsageError, match="is no distance to look"):
        distance(np.ones((2, 2, 2)), max_nm=max_nm, spacing=(1, 1, 1))
