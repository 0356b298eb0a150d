from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes, spacings, touching_objects

from fibseg.blocks import Processes
from fibseg.errors import PartlyDoneError, UsageError
from fibseg.measure import shape
from fibseg.pipeline.shape_sums import shape_table


def assert_equal_tables(table, other):
    assert list(table) == list(other)
    for name in other:
        np.testing.assert_array_equal(table[name], other[name], strict=True)


@settings(deadline=None, max_examples=25)
@given(
    st.one_of(label_volumes(), touching_objects()), spacings(),
    st.tuples(*[st.integers(3, 12)] * 3), st.booleans(), st.booleans(),
)
def test_any_blocks_give_the_table_of_the_whole(labels, spacing, block_shape, keep, with_image):
    image = np.random.default_rng(0).integers(0, 256, labels.shape, np.uint8)
    given_ = [labels, image] if with_image else [labels]
    whole = shape.measure(*given_, keep_border=keep, spacing=spacing)
    table = shape_table(*given_, keep_border=keep, block_shape=block_shape, spacing=spacing)
    assert_equal_tables(table, whole)


def test_processes_read_a_store(tmp_path):
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 6, (5, 6, 7)), np.ones((7, 6, 5), int)).astype(np.uint32)
    image = rng.integers(0, 65536, labels.shape, np.uint16)
    stored = []
    for name, array in (("labels", labels), ("image", image)):
        stored.append(zarr.create_array(
            tmp_path / name, shape=array.shape, dtype=array.dtype, chunks=(8, 8, 8)
        ))
        stored[-1][:] = array
    table = shape_table(
        *stored, block_shape=(16, 24, 16), runner=Processes(n_workers=2), spacing=(50.0, 10.0, 8.0)
    )
    assert_equal_tables(table, shape.measure(labels, image, spacing=(50.0, 10.0, 8.0)))


def test_nothing_gives_a_table_without_rows():
    image = np.zeros((0, 3, 3), np.uint8)
    table = shape_table(image, image, block_shape=(2, 2, 2), spacing=(1, 1, 1))
    assert all(len(column) == 0 for column in table.values())
    assert_equal_tables(table, shape.measure(image, image, spacing=(1, 1, 1)))


@pytest.mark.parametrize("other", [(2, 4, 4), (5, 4, 4)])
def test_an_image_on_another_grid_is_refused_before_any_work(other):
    labels, image = np.ones((4, 4, 4), np.uint8), np.ones(other, np.uint8)
    with pytest.raises(UsageError, match="Give one grid"):
        shape_table(labels, image, block_shape=(4, 4, 4), spacing=(1, 1, 1))


class Torn:
    """An array that can be read up to a plane only, and counts how often it is read."""

    def __init__(self, array, stop):
        self.array, self.stop, self.reads = array, stop, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, box):
        self.reads += 1
        if box[0].stop > self.stop:
            raise OSError("torn")
        return self.array[box]


def test_what_is_known_of_blocks_outlives_a_failure(tmp_path):
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 6, (8, 3, 3)), np.ones((4, 4, 4), int)).astype(np.uint32)
    wanted = {"block_shape": (8, 12, 12), "scratch": tmp_path, "spacing": (20.0, 10.0, 10.0)}
    with pytest.raises(PartlyDoneError):
        shape_table(Torn(labels, 20), inputs="a", **wanted)
    again = Torn(labels, 32)
    whole = shape.measure(labels, spacing=(20.0, 10.0, 10.0))
    assert_equal_tables(shape_table(again, inputs="a", **wanted), whole)
    assert again.reads == 2, "of four blocks"
    again.reads = 0
    assert_equal_tables(shape_table(again, inputs="b", **wanted), whole)
    assert again.reads == 4, "of other inputs nothing is known"
