from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from benches import DiskBench
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, spacings, sparse_labels, touching_objects

from fibseg import postprocess
from fibseg.blocks import Processes, Serial
from fibseg.errors import DataError, UsageError
from fibseg.pipeline import objectwise, pieces
from fibseg.pipeline.bench import Sheet

SPACING = (10.0, 10.0, 10.0)


def split(labels, block_shape, *, dtype=np.uint32, folder=None, **how):
    with tempfile.TemporaryDirectory() as scratch:
        target = Sheet(np.full(labels.shape, 99, dtype=dtype), None, Path(folder or scratch))
        found = objectwise.watershed(
            labels, target, block_shape=block_shape, runner=Serial(), **how
        )
    return target.array, found


@settings(deadline=None, max_examples=40)
@given(
    touching_objects(), spacings(), block_shapes(low=5), st.sampled_from([0.0, 3.0, 12.0]),
    st.sampled_from([0.0, 16.0]), st.sampled_from([27, 300, 2**24]),
)
def test_splitting_blockwise_equals_whole(labels, spacing, block_shape, depth_nm, angle, most):
    how = {
        "depth_nm": depth_nm, "min_angle_deg": angle, "max_object_voxels": most, "spacing": spacing
    }
    out, found = split(labels, block_shape, **how)
    np.testing.assert_array_equal(out, postprocess.watershed(labels, **how))
    assert found.n_objects == out.max(initial=0)


@settings(deadline=None, max_examples=30)
@given(sparse_labels(), spacings(), block_shapes())
def test_many_objects_in_many_pieces(labels, spacing, block_shape):
    with mock.patch.object(pieces, "BATCH", 3), mock.patch.object(objectwise, "BATCH", 3):
        out, _ = split(labels, block_shape, depth_nm=0.0, max_object_voxels=60, spacing=spacing)
    np.testing.assert_array_equal(
        out, postprocess.watershed(labels, depth_nm=0.0, max_object_voxels=60, spacing=spacing)
    )


@settings(deadline=None, max_examples=40)
@given(sparse_labels(), spacings(), block_shapes(), st.sampled_from([0.0, 15.0, 40.0]))
def test_growing_blockwise_equals_whole(labels, spacing, block_shape, distance_nm):
    target = Sheet(np.full(labels.shape, 99, dtype=np.uint32), None, Path("unused"))
    how = {"distance_nm": distance_nm, "spacing": spacing}
    objectwise.grow_regions(labels, target, block_shape=block_shape, runner=Serial(), **how)
    np.testing.assert_array_equal(target.array, postprocess.grow_regions(labels, **how))


def test_what_was_cut_is_told(caplog):
    labels = np.zeros((10, 10, 40), dtype=np.uint32)
    labels[2:8, 2:8, :] = 4
    labels[0, 0, 0] = 2
    with caplog.at_level(logging.WARNING):
        out, found = split(
            labels, (5, 5, 10), depth_nm=50.0, max_object_voxels=1000, spacing=SPACING
        )
    assert found.cut == [4]
    assert found.n_objects == 5
    assert out[5, 5, ::10].tolist() == [2, 3, 4, 5]
    assert "1 objects (4) hold more than max_object_voxels=1000" in caplog.text


def test_a_second_run_splits_only_what_is_missing(tmp_path):
    labels = np.zeros((6, 6, 60), dtype=np.uint32)
    labels[2:5, 2:5, 1::4] = np.arange(1, 16)
    how = {"depth_nm": 0.0, "spacing": SPACING, "inputs": "a", "folder": tmp_path}
    with mock.patch.object(pieces, "BATCH", 5), mock.patch.object(objectwise, "BATCH", 5):
        first, _ = split(labels, (6, 6, 20), **how)
        batches = sorted(tmp_path.glob("pieces-*/[0-9]*.npz"))
        assert len(batches) == 3
        batches[0].write_bytes(batches[0].read_bytes()[:-9])
        batches[2].unlink()
        with mock.patch.object(pieces, "split_piece", wraps=pieces.split_piece) as work:
            second, _ = split(labels, (3, 6, 30), **how)
            assert work.call_count == 10
    np.testing.assert_array_equal(second, first)


def test_more_parts_than_numbers_are_refused():
    labels = np.zeros((1, 2, 520), dtype=np.uint16)
    labels[0, 0, ::2] = np.arange(1, 261)
    with pytest.raises(DataError, match="260 parts cannot be numbered in uint8"):
        split(labels, (1, 2, 100), depth_nm=0.0, spacing=SPACING, dtype=np.uint8)


def test_settings_are_refused_before_any_work():
    with pytest.raises(UsageError, match="depth_nm=-2 is negative"):
        split(np.zeros((1, 1, 1)), (0, 0, 0), depth_nm=-2, spacing=SPACING)


def test_processes_find_what_serial_finds(tmp_path):
    rng = np.random.default_rng(4)
    mask = rng.random((20, 24, 28)) < 0.55
    labels = postprocess.components(mask, connectivity=6, spacing=SPACING)
    within = rng.random(labels.shape) < 0.8
    bench, runner = DiskBench(labels.shape, tmp_path), Processes(n_workers=2)
    stored, fence = bench.stored("labels", labels), bench.stored("fence", within)
    how = {"depth_nm": 4.0, "max_object_voxels": 2000, "spacing": SPACING}
    blocks = {"block_shape": (8, 16, 8), "runner": runner}
    target = bench.sheet("parts", dtype="u4")
    found = objectwise.watershed(stored, target, **how, **blocks)
    whole = postprocess.watershed(labels, **how)
    np.testing.assert_array_equal(target.array[:], whole)
    assert found.n_objects == whole.max() > labels.max()
    assert found.cut == [1]
    grown = bench.sheet("grown", dtype="u4")
    objectwise.grow_regions(
        target.array, grown, distance_nm=25.0, within=fence, spacing=SPACING, **blocks
    )
    np.testing.assert_array_equal(
        grown.array[:], postprocess.grow_regions(whole, within, distance_nm=25.0, spacing=SPACING)
    )
