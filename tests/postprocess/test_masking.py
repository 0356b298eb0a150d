from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from strategies import masks, probability_volumes

from fibseg.errors import DataError
from fibseg.postprocess import invert, mask_by, threshold


@given(probability_volumes())
def test_inside_and_outside_make_the_whole(probs):
    other = np.indices(probs.shape).sum(axis=0) % 3
    inside, outside = mask_by(probs, other), mask_by(probs, other, outside=True)
    assert inside.dtype == outside.dtype == probs.dtype
    np.testing.assert_array_equal(inside + outside, probs)
    assert not inside[other == 0].any()
    np.testing.assert_array_equal(inside[other > 0], probs[other > 0])


@given(masks())
def test_a_mask_stays_a_mask(mask):
    found = mask_by(mask, np.ones(mask.shape, np.uint32))
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(invert(mask), ~mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.bool_])
def test_the_opposite_of_the_opposite(dtype):
    array = np.linspace(0, 1, 27).reshape(3, 3, 3)
    if np.issubdtype(dtype, np.integer):
        array *= np.iinfo(dtype).max
    array = array.astype(dtype)
    other = invert(array)
    assert other.dtype == dtype
    np.testing.assert_allclose(invert(other), array, atol=1e-6)
    assert other.argmax() == 0


@given(probability_volumes())
def test_what_is_improbable_is_probable_of_the_opposite(probs):
    np.testing.assert_array_equal(
        threshold(invert(probs), level=0.6), ~threshold(probs, level=0.401)
    )


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
def test_tiny_arrays(shape):
    array = np.ones(shape, dtype=np.uint8)
    np.testing.assert_array_equal(mask_by(array, array), array)
    np.testing.assert_array_equal(invert(array), array * 254)


def test_two_grids_are_refused():
    with pytest.raises(DataError, match=r"shapes \(2, 2, 2\) and \(2, 2, 3\) do not lie on one"):
        mask_by(np.ones((2, 2, 2)), np.ones((2, 2, 3)))
