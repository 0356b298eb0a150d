"""Components against scipy's, also where cc3d fails on boolean arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage
from strategies import masks

from fibseg.geometry import connected

RANK = {6: 1, 18: 2, 26: 3}


def same_partition(mask: np.ndarray, connectivity: int) -> None:
    labels, n = connected(mask, connectivity=connectivity)
    rank = RANK[connectivity]
    expected, n_expected = ndimage.label(mask, ndimage.generate_binary_structure(3, rank))
    assert n == n_expected
    pairs = np.unique(np.stack([labels.ravel(), expected.ravel()]), axis=1)
    assert pairs.shape[1] == n + (not mask.all() if mask.size else 0)  # one to one


@pytest.mark.parametrize("connectivity", [6, 18, 26])
@pytest.mark.parametrize("shape", list(itertools.product([1, 2, 3, 7], [1, 3, 4], [1, 3, 5, 6])))
def test_single_voxels_side_by_side(shape: tuple[int, int, int], connectivity: int) -> None:
    mask = np.zeros(shape, dtype=bool)
    mask[::2, ::2, ::2] = True
    same_partition(mask, connectivity)
    labels, n = connected(mask, connectivity=connectivity)
    assert n == mask.sum()
    assert labels.dtype == np.uint32


@settings(deadline=None, max_examples=60)
@given(masks())
def test_the_partition_is_that_of_scipy(mask: np.ndarray) -> None:
    for connectivity in RANK:
        same_partition(mask, connectivity)


def test_touching_labels_stay_apart() -> None:
    assert connected(np.array([[3, 3, 7, 3]], dtype=np.uint16), connectivity=4)[1] == 3


@pytest.mark.parametrize("shape", [(0, 3, 3), (0,), (4, 0)])
def test_an_empty_array_has_none(shape: tuple[int, ...]) -> None:
    labels, n = connected(np.zeros(shape, dtype=bool), connectivity=26)
    assert (labels.shape, n) == (shape, 0)


def test_a_slice_of_every_second_voxel_is_read_right() -> None:
    mask = np.zeros((6, 6, 6), dtype=bool)
    mask[::2, ::2, ::2] = True
    assert connected(mask[::2, ::2, ::2], connectivity=6)[1] == 1
