from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from benches import MemoryBench
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes, masks, probability_volumes, spacings

from fibseg.blocks import Serial
from fibseg.measure import regions
from fibseg.pipeline.chain import bound
from fibseg.pipeline.operators import Sheet, Work, find_objects, region_table
from fibseg.postprocess import (
    closing,
    components,
    dilation,
    fill_holes,
    grow,
    hysteresis,
    largest,
    remove_small,
    smooth,
    split_objects,
    threshold,
)

P = functools.partial
CONNECTIVITY = st.sampled_from([6, 18, 26])


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
        array = bound(fn, spacing=spacing)(array)
    return array


def check(array, operators, spacing, block_shape):
    np.testing.assert_array_equal(
        blockwise(array, operators, spacing, block_shape), whole(array, operators, spacing)
    )


LAST = {"components": P(components)}


@settings(deadline=None, max_examples=40)
@given(masks(), spacings(), block_shapes(), st.integers(0, 12), CONNECTIVITY)
def test_remove_small_blockwise_equals_whole(mask, spacing, block_shape, least, connectivity):
    step = P(remove_small, min_voxels=least, connectivity=connectivity)
    check(mask, {"small": step, **LAST}, spacing, block_shape)


@settings(deadline=None, max_examples=60)
@given(masks(), spacings(), block_shapes(), st.sampled_from([None, 1, 5]), CONNECTIVITY)
def test_fill_holes_blockwise_equals_whole(mask, spacing, block_shape, voxels, connectivity):
    most = None if voxels is None else voxels * float(np.prod(spacing)) * 1e-9
    step = P(fill_holes, max_volume_um3=most, connectivity=connectivity)
    check(mask, {"fill": step, **LAST}, spacing, block_shape)


@settings(deadline=None, max_examples=40)
@given(probability_volumes(), spacings(), block_shapes(), st.sampled_from([0.0, 12.0, 25.0]))
def test_a_whole_chain_blockwise_equals_whole(probs, spacing, block_shape, radius_nm):
    operators = {
        "smooth": P(smooth, sigma_nm=6.0), "threshold": P(threshold, level=0.5),
        "small": P(remove_small, min_voxels=2), "closing": P(closing, radius_nm=radius_nm),
        "fill": P(fill_holes), "components": P(components, min_voxels=3),
    }
    check(probs, operators, spacing, block_shape)


@settings(deadline=None, max_examples=40)
@given(
    probability_volumes(), spacings(), block_shapes(), st.sampled_from([0.0, 12.0]),
    CONNECTIVITY,
)
def test_hysteresis_blockwise_equals_whole(probs, spacing, block_shape, sigma_nm, connectivity):
    operators = {
        "smooth": P(smooth, sigma_nm=sigma_nm),
        "hysteresis": P(hysteresis, low=0.45, high=0.7, connectivity=connectivity), **LAST,
    }
    check(probs, operators, spacing, block_shape)


@settings(deadline=None, max_examples=40)
@given(masks(), spacings(), block_shapes(), st.integers(1, 3), CONNECTIVITY)
def test_largest_blockwise_equals_whole(mask, spacing, block_shape, n, connectivity):
    step = P(largest, n=n, connectivity=connectivity)
    check(mask, {"largest": step, **LAST}, spacing, block_shape)


@settings(deadline=None, max_examples=40)
@given(probability_volumes(), spacings(), block_shapes(), st.sampled_from([40, 2**24]))
def test_split_and_grown_objects_blockwise_equal_whole(probs, spacing, block_shape, most):
    operators = {
        "threshold": P(threshold, level=0.5), "components": P(components, min_voxels=2),
        "split": P(split_objects, depth_nm=2.0, max_object_voxels=most),
        "grow": P(grow, distance_nm=11.0),
    }
    check(probs, operators, spacing, block_shape)


def test_a_mask_between_two_steps_is_no_image_of_bytes():
    """Smoothing takes bytes for 0 to 1 in 256 steps; a stored mask must not look like that."""
    mask = np.random.default_rng(1).random((6, 7, 8)) < 0.5
    operators = {
        "dilation": P(dilation, radius_nm=8.0), "small": P(remove_small, min_voxels=2),
        "smooth": P(smooth, sigma_nm=9.0), "hysteresis": P(hysteresis, low=0.6, high=0.9), **LAST,
    }
    check(mask, operators, (8.0, 8.0, 8.0), (4, 4, 4))
    assert whole(mask, operators, (8.0, 8.0, 8.0)).any()


@settings(deadline=None, max_examples=60)
@given(label_volumes(), spacings(), block_shapes(), st.booleans())
def test_the_table_blockwise_equals_whole(labels, spacing, block_shape, with_image):
    image = labels.astype(np.uint8) if with_image else None
    table = region_table(labels, image, block_shape=block_shape, spacing=spacing)
    expected = regions.measure(labels, image, spacing=spacing)
    assert list(table) == list(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(table[name], column)


def test_an_empty_volume_has_the_columns_of_a_full_one():
    empty, full = np.zeros((0, 3, 3), np.uint8), np.ones((1, 3, 3), np.uint8)
    tables = [
        region_table(v, v, block_shape=(2, 2, 2), spacing=(1, 1, 1)) for v in (empty, full)
    ]
    assert list(tables[0]) == list(tables[1])
    assert [len(t["label"]) for t in tables] == [0, 1]


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
def test_tiny_volumes(shape):
    probs = np.full(shape, 255, dtype=np.uint8)
    operators = {
        "threshold": P(threshold, level=0.5), "small": P(remove_small, min_voxels=1),
        "closing": P(closing, radius_nm=30), "fill": P(fill_holes), **LAST,
    }
    out = blockwise(probs, operators, (10, 10, 10), (4, 4, 4))
    np.testing.assert_array_equal(out, np.ones(shape))
