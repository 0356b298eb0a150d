from __future__ import annotations

import functools

import block_work
import numpy as np
import pytest

from fibseg.blocks import Block, LocalOperator
from fibseg.blocks.functions import as_list, block_function
from fibseg.errors import UsageError
from fibseg.geometry import Box, reach


def test_the_halo_follows_reach_and_spacing():
    fn = functools.partial(block_work.box_sum, radius_nm=40, spacing=(30.0, 10.0, 8.0))
    assert block_function(fn, [], (9, 9, 9), None).halo == (2, 4, 5)


def test_a_spacing_bound_in_the_operator_counts_before_that_of_the_verb():
    fn = functools.partial(block_work.box_sum, radius_nm=40, spacing=(40.0, 40.0, 40.0))
    assert block_function(fn, [], (9, 9, 9), (1.0, 1.0, 1.0)).halo == (1, 1, 1)


def test_an_operator_that_looks_nowhere_needs_no_spacing():
    assert block_function(block_work.plus_one, [], (9, 9, 9), None).halo == (0, 0, 0)


def test_a_block_function_is_taken_as_it_is():
    fn = block_work.Sum()
    assert block_function(fn, [np.zeros((1, 2, 3))], (9, 9, 9), None) is fn


def test_the_read_box_ends_at_the_faces_of_the_volume():
    local = LocalOperator(np.negative, (2, 3, 4))
    assert local.read_box(Box((0, 4, 5), (2, 6, 9)), (9, 9, 9)) == Box((0, 1, 1), (4, 9, 9))


def test_the_result_is_cropped_to_the_write_box():
    @reach(lambda: 0.0)
    def both(image):
        return image, -image

    block = Block(0, Box((1, 1, 1), (2, 3, 3)), Box((0, 1, 0), (3, 3, 4)))
    image = np.arange(24).reshape(3, 2, 4)
    first, second = LocalOperator(both, (1, 1, 1))(image, block=block)
    np.testing.assert_array_equal(first, image[1:2, :2, 1:3])
    np.testing.assert_array_equal(second, -first)


def test_sources_off_the_grid_are_refused():
    with pytest.raises(UsageError, match=r"\(2, 2, 3\) does not lie on the grid"):
        block_function(block_work.plus_one, [np.zeros((2, 2, 3))], (2, 2, 2), None)


@pytest.mark.parametrize("several", [[1, 2], (1, 2)])
def test_one_array_or_several(several):
    assert as_list(several) == [1, 2]
    array = np.zeros((2, 2))
    assert as_list(array)[0] is array
