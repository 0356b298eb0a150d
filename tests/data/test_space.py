"""Parts for training, validation and test: apart, complete, the same however they are counted."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.blocks import Serial
from fibseg.data import labelled_cells, split_space
from fibseg.data.space import LabelledCells
from fibseg.errors import DataError
from fibseg.geometry import Box

SPACING = (20.0, 20.0, 20.0)
NAMES = ("background", "pores")


class Stored:
    """An array with chunks."""

    def __init__(self, array, chunks):
        self.array, self.chunks, self.shape, self.dtype = array, chunks, array.shape, array.dtype
        self.ndim = array.ndim

    def __getitem__(self, at):
        return self.array[at]


def painted(shape=(40, 44, 96), *, seed=0):
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def cells_of(array, **change):
    return labelled_cells(array, 2, **{"objects": False, "spacing": SPACING, **change})


def split(cells, **change):
    given = {"names": NAMES, "folds": 5, "gap_nm": 100.0, "spacing": SPACING, **change}
    return split_space(cells, **given)


@pytest.mark.parametrize("chunks", [(16, 16, 16), (10, 44, 33), (40, 44, 96)])
def test_cells_are_counted_the_same_for_any_chunks(chunks):
    array = painted()
    found = cells_of(Stored(array, chunks), runner=Serial())
    assert found.cell == (8, 8, 8)
    assert found.counts.shape == (2, 5, 6, 12)
    whole = found.counts.sum((1, 2, 3))
    np.testing.assert_array_equal(whole, [(array == 1).sum(), (array == 2).sum()])
    assert found.counts[1, 4, 5, 11] == (array[32:40, 40:44, 88:96] == 2).sum()


def test_of_objects_all_else_is_background():
    objects = np.zeros((16, 16, 16), np.uint32)
    objects[:3, :3, :3] = 70000
    found = cells_of(objects, objects=True).counts.sum((1, 2, 3))
    assert found.tolist() == [16**3 - 27, 27]


def test_the_longest_axis_is_cut_with_gaps():
    cells = cells_of(painted())
    parts = split(cells)
    boxes = [parts.train, parts.validation, parts.test]
    assert all(b.shape[:2] == (40, 44) for b in boxes)
    starts, stops = [b.start[2] for b in boxes], [b.stop[2] for b in boxes]
    assert starts[0] == 0
    assert stops[-1] == 96
    assert [a - b for a, b in zip(starts[1:], stops, strict=False)] == [5, 5]
    share = (stops[0] - starts[0]) / 96
    assert 0.55 <= share <= 0.7


def test_lengths_are_nm_not_voxels():
    array = painted((40, 44, 96))
    thick = (100.0, 20.0, 20.0)
    parts = split(cells_of(array, spacing=thick), spacing=thick, gap_nm=100.0)
    assert parts.train.shape[1:] == (44, 96)
    assert parts.test.start[0] - parts.validation.stop[0] == 1


def test_only_where_classes_are_is_cut():
    array = np.ones((32, 32, 160), np.uint8)
    array[:, :, 64:144:4] = 2
    parts = split(cells_of(array))
    assert parts.train.start[2] == 64
    assert parts.test.stop[2] == 144


def test_beside_a_region_lies_the_rest():
    region = Box((0, 0, 48), (40, 44, 96))
    parts = split(cells_of(painted()), region=region)
    assert parts.train == region
    for box in (parts.validation, parts.test):
        assert box.stop[2] <= 43
        assert box.size > 10000
    assert parts.validation.intersect(parts.test).size == 0


@pytest.mark.parametrize(("array", "words"), [
    (np.ones((16, 16, 16), np.uint8), "no voxel of pores"),
    (np.where(np.arange(64) < 20, 2, 1)[None, None].repeat(16, 0).repeat(16, 1), "cannot be cut"),
])
def test_what_cannot_be_split_is_refused(array, words):
    with pytest.raises(DataError, match=words):
        split(cells_of(array.astype(np.uint8)), where="cell")


def test_the_split_does_not_depend_on_empty_space_around_it():
    array = painted((32, 32, 64), seed=3)
    wide = np.zeros((32, 32, 128), np.uint8)
    wide[:, :, 32:96] = array
    near, far = split(cells_of(array)), split(cells_of(wide))
    assert far.train == near.train.shift((0, 0, 32))
    assert far.test == near.test.shift((0, 0, 32))


def test_cells_outside_of_a_box_do_not_count():
    counts = np.zeros((2, 2, 2, 2), np.int64)
    counts[:, 1, 1, 1] = 7, 9
    cells = LabelledCells(counts, (8, 8, 8), (16, 16, 16))
    assert cells.within(Box((8, 8, 8), (16, 16, 16))).tolist() == [7, 9]
    assert cells.within(Box((0, 0, 0), (8, 16, 16))).tolist() == [0, 0]
