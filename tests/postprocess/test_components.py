from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import morphology
from strategies import masks

from fibseg.postprocess import components, fill_holes, remove_small

CUBE = (10.0, 10.0, 10.0)


@settings(deadline=None, max_examples=60)
@given(masks(), st.sampled_from([6, 18, 26]), st.integers(0, 9))
def test_components_are_those_of_scipy_in_order_of_appearance(mask, connectivity, min_voxels):
    rank = {6: 1, 18: 2, 26: 3}[connectivity]
    labels = components(mask, connectivity=connectivity, min_voxels=min_voxels, spacing=CUBE)
    other, _ = ndimage.label(mask, structure=ndimage.generate_binary_structure(3, rank))
    kept = np.unique(other[labels > 0])
    assert len(kept) == labels.max(initial=0)
    for value in kept:
        assert len(np.unique(labels[other == value])) == 1
        assert (other == value).sum() >= min_voxels
    lost = other[mask & (labels == 0)]
    assert (np.bincount(lost)[np.unique(lost)] < max(min_voxels, 1)).all()
    values, first = np.unique(labels[labels > 0], return_index=True)
    np.testing.assert_array_equal(np.argsort(first), values - 1)


@settings(deadline=None, max_examples=40)
@given(masks(), st.integers(0, 9))
def test_small_objects_go(mask, min_voxels):
    expected = morphology.remove_small_objects(
        mask, max_size=max(min_voxels - 1, 0), connectivity=3
    ) if mask.any() else mask
    np.testing.assert_array_equal(
        remove_small(mask, min_voxels=min_voxels, spacing=CUBE), expected
    )


def test_a_volume_in_um3_is_the_same_limit():
    mask = np.zeros((6, 6, 6), dtype=bool)
    mask[0, 0, :3] = mask[4, 4, :4] = True
    out = remove_small(mask, min_volume_um3=4e-6, spacing=CUBE)
    assert out.sum() == 4


@settings(deadline=None, max_examples=60)
@given(masks())
def test_all_holes_are_those_of_scipy(mask):
    np.testing.assert_array_equal(
        fill_holes(mask, spacing=CUBE), ndimage.binary_fill_holes(mask)
    )


def test_large_holes_and_pits_stay_open():
    mask = np.ones((12, 12, 12), dtype=bool)
    mask[2, 2, 2] = False  # a hole of one voxel
    mask[6:9, 6:9, 6:9] = False  # a hole of 27
    mask[5, 5, :4] = False  # a pit, open at a face
    out = fill_holes(mask, max_volume_um3=2.6e-5, spacing=CUBE)
    assert out[2, 2, 2]
    assert not out[7, 7, 7]
    assert not out[5, 5, 3]
    assert fill_holes(mask, max_volume_um3=2.7e-5, spacing=CUBE)[7, 7, 7]


def test_a_hole_that_leaks_through_an_edge_is_one_only_with_six_neighbours():
    mask = np.ones((5, 5, 5), dtype=bool)
    mask[2, 2, 2] = mask[2, 1, 1] = mask[2, 0, 0] = False
    assert fill_holes(mask, spacing=CUBE)[2, 2, 2]
    assert not fill_holes(mask, connectivity=26, spacing=CUBE)[2, 2, 2]


@pytest.mark.parametrize("shape", [(0, 2, 2), (1, 1, 1)])
@pytest.mark.parametrize("value", [0, 1])
def test_tiny_arrays(shape, value):
    mask = np.full(shape, value, dtype=np.uint8)
    np.testing.assert_array_equal(components(mask, spacing=CUBE), mask)
    np.testing.assert_array_equal(remove_small(mask, spacing=CUBE), mask)
    np.testing.assert_array_equal(fill_holes(mask, spacing=CUBE), mask)
