"""Painted voxels: the unlabelled never, the others evenly, the same however the array is cut."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from strategies import shapes

from fibseg.blocks import Processes
from fibseg.data import painted_voxels


class Cut:
    """An array that is stored in chunks of another shape."""

    def __init__(self, array, chunks):
        self.array, self.chunks = array, chunks
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, box):
        return self.array[box]


def painting(shape, seed=0, share=0.4):
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 4, shape) * (rng.random(shape) < share)).astype(np.uint8)


def test_all_are_found_where_there_are_few():
    array = painting((6, 20, 20))
    found = painted_voxels(array, most=10**6)
    np.testing.assert_array_equal(found.voxels, np.argwhere(array))
    np.testing.assert_array_equal(found.values, array[array > 0])
    assert found.counts == {v: int((array == v).sum()) for v in (1, 2, 3)}


@given(shapes(), shapes(), st.integers(0, 99), st.sampled_from([1, 5, 40]))
def test_chunks_change_nothing(shape, chunks, seed, most):
    array = painting(shape, seed)
    whole, cut = (painted_voxels(a, most=most) for a in (array, Cut(array, chunks)))
    np.testing.assert_array_equal(whole.voxels, cut.voxels)
    np.testing.assert_array_equal(whole.values, cut.values)
    assert whole.counts == cut.counts
    assert (array[tuple(whole.voxels.T)] == whole.values).all()
    for value, n in whole.counts.items():
        assert (whole.values == value).sum() == min(n, most)


def test_the_draw_is_even_over_the_volume():
    array = np.full((40, 50, 60), 1, np.uint8)
    found = painted_voxels(array, most=4000).voxels / array.shape
    # Of 4000 even draws the mean is off by 0.0046 along each axis, one standard deviation.
    np.testing.assert_allclose(found.mean(axis=0), 0.5, atol=0.02)
    counts, _ = np.histogramdd(found, bins=(4, 4, 4), range=[(0, 1)] * 3)
    assert ((counts - 62.5) ** 2 / 62.5).sum() < 110  # chi square of 63 degrees: 99.98 %


def test_nothing_painted_is_nothing():
    found = painted_voxels(np.zeros((3, 4, 5), np.uint8), most=9)
    assert found.voxels.shape == (0, 3)
    assert found.values.shape == (0,)
    assert found.counts == {}


@pytest.mark.parametrize("most", [7, 10**6])
def test_processes_find_the_same(tmp_path, most):
    array = painting((20, 30, 30))
    stored = zarr.create_array(
        tmp_path / "a.zarr", shape=array.shape, dtype="u1", chunks=(8, 16, 16)
    )
    stored[:] = array
    alone, both = (painted_voxels(stored, most=most, runner=r) for r in (None, Processes(2)))
    np.testing.assert_array_equal(alone.voxels, both.voxels)
    np.testing.assert_array_equal(alone.values, both.values)
