from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import masks, spacings

from fibseg.postprocess import distance, separable, signed_distance
from fibseg.postprocess.distance import in_nm
from fibseg.postprocess.separable import lower_across, of_one_side, squares_in_planes

CAPS = st.sampled_from([3.0, 20.0, 57.3, 1e6])


def in_two_steps(mask, tile=(32, 64), parts=1, **how):
    """Signed distances, the planes handed over in so many parts and any order."""
    squares = squares_in_planes(mask, **how)
    out = np.zeros(mask.shape, dtype=np.float32)
    for side in (1, -1):
        best = of_one_side(squares, side)
        for n in np.random.default_rng(0).permutation(parts):
            first, stop = n * len(mask) // parts, (n + 1) * len(mask) // parts
            planes = of_one_side(squares[first:stop], side)
            with mock.patch.object(separable, "TILE", tile):
                lower_across(best, planes, first=first, **how)
        out += side * in_nm(best, **how)
    return out


@given(masks(), spacings(), CAPS, st.sampled_from([(32, 64), (3, 4)]))
def test_two_steps_find_what_one_finds(mask, spacing, max_nm, tile):
    how = {"max_nm": max_nm, "spacing": spacing}
    found = in_two_steps(mask, tile, **how)
    np.testing.assert_allclose(found, signed_distance(mask, **how), rtol=1e-6)
    np.testing.assert_allclose(np.maximum(found, 0), distance(mask, **how), rtol=1e-6)


@given(masks(), st.sampled_from([(8.0, 8.0, 8.0), (30.0, 10.0, 10.0), (5.0, 10.0, 20.0)]), CAPS)
def test_they_are_the_same_bit_by_bit_where_spacings_are_multiples(mask, spacing, max_nm):
    how = {"max_nm": max_nm, "spacing": spacing}
    np.testing.assert_array_equal(in_two_steps(mask, **how), signed_distance(mask, **how))


@given(masks(), spacings(), CAPS, st.integers(2, 5))
def test_planes_may_come_in_any_parts_and_order(mask, spacing, max_nm, parts):
    how = {"max_nm": max_nm, "spacing": spacing}
    np.testing.assert_array_equal(in_two_steps(mask, parts=parts, **how), in_two_steps(mask, **how))


@given(masks(), spacings(), CAPS)
def test_squares_in_planes_are_those_of_scipy_plane_by_plane(mask, spacing, max_nm):
    found = squares_in_planes(mask, max_nm=max_nm, spacing=spacing)
    np.testing.assert_array_equal(found < 0, mask)
    for side in (1, -1):
        for plane, one in zip(mask, of_one_side(found, side), strict=True):
            sought = plane if side == 1 else ~plane
            nm = np.sqrt(one) * min(spacing)
            expected = (
                ndimage.distance_transform_edt(~sought, sampling=spacing[1:]) if sought.any()
                else np.full(plane.shape, np.inf)
            )
            certain = ~np.isclose(expected, max_nm, rtol=1e-6)  # a cap may be rounded either way
            expected[expected > max_nm] = np.inf
            np.testing.assert_allclose(nm[certain], expected[certain], rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 3), (1, 1, 1)])
def test_tiny_arrays(shape):
    found = squares_in_planes(np.zeros(shape, dtype=bool), max_nm=9, spacing=(5, 5, 5))
    np.testing.assert_array_equal(found, np.full(shape, np.inf))
    assert found.dtype == np.float32


def test_a_farther_plane_lowers_nothing_and_is_not_looked_at():
    best = np.full((4, 1, 1), 9, dtype=np.float32)
    planes = np.zeros((3, 1, 1), dtype=np.float32)
    lower_across(best, planes, first=7, max_nm=100, spacing=(1, 1, 1))
    np.testing.assert_array_equal(best, np.full((4, 1, 1), 9))
    lower_across(best, planes, first=-4, max_nm=100, spacing=(1, 1, 1))
    np.testing.assert_array_equal(best[:, 0, 0], [4, 9, 9, 9])
