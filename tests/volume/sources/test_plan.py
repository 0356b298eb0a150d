"""Plans cover every voxel once, within memory; what is written comes in whole shards."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fibseg.blocks import Grid
from fibseg.blocks.grid import check_writers
from fibseg.volume.sources import reading_blocks, writing_blocks

SHAPES = st.tuples(*(st.integers(1, 40) for _ in range(3)))


class Sharded:
    """Stands for an array, as far as `check_writers` looks."""

    path = "a"

    def __init__(self, shards: tuple[int, ...]) -> None:
        self.shards = shards


@given(shape=SHAPES, unit=SHAPES, voxels=st.integers(1, 40_000))
def test_written_are_whole_units(shape, unit, voxels):
    block = writing_blocks(shape, unit, voxels=voxels)
    check_writers(Grid.over(shape, block), Sharded(unit))
    least = math.prod(map(min, unit, shape))
    assert math.prod(map(min, block, shape)) <= max(voxels, least)
    assert block[0] == min(unit[0], shape[0])


def test_written_are_as_few_blocks_as_fit():
    assert writing_blocks((8, 100, 100), (4, 10, 10), voxels=4 * 100 * 100) == (4, 100, 100)
    assert writing_blocks((8, 100, 100), (4, 10, 10), voxels=4 * 100 * 100 - 1) == (4, 90, 100)
    assert writing_blocks((8, 100, 100), (4, 10, 10), voxels=4 * 10 * 39) == (4, 10, 30)
    assert writing_blocks((8, 100, 95), (4, 10, 10), voxels=1) == (4, 10, 10)
    assert writing_blocks((8, 95, 95), (4, 10, 10), voxels=1e9) == (4, 100, 100)
    assert writing_blocks((8, 95, 95), (4, 10, 10), voxels=4 * 95 * 95) == (4, 100, 100)


@given(shape=SHAPES, unit=SHAPES, voxels=st.integers(1, 40_000))
def test_read_are_whole_rows_within_memory(shape, unit, voxels):
    block = reading_blocks(shape, unit, voxels=voxels)
    assert block[2] == shape[2]
    assert math.prod(map(min, block, shape)) <= max(voxels, min(unit[1], shape[1]) * shape[2])
    seen = np.zeros(shape, int)
    for part in Grid.over(shape, block).blocks():
        seen[part.write.slices] += 1
    assert (seen == 1).all()


@given(shape=SHAPES, unit=SHAPES, extra=st.integers(0, 40_000))
def test_no_unit_is_read_twice_where_there_is_room(shape, unit, extra):
    """Where one unit of full width fits, no unit lies in two blocks."""
    unit = tuple(map(min, unit, shape))
    block = reading_blocks(shape, unit, voxels=unit[0] * unit[1] * shape[2] + extra)
    for length, b, u in zip(shape[:2], block, unit, strict=False):
        assert b % u == 0 or b >= length


def test_planes_are_read_whole():
    assert reading_blocks((100, 50, 40), (1, 50, 40), voxels=7 * 2000 + 5) == (7, 50, 40)
    assert reading_blocks((100, 50, 40), (1, 50, 40), voxels=1e12) == (100, 50, 40)
    assert reading_blocks((100, 50, 40), (1, 50, 40), voxels=1) == (1, 50, 40)
    assert reading_blocks((100, 50, 40), (1, 1, 40), voxels=90) == (1, 2, 40)
