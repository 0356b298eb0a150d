from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes

from fibseg.blocks import Grid
from fibseg.geometry import Box
from fibseg.measure.neighbours import Rule, added, neighbour_sums, of_labels


def leaves(step, beyond):
    """Counts the voxels whose neighbour at `step` is not of their object."""

    def values(tile):
        different = np.empty(tile.own.size, bool)
        where = np.flatnonzero(tile.differs(step, different) & (tile.own != 0))
        return where, np.ones(len(where), np.int64)

    return Rule("n", values, (2, 2, 2), beyond)


def brute_force(labels, step, beyond):
    padded = np.pad(labels, 2, mode=beyond)
    there = tuple(slice(2 + s, 2 + s + n) for s, n in zip(step, labels.shape, strict=True))
    out = labels[(labels != 0) & (labels != padded[there])]
    names, counts = np.unique(out, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


STEPS = st.tuples(*[st.integers(-2, 2)] * 3)


@settings(deadline=None, max_examples=100)
@given(label_volumes(), STEPS, st.sampled_from(["edge", "constant"]), block_shapes())
def test_steps_are_counted_as_by_brute_force_in_any_blocks(labels, step, beyond, block_shape):
    parts = []
    for block in Grid.over(labels.shape, block_shape).blocks(
        lambda write: write.grow((2, 2, 2)).clip(labels.shape)
    ):
        inside = block.write.relative_to(block.read)
        parts.append(
            neighbour_sums(labels[block.read.slices], [leaves(step, beyond)], inside=inside)
        )
    found = added(parts)
    assert dict(zip(found["label"].tolist(), found["n"].tolist(), strict=True)) == brute_force(
        labels, step, beyond
    )


@pytest.mark.parametrize("factor", [1, 2**15, 2**24])
@pytest.mark.parametrize("dtype", [np.uint32, np.uint64, np.int64])
def test_the_size_and_type_of_numbers_do_not_matter(factor, dtype):
    small = np.random.default_rng(0).integers(0, 9, (6, 7, 8)).astype(np.uint8)
    large = small.astype(dtype) * dtype(factor)
    rules = [leaves((0, 1, 0), "edge")]
    inside = Box.whole(small.shape)
    few, many = (neighbour_sums(labels, rules, inside=inside) for labels in (small, large))
    assert many["label"].dtype == dtype
    np.testing.assert_array_equal(many["label"], few["label"].astype(dtype) * dtype(factor))
    np.testing.assert_array_equal(many["n"], few["n"])


def test_more_objects_in_a_tile_than_a_byte_can_number():
    labels = np.arange(1, 1001, dtype=np.uint16).reshape(10, 10, 10)
    found = neighbour_sums(labels, [leaves((1, 0, 0), "edge")], inside=Box.whole(labels.shape))
    np.testing.assert_array_equal(found["label"], np.arange(1, 901))  # the last plane goes on
    assert (found["n"] == 1).all()


def test_several_rules_share_rows():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 1:3, 1:3] = 5
    one = Rule("one", leaves((1, 0, 0), "edge").values, (2, 2, 2), "edge")
    other = Rule("other", leaves((-1, 0, 0), "edge").values, (2, 2, 2), "edge")
    both = neighbour_sums(labels, [one, other], inside=Box.whole(labels.shape))
    assert {name: column.tolist() for name, column in both.items()} == {
        "label": [5], "one": [4], "other": [0]
    }


def test_rows_are_added_and_found_again():
    tables = [
        {"label": np.array([3, 9], np.uint16), "n": np.array([1, 2])},
        {"label": np.array([2, 9], np.uint16), "n": np.array([4, -2])},
    ]
    total = added(tables)
    assert total["label"].tolist() == [2, 3, 9]
    assert total["n"].tolist() == [4, 1, 0]
    wanted = np.array([9, 1, 2, 2, 40], np.uint16)
    assert of_labels(total, "n", wanted).tolist() == [0, 0, 4, 4, 0]


def test_a_volume_without_voxels_has_no_rows():
    for shape in ((0, 4, 4), (3, 0, 2), (2, 2, 0)):
        labels = np.zeros(shape, np.uint32)
        found = neighbour_sums(labels, [leaves((0, 0, 1), "edge")], inside=Box.whole(shape))
        assert [len(column) for column in found.values()] == [0, 0]
        assert found["label"].dtype == np.uint32
