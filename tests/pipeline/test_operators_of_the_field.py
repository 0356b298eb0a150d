from __future__ import annotations

import functools

import numpy as np
import pytest
from benches import DiskBench
from chains import blockwise, check, whole
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, masks, probability_volumes, spacings

from fibseg.blocks import Processes
from fibseg.measure import shape
from fibseg.pipeline.operators import Work, find_objects
from fibseg.postprocess import (
    adaptive_threshold,
    components,
    dilation,
    enhance_particles,
    filter_objects,
    grow_regions,
    invert,
    mask_by,
    preserve_bright_particles,
    smooth,
    smooth_surface,
    split_large,
    threshold,
    watershed,
)

P = functools.partial
LAST = {"components": P(components)}
HALF = {"threshold": P(threshold, level=0.5)}
SPACING = (20.0, 10.0, 10.0)


@settings(deadline=None, max_examples=40)
@given(masks(), spacings(), block_shapes(), st.sampled_from([0.0, 6.0, 14.0]))
def test_smooth_surface_blockwise_equals_whole(mask, spacing, block_shape, sigma_nm):
    check(mask, {"even": P(smooth_surface, sigma_nm=sigma_nm), **LAST}, spacing, block_shape)


COLUMNS = st.sampled_from([
    "label", "n_voxels", "volume_um3", "centroid_y_um", "bbox_x_start", "touches_border",
    "axis_major_um", "intensity_mean", "intensity_max", "surface_area_um2", "sphericity",
    "surface_to_volume_per_um", "elongation", "flatness", "euler_number", "axis_major_z",
])


@settings(deadline=None, max_examples=30)
@given(
    masks(), spacings(), block_shapes(), COLUMNS, st.integers(0, 100),
    st.sampled_from([0.0, 12.0]), st.booleans(), st.booleans(),
)
def test_filter_objects_blockwise_equals_whole(
    mask, spacing, block_shape, column, percent, grow_nm, upper, keep_missing
):
    """Growing before it can change which voxel of an object comes first."""
    raw = (np.indices(mask.shape).sum(axis=0) * 37 % 251).astype(np.uint8)
    table = shape.measure(components(mask, spacing=spacing), raw, spacing=spacing)
    values = table[column].astype(float)
    values = values[~np.isnan(values)]
    limit = float(np.percentile(values, percent)) if values.size else 1.0
    limits = {"maximum": limit} if upper else {"minimum": limit}
    operators = {
        **LAST, "grow": P(grow_regions, distance_nm=grow_nm),
        "filter": P(filter_objects, column=column, keep_missing=keep_missing, **limits),
    }
    check(mask, operators, spacing, block_shape, {"raw": raw})


@settings(deadline=None, max_examples=30)
@given(
    probability_volumes(), spacings(), block_shapes(), st.sampled_from([None, 0.7, 1.0]),
    st.sampled_from([0.0, 20.0]), st.sampled_from([40, 2**24]),
)
def test_watershed_from_strict_seeds_blockwise_equals_whole(
    probs, spacing, block_shape, strict_level, min_nm, most
):
    step = P(
        watershed, probs="probabilities", depth_nm=2.0, strict_level=strict_level,
        min_seed_distance_nm=min_nm, max_object_voxels=most,
    )
    check(probs, {**HALF, **LAST, "watershed": step}, spacing, block_shape)


@settings(deadline=None, max_examples=30)
@given(probability_volumes(), spacings(), block_shapes(), st.integers(0, 80))
def test_split_large_blockwise_equals_whole(probs, spacing, block_shape, n_voxels):
    step = P(
        split_large, probs="probabilities", max_volume_um3=n_voxels * float(np.prod(spacing)) / 1e9,
        depth_nm=1.0, strict_level=0.6,
    )
    check(probs, {**HALF, **LAST, "split": step}, spacing, block_shape)


@settings(deadline=None, max_examples=40)
@given(
    probability_volumes(), spacings(), block_shapes(), st.booleans(), st.booleans(),
    st.sampled_from([{"low": 60}, {"high": 200}, {"low": 60.5, "high": 200}]),
)
def test_growing_within_a_mask_and_an_interval_blockwise_equals_whole(
    probs, spacing, block_shape, fenced, graded, limits
):
    arrays = {"labels/cell": probs % 3, "raw": 255 - probs}
    how = {"within": "labels/cell"} if fenced else {}
    how |= {"image": "raw", **limits} if graded else {}
    operators = {
        "strict": P(threshold, level=0.8), **LAST, "grow": P(grow_regions, distance_nm=25.0, **how)
    }
    check(probs, operators, spacing, block_shape, arrays)


