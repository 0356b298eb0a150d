from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes, spacings

from fibseg.blocks import Grid
from fibseg.errors import UsageError
from fibseg.measure import clouds, regions

CELLS = st.tuples(*[st.integers(1, 5)] * 3)


def in_blocks(labels, block_shape, cell, spacing):
    sums = clouds.partial(labels[:0], start=(0, 0, 0), cell=cell)
    for block in Grid.over(labels.shape, block_shape).blocks(lambda write: write):
        part = clouds.partial(labels[block.read.slices], start=block.read.start, cell=cell)
        sums = clouds.merge(sums, part)
    return clouds.finish(sums, cell=cell, spacing=spacing)


@settings(deadline=None, max_examples=60)
@given(label_volumes(), CELLS, block_shapes(), spacings())
def test_points_are_means_of_voxels_in_any_blocks(labels, cell, block_shape, spacing):
    found = in_blocks(labels, block_shape, cell, spacing)
    size_um = np.array(spacing) * 1e-3
    np.testing.assert_array_equal(found.label, np.unique(labels[labels != 0]))
    np.testing.assert_allclose(found.cell_um, size_um * cell)
    for row, label in enumerate(found.label):
        voxels = np.argwhere(labels == label)
        points, n = found.points_um[found.of(row)], found.n_voxels[found.of(row)]
        of_voxels = voxels // cell
        cells = np.unique(of_voxels, axis=0)
        np.testing.assert_array_equal(found.cells[found.of(row)], cells)
        for point, count, each in zip(points, n, cells, strict=True):
            own = voxels[(of_voxels == each).all(axis=1)]
            assert len(own) == count
            np.testing.assert_allclose(point, own.mean(axis=0) * size_um)


@settings(deadline=None, max_examples=60)
@given(label_volumes(), CELLS, spacings())
def test_the_centre_of_geometry_is_kept(labels, cell, spacing):
    found = in_blocks(labels, labels.shape, cell, spacing)
    table = regions.measure(labels, spacing=spacing)
    centres = np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1)
    np.testing.assert_allclose(found.centres_um, centres, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.sizes, table["n_voxels"])


def test_slabs_of_planes_change_nothing(monkeypatch):
    labels = np.random.default_rng(0).integers(0, 4, (11, 7, 5)).astype(np.uint8)
    whole = clouds.measure(labels, cell_nm=30, spacing=(10, 10, 10))
    monkeypatch.setattr(clouds, "_SLAB_VOXELS", 80)
    slabs = clouds.measure(labels, cell_nm=30, spacing=(10, 10, 10))
    for name in ("label", "first", "points_um", "cells", "n_voxels"):
        np.testing.assert_array_equal(getattr(slabs, name), getattr(whole, name))


def test_some_objects_keep_their_points():
    labels = np.random.default_rng(0).integers(0, 6, (9, 9, 9)).astype(np.uint16)
    every = clouds.measure(labels, cell_nm=20, spacing=(10, 10, 10))
    some = every.only(np.array([True, False, True, False, True]))
    only = clouds.measure(np.where(labels % 2, labels, 0), cell_nm=20, spacing=(10, 10, 10))
    for name in ("label", "first", "points_um", "cells", "n_voxels"):
        np.testing.assert_array_equal(getattr(some, name), getattr(only, name))


def test_a_thin_object_does_not_vanish():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[20, 20, :] = 1
    found = clouds.measure(labels, cell_nm=100, spacing=(10, 10, 10))
    assert len(found.points_um) == 4
    np.testing.assert_allclose(found.points_um[:, :2], 0.2)


def test_no_object_has_no_points():
    for shape in ((0, 3, 3), (4, 4, 4)):
        labels = np.zeros(shape, np.uint32)
        found = clouds.measure(labels, cell_nm=20, spacing=(10, 10, 10))
        assert len(found) == len(found.points_um) == len(found.sizes) == 0
        assert found.centres_um.shape == (0, 3)
        assert found.label.dtype == np.uint32


@pytest.mark.parametrize("width", [0, -5, np.nan, np.inf])
def test_a_cell_without_width_is_refused(width):
    with pytest.raises(UsageError, match="no width of a cell"):
        clouds.cell_voxels(width, spacing=(10, 10, 10))


@given(label_volumes(high=8), st.tuples(*[st.integers(1, 3)] * 3), spacings())
def test_finer_clouds_are_those_of_finer_voxels(labels, times, spacing):
    """A point for each part of a voxel, as if every voxel were cut."""
    coarse = in_blocks(labels, labels.shape, (1, 1, 1), spacing)
    found, fine = coarse.finer(times), labels
    for axis, n in enumerate(times):
        fine = fine.repeat(n, axis=axis)
    smaller = tuple(s / n for s, n in zip(spacing, times, strict=True))
    expected = in_blocks(fine, fine.shape, (1, 1, 1), smaller)
    # The first voxel's centre is at 0, and that of its first part before it.
    shift = [(s - t) / 2000 for s, t in zip(spacing, smaller, strict=True)]
    assert found.label.tolist() == expected.label.tolist()
    assert found.first.tolist() == expected.first.tolist()
    for row in range(len(found)):
        own, other = found.of(row), expected.of(row)
        order = np.lexsort(found.cells[own].T[::-1])
        np.testing.assert_array_equal(found.cells[own][order], expected.cells[other])
        points = found.points_um[own][order]
        np.testing.assert_allclose(points, expected.points_um[other] - shift, atol=1e-9)
    np.testing.assert_allclose(found.centres_um, coarse.centres_um, atol=1e-9)
