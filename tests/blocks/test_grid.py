from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from strategies import block_shapes, shapes

from fibseg.blocks import Grid
from fibseg.blocks.grid import check_writers, unless_empty
from fibseg.errors import UsageError


@given(shapes(low=0), block_shapes())
def test_write_boxes_tile_the_volume(shape, block_shape):
    grid = Grid.over(shape, block_shape)
    count = np.zeros(shape, dtype=int)
    for block in grid.blocks():
        assert block.write.size > 0
        assert grid.index(grid.position(block.index)) == block.index
        count[block.write.slices] += 1
    assert (count == 1).all()


def test_blocks_come_in_c_order():
    starts = [block.write.start for block in Grid.over((4, 4, 4), (2, 3, 4)).blocks()]
    assert starts == sorted(starts)


def test_blocks_that_are_done_are_left_out():
    grid = Grid.over((4, 4, 4), (2, 3, 4))
    asked = []
    left = grid.blocks(lambda write: asked.append(write) or write, without={0, 2})
    assert [block.index for block in left] == [1, 3]
    assert asked == [grid.box(1), grid.box(3)], "no more work for the others than a look"


@pytest.mark.parametrize("block_shape", [(4, 4), (4, 0, 4), (4, -1, 4)])
def test_a_block_shape_that_does_not_fit_is_refused(block_shape):
    with pytest.raises(UsageError, match="Give 3 whole numbers"):
        Grid.over((8, 8, 8), block_shape)


def test_blocks_that_share_a_shard_are_refused_before_work():
    target = SimpleNamespace(shards=(64, 64, 64), path="labels/nucleus/0")
    with pytest.raises(UsageError, match=r"\(64, 32, 64\) is not a multiple .* labels/nucleus"):
        check_writers(Grid.over((128, 128, 128), (64, 32, 64)), target)


@pytest.mark.parametrize("block_shape", [(64, 64, 64), (128, 64, 200), (100, 100, 100)])
def test_whole_shards_or_a_whole_axis_are_fine(block_shape):
    check_writers(Grid.over((100, 100, 100), block_shape), SimpleNamespace(shards=(64, 64, 64)))


def test_a_plan_for_ten_to_the_thirteen_voxels_is_lazy():
    grid = Grid.over((20_000, 22_400, 22_400), (64, 512, 512))
    assert len(grid) == 313 * 44 * 44
    assert grid.box(len(grid) - 1).stop == (20_000, 22_400, 22_400)


def test_a_stream_without_a_block_is_told_from_one_that_has_not_begun():
    drawn = []
    blocks = (drawn.append(block.index) or block for block in Grid.over((6,), (2,)).blocks())
    stream = unless_empty(blocks)
    assert drawn == [0], "looked at no more than it must"
    assert [block.index for block in stream] == [0, 1, 2]
    assert unless_empty(Grid.over((0,), (2,)).blocks()) is None
