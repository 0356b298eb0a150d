from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import euler_number, regionprops_table
from strategies import block_shapes, label_volumes, masks, sparse_labels

from fibseg.blocks import Grid
from fibseg.measure import euler


def number_of(mask):
    found = euler.measure(np.asarray(mask).astype(np.uint8))["euler_number"]
    return int(found[0]) if len(found) else 0


def hollow(shape):
    labels = np.zeros(shape, bool)
    labels[1:-1, 1:-1, 1:-1] = True
    labels[2:-2, 2:-2, 2:-2] = False
    return labels


def test_a_piece_a_ring_a_hollow_ball_and_two_rings_at_a_corner():
    solid = np.zeros((4, 5, 6), bool)
    solid[1:3, 1:4, 1:5] = True
    assert number_of(solid) == 1
    assert number_of(hollow((7, 7, 7))) == 2
    ring = np.zeros((3, 9, 9), bool)
    ring[1, 1:4, 1:4] = True
    ring[1, 2, 2] = False
    assert number_of(ring) == 0
    two = ring.copy()
    two[1, 4:7, 4:7] = True
    two[1, 5, 5] = False
    assert number_of(two) == -1  # joined by their corners: one piece, two tunnels


@settings(deadline=None, max_examples=80)
@given(masks())
def test_it_is_that_of_skimage(mask):
    assert number_of(mask) == euler_number(mask, connectivity=3)


@settings(deadline=None, max_examples=40)
@given(masks())
def test_it_is_pieces_less_tunnels_plus_cavities_of_what_has_no_tunnels(mask):
    filled = ndimage.binary_fill_holes(mask, np.ones((3, 3, 3)))
    far = np.zeros(np.array(filled.shape) * 3 + 2, bool)
    far[1:-1:3, 1:-1:3, 1:-1:3] = filled  # every voxel by itself
    assert number_of(far) == filled.sum()


@settings(deadline=None, max_examples=60)
@given(st.one_of(label_volumes(), sparse_labels()), block_shapes())
def test_blockwise_equals_whole_and_every_object_counts_alone(labels, block_shape):
    sums = None
    grid = Grid.over(labels.shape, block_shape)
    for block in grid.blocks(lambda write: write.grow((1, 1, 1)).clip(labels.shape)):
        part = euler.partial(
            labels[block.read.slices], inside=block.write.relative_to(block.read)
        )
        sums = part if sums is None else euler.merge(sums, part)
    whole = euler.measure(labels)
    np.testing.assert_array_equal(
        euler.finish(sums, labels=whole["label"]), whole["euler_number"]
    )
    if labels.any():
        other = regionprops_table(labels, properties=("euler_number",))
        np.testing.assert_array_equal(whole["euler_number"], other["euler_number"])


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1), (3, 4, 5)])
def test_nothing_has_no_rows(shape):
    found = euler.measure(np.zeros(shape, np.uint32))
    assert [len(column) for column in found.values()] == [0, 0]
    assert euler.finish(None, labels=np.array([4])).tolist() == [0]


def test_what_fills_the_volume_is_one_piece():
    assert number_of(np.ones((3, 4, 5))) == 1
    assert number_of(np.ones((1, 1, 1))) == 1
