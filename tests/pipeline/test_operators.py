from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes, masks, probability_volumes, spacings

from fibseg.blocks import Processes, Serial
from fibseg.measure import regions
from fibseg.pipeline.operators import Sheet, Work, find_objects, region_table
from fibseg.postprocess import (
    closing,
    components,
    fill_holes,
    remove_small,
    smooth,
    threshold,
)

P = functools.partial


@dataclass
class MemoryBench:
    """Intermediate arrays as NumPy arrays, full of what was never written."""

    shape: tuple[int, ...]
    folder: Path

    def sheet(self, name, *, dtype, inputs):
        return Sheet(np.full(self.shape, 77, dtype=dtype), None, self.folder / name)


def blockwise(array, operators, spacing, block_shape):
    with tempfile.TemporaryDirectory() as folder:
        work = Work(
            bench=MemoryBench(array.shape, Path(folder)), block_shape=block_shape,
            runner=Serial(), spacing=spacing,
        )
        out = np.full(array.shape, 99, dtype=np.uint32)
        target = Sheet(out, None, Path(folder) / "labels")
        n = find_objects(array, target, operators, work=work, inputs="")
    assert n == out.max(initial=0)
    return out


def whole(array, operators, spacing):
    for fn in operators.values():
        array = fn(array) if fn.func is threshold else fn(array, spacing=spacing)
    return array


def check(array, operators, spacing, block_shape):
    np.testing.assert_array_equal(
        blockwise(array, operators, spacing, block_shape), whole(array, operators, spacing)
    )


LAST = {"components": P(components)}


@settings(deadline=None, max_examples=40)
@given(masks(), spacings(), block_shapes(), st.integers(0, 12), st.sampled_from([6, 26]))
def test_remove_small_blockwise_equals_whole(mask, spacing, block_shape, least, connectivity):
    step = P(remove_small, min_voxels=least, connectivity=connectivity)
    check(mask, {"small": step, **LAST}, spacing, block_shape)


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), block_shapes(), st.sampled_from([None, 1, 5]))
def test_fill_holes_blockwise_equals_whole(mask, spacing, block_shape, voxels):
    most = None if voxels is None else voxels * float(np.prod(spacing)) * 1e-9
    check(mask, {"fill": P(fill_holes, max_volume_um3=most), **LAST}, spacing, block_shape)


@settings(deadline=None, max_examples=40)
@given(probability_volumes(), spacings(), block_shapes(), st.sampled_from([0.0, 12.0, 25.0]))
def test_a_whole_chain_blockwise_equals_whole(probs, spacing, block_shape, radius_nm):
    operators = {
        "smooth": P(smooth, sigma_nm=6.0), "threshold": P(threshold, level=0.5),
        "small": P(remove_small, min_voxels=2), "closing": P(closing, radius_nm=radius_nm),
        "fill": P(fill_holes), "components": P(components, min_voxels=3),
    }
    check(probs, operators, spacing, block_shape)


@settings(deadline=None, max_examples=60)
@given(label_volumes(), spacings(), block_shapes())
def test_the_table_blockwise_equals_whole(labels, spacing, block_shape):
    table = region_table(labels, block_shape=block_shape, spacing=spacing)
    for name, column in regions.measure(labels, spacing=spacing).items():
        np.testing.assert_array_equal(table[name], column)


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
def test_tiny_volumes(shape):
    probs = np.full(shape, 255, dtype=np.uint8)
    operators = {
        "threshold": P(threshold, level=0.5), "small": P(remove_small, min_voxels=1),
        "closing": P(closing, radius_nm=30), "fill": P(fill_holes), **LAST,
    }
    out = blockwise(probs, operators, (10, 10, 10), (4, 4, 4))
    np.testing.assert_array_equal(out, np.ones(shape))


@dataclass
class DiskBench:
    shape: tuple[int, ...]
    folder: Path

    def sheet(self, name, *, dtype, inputs):
        array = zarr.create_array(
            self.folder / f"{name}.zarr", shape=self.shape, dtype=dtype, chunks=(8, 8, 8)
        )
        return Sheet(array, self.folder / f"{name}.journal", self.folder / name)


def test_processes_find_what_serial_finds(tmp_path):
    shape = (20, 24, 28)
    probs = (np.random.default_rng(0).random(shape) * 256).astype(np.uint8)
    stored = zarr.create_array(tmp_path / "probs", shape=shape, dtype="u1", chunks=(8, 8, 8))
    stored[:] = probs
    operators = {
        "smooth": P(smooth, sigma_nm=8.0), "threshold": P(threshold, level=0.56),
        "small": P(remove_small, min_voxels=9), "closing": P(closing, radius_nm=10.0),
        "fill": P(fill_holes), "components": P(components, min_voxels=9),
    }
    work = Work(
        bench=DiskBench(shape, tmp_path), block_shape=(8, 16, 8), runner=Processes(n_workers=2),
        spacing=(10.0, 10.0, 10.0),
    )
    target = DiskBench(shape, tmp_path).sheet("labels", dtype="u4", inputs="")
    n = find_objects(stored, target, operators, work=work, inputs="")
    expected = whole(probs, operators, work.spacing)
    assert n == expected.max() > 1
    np.testing.assert_array_equal(target.array[:], expected)
