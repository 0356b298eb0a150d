from __future__ import annotations

import functools
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import expand_labels
from strategies import block_shapes, spacings, sparse_labels

from fibseg.blocks import map_blocks
from fibseg.errors import DataError, UsageError
from fibseg.postprocess import dilation, grow_regions, growing

FAR = st.sampled_from([0.0, 4.9, 10.0, 20.0, 33.3, 500.0])


def by_brute_force(labels, distance_nm, spacing):
    """Nearest label, then smallest, from all pairs of voxels in whole hundredths of a nm."""
    hundredths = np.rint(np.array(spacing) * 100).astype(np.int64)
    places = np.argwhere(labels)
    if not len(places):
        return labels
    numbers = labels[tuple(places.T)]
    order = np.argsort(numbers, kind="stable")
    places, numbers = places[order] * hundredths, numbers[order]
    voxels = np.argwhere(labels >= 0) * hundredths
    squared = ((voxels[:, None] - places[None]) ** 2).sum(axis=2)
    nearest = squared.argmin(axis=1)  # the first of equals: the smallest number
    near = squared.min(axis=1) <= (distance_nm * 100) ** 2 * (1 + 1e-9)
    return np.where(near, numbers[nearest], 0).reshape(labels.shape)


@settings(deadline=None, max_examples=80)
@given(sparse_labels(high=8), spacings(), FAR)
def test_the_nearest_wins_then_the_smaller(labels, spacing, distance_nm):
    grown = grow_regions(labels, distance_nm=distance_nm, spacing=spacing)
    assert grown.dtype == labels.dtype
    np.testing.assert_array_equal(grown, by_brute_force(labels, distance_nm, spacing))


@settings(deadline=None, max_examples=60)
@given(sparse_labels(), spacings(), FAR)
def test_it_covers_what_a_dilation_covers_and_is_as_near_as_scipy(labels, spacing, distance_nm):
    grown = grow_regions(labels, distance_nm=distance_nm, spacing=spacing)
    np.testing.assert_array_equal(
        grown > 0, dilation(labels, radius_nm=distance_nm, spacing=spacing)
    )
    np.testing.assert_array_equal(grown[labels > 0], labels[labels > 0])
    nearest = ndimage.distance_transform_edt(labels == 0, sampling=spacing)
    for label in np.unique(grown[grown > 0]):
        own = ndimage.distance_transform_edt(labels != label, sampling=spacing)
        np.testing.assert_allclose(own[grown == label], nearest[grown == label], rtol=1e-6)


@settings(deadline=None, max_examples=80)
@given(sparse_labels(), spacings(), block_shapes(), FAR, st.booleans())
def test_blockwise_equals_whole(labels, spacing, block_shape, distance_nm, fenced):
    within = np.indices(labels.shape).sum(axis=0) % 3 > 0 if fenced else None
    fn = functools.partial(grow_regions, distance_nm=distance_nm, spacing=spacing)
    target = np.full(labels.shape, 99, dtype=np.uint32)
    sources = [labels] if within is None else [labels, within]
    map_blocks(fn, sources, target, block_shape=block_shape)
    np.testing.assert_array_equal(target, fn(*sources))


def test_skimage_grows_single_objects_to_the_same():
    rng = np.random.default_rng(3)
    labels = np.zeros((20, 24, 28), dtype=np.uint32)
    labels[tuple(rng.integers(4, 16, (3, 6)))] = 7
    np.testing.assert_array_equal(
        grow_regions(labels, distance_nm=50, spacing=(10, 10, 10)),
        expand_labels(labels, distance=5),
    )


def test_it_stays_within():
    labels = np.zeros((1, 1, 7), dtype=np.uint8)
    labels[0, 0, 2] = 4
    labels[0, 0, 6] = 9
    within = np.array([[[1, 1, 0, 1, 0, 1, 1]]])
    grown = grow_regions(labels, within, distance_nm=30, spacing=(10, 10, 10))
    assert grown[0, 0].tolist() == [4, 4, 4, 4, 0, 9, 9], "what is there stays, also outside"


@settings(deadline=None, max_examples=40)
@given(sparse_labels(), spacings(), st.integers(0, 2**32 - 1), st.booleans())
def test_it_takes_only_what_lies_in_the_interval(labels, spacing, seed, fenced):
    image = np.random.default_rng(seed).integers(0, 100, labels.shape).astype(np.int16)
    within = image % 7 if fenced else None
    free = grow_regions(labels, distance_nm=30, spacing=spacing)
    for limits, inside in (
        ({"low": 40}, image >= 40), ({"high": 59.5}, image < 60),
        ({"low": 40, "high": 60}, (image >= 40) & (image <= 60)),
    ):
        inside = inside & (within != 0) if fenced else inside
        grown = grow_regions(labels, within, image, distance_nm=30, **limits, spacing=spacing)
        np.testing.assert_array_equal(grown, np.where((labels > 0) | inside, free, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64, np.int32])
def test_any_type_of_numbers_and_order_in_memory(dtype):
    labels = np.zeros((5, 6, 7), dtype=dtype, order="F")
    labels[2, 3, 4] = np.iinfo(dtype).max
    labels[2, 3, 0] = 1
    before = labels.copy()
    grown = grow_regions(labels, distance_nm=20, spacing=(10, 10, 10))
    assert grown.dtype == dtype
    assert grown[2, 3].tolist() == [1, 1, 1] + [np.iinfo(dtype).max] * 4
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [0, 7])
def test_tiny_arrays(shape, value):
    labels = np.full(shape, value, dtype=np.uint32)
    grown = grow_regions(labels, distance_nm=30, spacing=(5, 5, 5))
    assert grown is not labels
    np.testing.assert_array_equal(grown, labels)


def test_what_cannot_be_meant_is_refused():
    labels = np.arange(8, dtype=np.uint32).reshape(2, 2, 2)
    with pytest.raises(UsageError, match="distance_nm=-1 is negative"):
        grow_regions(labels, distance_nm=-1, spacing=(1, 1, 1))
    for image, limits in ((labels, {}), (None, {"low": 3}), (None, {"high": 3})):
        with pytest.raises(UsageError, match="Give an image and at least one of its limits"):
            grow_regions(labels, None, image, distance_nm=1, **limits, spacing=(1, 1, 1))
    with pytest.raises(UsageError, match="low=3 is above high=2"):
        grow_regions(labels, None, labels, distance_nm=1, low=3, high=2, spacing=(1, 1, 1))
    with pytest.raises(DataError, match="do not lie on one grid"):
        grow_regions(labels, labels[:1], distance_nm=1, spacing=(1, 1, 1))
    with pytest.raises(UsageError, match="too far to grow"):
        grow_regions(labels, distance_nm=1e9, spacing=(1, 1, 1))
    with (
        mock.patch.object(growing, "_LABEL_BITS", 2),
        pytest.raises(DataError, match="7 objects in one block are too many"),
    ):
        grow_regions(labels, distance_nm=1, spacing=(1, 1, 1))
