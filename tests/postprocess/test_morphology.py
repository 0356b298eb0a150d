from __future__ import annotations

import functools
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from strategies import block_shapes, masks, spacings

from fibseg.blocks import map_blocks
from fibseg.errors import UsageError
from fibseg.postprocess import closing, dilation, erosion, morphology, opening

RADII = st.sampled_from([0.0, 4.9, 10.0, 20.0, 33.3])
OPERATORS = [closing, dilation, erosion, opening]


def ball(radius_nm, spacing):
    half = [int(radius_nm / s + 1e-9) for s in spacing]
    grid = np.meshgrid(*(np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True)),
                       indexing="ij")
    return sum(g**2 for g in grid) <= radius_nm**2 * (1 + 1e-9)


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), RADII)
def test_a_closing_is_the_one_of_scipy_with_a_ball(mask, spacing, radius_nm):
    element = ball(radius_nm, spacing)
    grown = ndimage.binary_dilation(mask, element)
    expected = ndimage.binary_erosion(grown, element, border_value=1)
    np.testing.assert_array_equal(dilation(mask, radius_nm=radius_nm, spacing=spacing), grown)
    np.testing.assert_array_equal(closing(mask, radius_nm=radius_nm, spacing=spacing), expected)


@settings(deadline=None, max_examples=100)
@given(
    masks(), spacings(), block_shapes(), RADII, st.sampled_from(OPERATORS),
    st.sampled_from([0, 10**6]),
)
def test_blockwise_equals_whole(mask, spacing, block_shape, radius_nm, operator, most_rows):
    """By offsets and, as for larger balls, by distances."""
    fn = functools.partial(operator, radius_nm=radius_nm, spacing=spacing)
    target = np.zeros(mask.shape, dtype=np.uint8)
    with mock.patch.object(morphology, "ROWS_AT_MOST", most_rows):
        map_blocks(fn, mask.astype(np.uint8), target, block_shape=block_shape)
        np.testing.assert_array_equal(target, fn(mask))


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), RADII)
def test_what_morphology_promises(mask, spacing, radius_nm):
    how = {"radius_nm": radius_nm, "spacing": spacing}
    closed, opened = closing(mask, **how), opening(mask, **how)
    assert (closed >= mask).all(), "a closing only adds, at the faces of the volume too"
    assert (opened <= mask).all(), "an opening only removes"
    np.testing.assert_array_equal(closing(closed, **how), closed)
    np.testing.assert_array_equal(opening(opened, **how), opened)
    np.testing.assert_array_equal(~opening(~mask, **how), closed)
    np.testing.assert_array_equal(~dilation(~mask, **how), erosion(mask, **how))


def test_a_slit_closes_at_its_width():
    mask = np.ones((20, 20, 20), dtype=bool)
    mask[:, :, 9:11] = False
    spacing = (10.0, 10.0, 10.0)
    assert closing(mask, radius_nm=10, spacing=spacing).all()
    mask[:, :, 8:12] = False
    np.testing.assert_array_equal(closing(mask, radius_nm=10, spacing=spacing), mask)


def test_a_dilated_voxel_is_a_ball_in_nm():
    mask = np.zeros((21, 41, 41), dtype=bool)
    mask[10, 20, 20] = True
    grown = dilation(mask, radius_nm=100, spacing=(20.0, 10.0, 10.0))
    assert grown.sum() == pytest.approx(4 / 3 * np.pi * 100**3 / 2000, rel=0.03)
    assert grown[5, 20, 20]
    assert not grown[4, 20, 20]
    assert grown[10, 20, 30]
    assert not grown[10, 20, 31]


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
def test_tiny_arrays(operator, value, shape):
    mask = np.full(shape, value)
    out = operator(mask, radius_nm=30, spacing=(5, 5, 5))
    assert out is not mask
    np.testing.assert_array_equal(out, mask)


def test_the_order_in_memory_does_not_matter():
    mask = np.random.default_rng(0).random((9, 12, 15)) < 0.1
    how = {"radius_nm": 20, "spacing": (20.0, 10.0, 5.0)}
    np.testing.assert_array_equal(closing(np.asfortranarray(mask), **how), closing(mask, **how))


def test_a_negative_radius_is_refused():
    with pytest.raises(UsageError, match="radius_nm=-1 is negative"):
        closing(np.ones((2, 2, 2)), radius_nm=-1, spacing=(1, 1, 1))


@settings(deadline=None, max_examples=40)
@given(masks(), spacings(), st.sampled_from([9.0, 21.0, 40.0]))
def test_both_ways_of_dilating_agree(mask, spacing, radius_nm):
    how = {"radius_nm": radius_nm, "spacing": spacing}
    with mock.patch.object(morphology, "ROWS_AT_MOST", 0):
        by_distance = dilation(mask, **how)
    with mock.patch.object(morphology, "ROWS_AT_MOST", 10**6):
        by_rows = dilation(mask, **how)
    np.testing.assert_array_equal(by_rows, by_distance)
