"""Faces and surface voxels of a whole volume, and of its blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from membranes import faces, on_surface
from strategies import block_shapes, label_volumes, masks

from fibseg.blocks import Grid
from fibseg.geometry import Box
from fibseg.measure.interface import REACH, interface_points, surface_voxels


def blocks(shape, block_shape):
    """Each block, what is read for it, and where the block lies in that."""
    grid = Grid.over(shape, block_shape)
    for index in range(len(grid)):
        write = grid.box(index)
        read = write.grow(REACH).clip(shape)
        yield write, read, write.relative_to(read)


def as_set(rows):
    found = {tuple(row) for row in np.asarray(rows).tolist()}
    assert len(found) == len(rows), "each place once"
    return found


@given(masks(), block_shapes())
def test_blocks_have_every_face_once(mask, block_shape):
    found = [
        interface_points(mask[read.slices], inside=inside, start=write.start)
        for write, read, inside in blocks(mask.shape, block_shape)
    ]
    assert as_set(np.concatenate(found)) == as_set(2 * faces(mask, np.ones(3)))


@given(label_volumes(), block_shapes())
def test_blocks_have_every_surface_voxel_once(labels, block_shape):
    found = [
        surface_voxels(labels[read.slices], inside=inside) + np.array(write.start)
        for write, read, inside in blocks(labels.shape, block_shape)
    ]
    expected = [np.argwhere(on_surface(labels == n)) for n in np.unique(labels[labels != 0])]
    expected = np.concatenate([np.zeros((0, 3)), *expected])
    assert as_set(np.concatenate(found)) == as_set(expected)


@pytest.mark.parametrize("value", [0, 1])
def test_the_faces_of_the_volume_are_none(value):
    mask = np.full((3, 4, 5), value, np.uint8)
    assert interface_points(mask, inside=Box.whole(mask.shape), start=(0, 0, 0)).shape == (0, 3)
    assert surface_voxels(mask, inside=Box.whole(mask.shape)).shape == (0, 3)


def test_of_a_box_in_the_middle():
    mask = np.zeros((6, 7, 8), bool)
    mask[2:4, 2:5, 2:6] = True
    points = interface_points(mask, inside=Box.whole(mask.shape), start=(0, 0, 0))
    assert len(points) == 2 * (2 * 3 + 2 * 4 + 3 * 4)
    assert points.min(axis=0).tolist() == [3, 3, 3]
    assert points.max(axis=0).tolist() == [7, 9, 11]
    assert (points % 2).sum(axis=1).tolist() == [1] * len(points), "one coordinate is a half"


def test_an_empty_array_has_none():
    nothing = np.zeros((0, 3, 3), np.uint8)
    assert len(interface_points(nothing, inside=Box.whole(nothing.shape), start=(0, 0, 0))) == 0
    assert len(surface_voxels(nothing, inside=Box.whole(nothing.shape))) == 0