LOCAL = {
    "mean": P(adaptive_threshold, window_nm=50.0, offset=0.05),
    "median": P(adaptive_threshold, window_nm=30.0, method="median"),
    "bright": P(preserve_bright_particles, diameter_nm=30.0),
    "enhance": P(enhance_particles, diameter_nm=30.0),
    "difference": P(enhance_particles, diameter_nm=20.0, method="difference"),
    "invert": P(invert),
    "outside": P(mask_by, other="labels/cell", outside=True),
}


@settings(deadline=None, max_examples=60)
@given(probability_volumes(), spacings(), block_shapes(), st.sampled_from(sorted(LOCAL)))
def test_local_operators_blockwise_equal_whole(probs, spacing, block_shape, name):
    """Followed by a dilation: what is wrong at a seam spreads."""
    cell = (np.indices(probs.shape).max(axis=0) // 4 % 2).astype(np.uint8)
    cut = {} if name in ("mean", "median") else {"cut": P(threshold, level=0.2)}
    operators = {
        name: LOCAL[name], **cut, "inside": P(mask_by, other="labels/cell"),
        "dilation": P(dilation, radius_nm=10.0), "not": P(invert), **LAST,
    }
    check(probs, operators, spacing, block_shape, {"labels/cell": cell})


def test_names_are_looked_up_once_for_each_step_that_gives_them():
    probs = np.full((2, 3, 8), 200, dtype=np.uint8)
    first, second = np.zeros((2, *probs.shape), dtype=np.uint8)
    first[:, :, :5], second[:, :, 3:] = 1, 1
    operators = {
        "a": P(mask_by, other="labels/a"), **HALF, "b": P(mask_by, other="labels/b"), **LAST
    }
    out = check(probs, operators, SPACING, (2, 2, 3), {"labels/a": first, "labels/b": second})
    assert out[0, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [0, 255])
def test_tiny_volumes(shape, value):
    probs = np.full(shape, value, dtype=np.uint8)
    operators = {
        **HALF, "even": P(smooth_surface, sigma_nm=9.0), **LAST,
        "filter": P(filter_objects, column="intensity_mean", maximum=200),
        "split": P(split_large, max_volume_um3=0.0, depth_nm=1.0),
        "grow": P(grow_regions, image="raw", distance_nm=20.0, low=3),
    }
    out = check(probs, operators, SPACING, (4, 4, 4), {"raw": probs // 2})
    np.testing.assert_array_equal(out, (probs > 0).astype(np.uint32))


def test_processes_find_what_serial_finds(tmp_path):
    shape, rng = (20, 24, 28), np.random.default_rng(0)
    probs = (rng.random(shape) * 256).astype(np.uint8)
    bench = DiskBench(shape, tmp_path)
    arrays = {
        "labels/cell": bench.stored("cell", (rng.random(shape) < 0.8).astype(np.uint8)),
        "raw": bench.stored("raw", probs[::-1]),
    }
    operators = {
        "bright": P(preserve_bright_particles, diameter_nm=60.0), "smooth": P(smooth, sigma_nm=9.0),
        "threshold": P(threshold, level=0.44), "in": P(mask_by, other="labels/cell"),
        "even": P(smooth_surface, sigma_nm=6.0), "components": P(components, connectivity=6),
        "split": P(split_large, probs="probabilities", max_volume_um3=1e-4, depth_nm=1.0,
                   strict_level=0.3),
        "filter": P(filter_objects, column="intensity_mean", minimum=110),
        "grow": P(grow_regions, within="labels/cell", image="raw", distance_nm=20.0, high=99),
    }
    work = Work(
        bench=bench, block_shape=(8, 16, 8), runner=Processes(n_workers=2), spacing=(10.0,) * 3,
        arrays=arrays,
    )
    target = bench.sheet("labels", dtype="u4")
    n = find_objects(bench.stored("probs", probs), target, operators, work=work, inputs="")
    read = {name: array[:] for name, array in arrays.items()}
    expected = whole(probs, operators, work.spacing, read)
    assert n == expected.max() > 20
    np.testing.assert_array_equal(target.array[:], expected)
    np.testing.assert_array_equal(
        blockwise(probs, operators, work.spacing, (7, 9, 11), read), expected
    )
