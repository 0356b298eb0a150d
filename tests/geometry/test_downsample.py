"""Downsampling against skimage and a brute-force vote; independence of blocks; odd borders."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import block_reduce

from fibseg.errors import UsageError
from fibseg.geometry import (
    downsample_annotation,
    downsample_mean,
    downsample_mode,
    halving_factors,
)

FACTORS = st.tuples(*[st.sampled_from([1, 2])] * 3)
SMALL = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5)
KERNELS = [downsample_mean, downsample_mode, downsample_annotation]


def groups(array: np.ndarray, factors: tuple[int, int, int]):
    """Index of every coarse voxel and the fine voxels that exist in it."""
    shape = [-(-n // f) for n, f in zip(array.shape, factors, strict=True)]
    for index in itertools.product(*map(range, shape)):
        cut = tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))
        yield index, array[cut].ravel().tolist()


@settings(deadline=None, max_examples=60)
@given(array=hnp.arrays(np.uint8, SMALL, elements=st.integers(0, 4)), factors=FACTORS)
def test_mode_and_annotation_are_the_vote_of_the_voxels_that_exist(array, factors):
    mode = downsample_mode(array, factors=factors)
    paint = downsample_annotation(array, factors=factors)
    for index, voxels in groups(array, factors):
        count = Counter(voxels)
        best = max(count, key=lambda v: (count[v], v != 0, -v))
        assert mode[index] == best
        painted = Counter(v for v in voxels if v)
        best = max(painted, key=lambda v: (painted[v], v != 1, -v), default=0)
        assert paint[index] == best


@settings(deadline=None, max_examples=30)
@given(array=hnp.arrays(np.uint16, SMALL), factors=FACTORS)
def test_mean_is_rounded_half_up(array, factors):
    mean = downsample_mean(array, factors=factors)
    assert mean.dtype == np.uint16
    for index, voxels in groups(array, factors):
        # Doubling of border voxels leaves the mean of those that exist, up to no rounding at all.
        assert mean[index] == int(np.floor(np.mean(voxels, dtype=np.float64) + 0.5))


def test_mean_agrees_with_skimage_on_floats():
    image = np.random.default_rng(0).random((8, 10, 6), dtype=np.float32)
    ours = downsample_mean(image, factors=(2, 2, 2))
    np.testing.assert_allclose(ours, block_reduce(image, (2, 2, 2), np.mean), rtol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_equal_the_whole(kernel):
    array = np.random.default_rng(1).integers(0, 4, (7, 9, 11), dtype=np.uint32)
    whole = kernel(array, factors=(2, 2, 1))
    parts = [kernel(array[:4], factors=(2, 2, 1)), kernel(array[4:], factors=(2, 2, 1))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_voxel_and_empty_array(kernel):
    one = np.full((1, 1, 1), 3, np.uint8)
    assert kernel(one, factors=(2, 2, 2)).tolist() == [[[3]]]
    assert kernel(np.zeros((0, 4, 4), np.uint8), factors=(2, 2, 2)).shape == (0, 2, 2)


def test_large_labels_stay_exact():
    labels = np.full((2, 2, 2), 2**40 + 1, np.uint64)
    assert downsample_mode(labels, factors=(2, 2, 2)).item() == 2**40 + 1


@pytest.mark.parametrize("factors", [(3, 1, 1), (2, 2), (0, 1, 1)])
def test_other_factors_are_refused(factors):
    with pytest.raises(UsageError, match="1 or 2"):
        downsample_mean(np.zeros((4, 4, 4), np.uint8), factors=factors)


@pytest.mark.parametrize(
    ("shape", "spacing", "factors"),
    [
        ((100, 100, 100), (20, 20, 20), (2, 2, 2)),
        ((100, 100, 100), (27, 20, 20), (2, 2, 2)),
        ((100, 100, 100), (30, 20, 20), (1, 2, 2)),
        ((1, 100, 100), (5, 20, 20), (1, 2, 2)),  # a single plane is not the finest axis
        ((100, 1, 1), (50, 4, 4), (2, 1, 1)),
        ((1, 1, 1), (5, 5, 5), (1, 1, 1)),
    ],
)
def test_only_the_finest_axes_are_halved(shape, spacing, factors):
    assert halving_factors(shape, spacing) == factors
