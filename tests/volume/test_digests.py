"""Digests of boxes: those of the voxels, whatever the blocks; damage to their list is seen."""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import shapes

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume import digests, layout
from fibseg.volume.digests import (
    FILE,
    Facts,
    box_facts,
    from_note,
    n_boxes,
    open_noted,
    read_records,
    to_note,
    to_records,
    total,
    write_records,
)

SMALL = (2, 3, 4)
FACTS = st.builds(
    Facts, st.integers(0, 10**6), st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1)
)


def voxels_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 999, shape, dtype=np.uint32)


def expected_facts(data, box_shape):
    """One fact per box by plain loops, from bytes."""
    (a, b, c), (nz, ny, nx) = box_shape, data.shape
    corners = itertools.product(range(0, nz, a), range(0, ny, b), range(0, nx, c))
    parts = [data[z : z + a, y : y + b, x : x + c] for z, y, x in corners]
    return [
        Facts(number, hashlib.sha256(part.tobytes()).digest(), int(part.max()))
        for number, part in enumerate(parts)
    ]


@given(shapes(), st.tuples(*[st.integers(1, 4)] * 3))
def test_facts_of_blocks_together_are_those_of_the_whole(shape, times):
    data = voxels_of(shape)
    block = tuple(b * t for b, t in zip(SMALL, times, strict=True))
    with mock.patch.object(digests, "BLOCK", SMALL):
        found = [
            fact for box in layout.boxes(shape, block)
            for fact in box_facts(data[box.slices], box, shape)
        ]
        assert len(found) == n_boxes(shape)
    assert sorted(found) == expected_facts(data, SMALL)


@given(shapes(), st.data())
def test_a_block_tells_only_of_boxes_that_it_holds_whole(shape, draw):
    data = voxels_of(shape)
    start = tuple(draw.draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(draw.draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    block = Box(start, stop)
    with mock.patch.object(digests, "BLOCK", SMALL):
        found = box_facts(data[block.slices], block, shape)
    inside = [
        index for index, box in enumerate(layout.boxes(shape, SMALL)) if box.intersect(block) == box
    ]
    everything = expected_facts(data, SMALL)
    assert found == [everything[index] for index in inside]


@given(
    st.tuples(st.integers(1, 300), st.integers(1, 2000), st.integers(1, 2000)),
    st.sampled_from(["0.4", "0.5"]),
)
def test_a_shard_is_a_box_and_a_box_is_whole_files(shape, version):
    block = layout.block_shape(shape, ome_version=version)
    chunk = layout.chunk_shape(shape, ome_version=version)
    for n, b, c, box in zip(shape, block, chunk, layout.BLOCK, strict=True):
        assert b == box or b >= n  # a shard, or a block in 0.4, is cut where boxes are cut
        assert n <= box or box % c == 0


def test_the_digest_is_that_of_shape_type_and_boxes():
    data = voxels_of((130, 5, 7))
    records = to_records(box_facts(data, Box.whole(data.shape), data.shape), data.shape)
    by_hand = hashlib.sha256(json.dumps([[130, 5, 7], "uint32"]).encode())
    for z in (0, 64, 128):
        by_hand.update(hashlib.sha256(data[z : z + 64].tobytes()).digest())
    assert total(data.shape, data.dtype, records["digest"]) == by_hand.hexdigest()
    assert records["maximum"].max() == data.max()


@given(st.lists(st.lists(FACTS, max_size=3), min_size=1, max_size=3))
def test_facts_come_back_from_a_note_for_every_target(facts):
    note = to_note(facts)
    assert [list(from_note(note, n)) for n in range(len(facts))] == facts
    assert not set(note) & set(" \n")


def test_records_come_back_and_any_flipped_bit_or_cut_is_refused(tmp_path):
    shape = (130, 5, 7)
    facts = box_facts(voxels_of(shape), Box.whole(shape), shape)
    levels = [to_records(facts, shape), to_records([], (2, 2, 2))]
    write_records(tmp_path, levels)
    back = read_records(tmp_path, [shape, (2, 2, 2)])
    for one, other in zip(back, levels, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(read_records(tmp_path, [shape])[0], levels[0])
    good = (tmp_path / FILE).read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        (tmp_path / FILE).write_bytes(bytes(bad))
        with pytest.raises(DataError, match="damaged"):
            read_records(tmp_path, [shape])
    (tmp_path / FILE).write_bytes(good[:-1])
    with pytest.raises(DataError, match="damaged"):
        read_records(tmp_path, [shape])
    (tmp_path / FILE).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path, [shape])


def test_the_list_is_read_of_a_million_boxes(tmp_path):
    shape = (64 * 10**6, 512, 512)
    records = np.zeros(10**6, digests.RECORD)
    records["maximum"] = np.arange(10**6)
    write_records(tmp_path, [records])
    assert (tmp_path / FILE).stat().st_size < 50e6
    np.testing.assert_array_equal(read_records(tmp_path, [shape])[0], records)


def test_what_was_noted_lasts_until_somebody_writes_past_the_engine(tmp_path):
    shape = (130, 5, 7)
    layout.create_array(tmp_path / "0", shape=shape, dtype=np.dtype("u4"), ome_version="0.5")
    array = open_noted(tmp_path / "0")
    data = voxels_of(shape)
    facts = [
        fact for box in layout.boxes(shape, (64, 5, 7))
        for fact in pickle.loads(pickle.dumps(array)).commit(box, data[box.slices])
    ]
    np.testing.assert_array_equal(array[:], data)
    array.keep(facts)
    assert read_records(tmp_path, [shape])[0]["maximum"].tolist() == [
        data[z : z + 64].max() for z in (0, 64, 128)
    ]
    array[3, 3, 3] = 1
    assert not (tmp_path / FILE).exists()
    array.forget()  # nothing to forget is no error
