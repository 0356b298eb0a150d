from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from benches import DiskBench
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, masks, spacings

from fibseg import postprocess
from fibseg.blocks import Processes
from fibseg.errors import UsageError
from fibseg.pipeline import distance
from fibseg.pipeline.bench import Sheet

CAPS = st.sampled_from([3.0, 20.0, 57.3, 400.0])


def blockwise(mask, **how):
    target = Sheet(np.full(mask.shape, np.nan, dtype=np.float32), None, Path("unused"))
    distance.distance(mask, target, **how)
    return target.array


@settings(deadline=None, max_examples=100)
@given(
    masks(), spacings(), block_shapes(), CAPS, st.sampled_from([1, 2, 5]), st.booleans()
)
def test_blockwise_equals_whole(mask, spacing, block_shape, max_nm, first, signed):
    kernel = postprocess.signed_distance if signed else postprocess.distance
    how = {"max_nm": max_nm, "spacing": spacing}
    with mock.patch.object(distance, "FIRST_HALO", first):
        found = blockwise(mask, signed=signed, block_shape=block_shape, **how)
    whole = kernel(mask, **how)
    np.testing.assert_allclose(found, whole, rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(masks(), st.sampled_from([(8.0, 8.0, 8.0), (30.0, 10.0, 10.0)]), block_shapes(), CAPS)
def test_it_is_the_same_bit_by_bit_where_spacings_are_multiples(mask, spacing, block_shape, max_nm):
    how = {"max_nm": max_nm, "spacing": spacing}
    with mock.patch.object(distance, "FIRST_HALO", 1):
        found = blockwise(mask, signed=True, block_shape=block_shape, **how)
    np.testing.assert_array_equal(found, postprocess.signed_distance(mask, **how))


class Counted:
    """An array that remembers what was read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.boxes = array, array.shape, array.dtype, []

    def __getitem__(self, box):
        self.boxes.append(tuple((s.start, s.stop) for s in box))
        return self.array[box]


def test_only_what_is_uncertain_is_read_again_with_twice_the_halo():
    mask = np.zeros((4, 4, 64), dtype=bool)
    mask[:, :, 0] = True
    source = Counted(mask)
    with mock.patch.object(distance, "FIRST_HALO", 4):
        found = blockwise(
            source, max_nm=40.0, spacing=(1.0, 1.0, 1.0), block_shape=(4, 4, 8)
        )
    np.testing.assert_array_equal(found[0, 0], np.minimum(np.arange(64), 40))
    along_x = [box[2] for box in source.boxes]
    assert along_x[:2] == [(0, 12), (0, 16)], "its last voxel is nearer to what was not read"
    third = along_x.index((12, 28))
    assert along_x[third : third + 4] == [(12, 28), (8, 32), (0, 40), (0, 56)]
    assert along_x[-5:] == [(52, 64), (48, 64), (40, 64), (24, 64), (16, 64)], "up to the cap"


def test_a_cap_that_is_none_is_refused_before_any_work():
    with pytest.raises(UsageError, match="max_nm=0 is no distance"):
        blockwise(np.ones((2, 2, 2)), max_nm=0, spacing=(1, 1, 1), block_shape=(2, 2, 2))


def test_processes_find_what_serial_finds_and_a_finished_run_reads_nothing(tmp_path):
    mask = np.zeros((20, 24, 28), dtype=np.uint8)
    mask[3, 4, 5] = mask[18, 20, 1] = 1
    bench = DiskBench(mask.shape, tmp_path)
    stored, target = bench.stored("mask", mask), bench.sheet("distance", dtype="f4")
    how = {"max_nm": 170.0, "spacing": (20.0, 10.0, 10.0)}
    again = {"block_shape": (8, 8, 16), "inputs": "a", "signed": True, **how}
    distance.distance(stored, target, runner=Processes(n_workers=2), **again)
    whole = postprocess.signed_distance(mask, **how)
    np.testing.assert_array_equal(target.array[:], whole)
    source = Counted(mask)
    distance.distance(source, target, **again)
    assert not source.boxes
