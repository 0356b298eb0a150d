"""Distances of objects to membranes against brute force over all faces between voxels."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from membranes import brute_force
from strategies import block_shapes, label_volumes, masks, spacings

from fibseg.blocks import Processes
from fibseg.measure import regions
from fibseg.pipeline import distance_sums, interfaces
from fibseg.pipeline.distance_sums import distance_table


def measured(labels, targets, *, spacing, block_shape, **more):
    table = regions.measure(labels, spacing=spacing)
    with tempfile.TemporaryDirectory() as folder:
        return distance_table(
            labels, targets, table, folder=Path(folder), block_shape=block_shape,
            spacing=spacing, **more,
        )


def with_border(mask):
    """The same mask, but with something on both sides."""
    mask = mask.copy()
    mask.flat[0], mask.flat[-1] = True, False
    return mask


@st.composite
def cases(draw):
    labels = draw(label_volumes(high=10))
    shape = labels.shape if labels.size > 1 else (1, 1, 2)
    labels = np.resize(labels, shape)
    targets = {
        name: with_border(draw(masks(shape))).astype(np.uint8) for name in ("nucleus", "cell")
    }
    return labels, targets, draw(spacings())


@settings(max_examples=25)
@given(cases(), block_shapes(), st.sampled_from([2, 3, 64]))
def test_any_blocks_give_the_distances_of_brute_force(case, block_shape, cell):
    labels, targets, spacing = case
    with pytest.MonkeyPatch.context() as patch:
        for module, edge in ((interfaces, "PIECE"), (interfaces, "GROUP"),
                             (distance_sums, "GROUP")):
            patch.setattr(module, edge, cell)
        table = measured(labels, targets, spacing=spacing, block_shape=block_shape)
        whole = measured(labels, targets, spacing=spacing, block_shape=labels.shape)
    expected = brute_force(labels, targets, spacing)
    assert set(table) == set(expected)
    for name, column in expected.items():
        np.testing.assert_array_equal(table[name], whole[name], strict=True, err_msg=name)
        np.testing.assert_allclose(
            table[name].astype(float), column.astype(float), atol=2e-6, err_msg=name
        )


def test_few_points_are_held_and_the_distances_are_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 4, (4, 4, 4)), np.ones((4, 4, 4), int)).astype(np.uint32)
    targets = {"nucleus": rng.random(labels.shape) < 0.05}
    monkeypatch.setattr(interfaces, "PIECE", 4)
    first = measured(labels, targets, spacing=(20.0, 10.0, 10.0), block_shape=(8, 8, 8))
    monkeypatch.setattr(interfaces, "HELD_POINTS", 1)
    other = measured(labels, targets, spacing=(20.0, 10.0, 10.0), block_shape=(8, 8, 8))
    for name, column in first.items():
        np.testing.assert_array_equal(other[name], column)


def test_of_a_ball_in_a_ball_they_are_the_gap_between_radii():
    grid = np.indices((60, 60, 60)) - 30.0
    away = np.sqrt((grid**2).sum(axis=0))
    nucleus, cell = away <= 20, away <= 29
    small = np.sqrt(((grid - np.array([0, 0, 24.5]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0)) <= 2.5
    table = measured(
        small.astype(np.uint8), {"nucleus": nucleus, "cell": cell}, spacing=(10.0,) * 3,
        block_shape=(32, 32, 32),
    )
    assert table["distance_nucleus_um"] == pytest.approx(0.045, abs=0.005)
    assert table["distance_cell_um"] == pytest.approx(0.045, abs=0.005)
    assert table["surface_distance_nucleus_um"] == pytest.approx(0.020, abs=0.006)
    assert table["distance_nearest_um"] == min(
        table["distance_nucleus_um"], table["distance_cell_um"]
    )
    assert (table["inside_cell"], table["inside_nucleus"]) == (True, False)


def test_an_object_that_touches_is_half_a_voxel_away():
    labels, nucleus = np.zeros((2, 1, 3, 8), np.uint8)
    labels[..., 4:6], nucleus[..., :4] = 7, 1
    table = measured(labels, {"n": nucleus}, spacing=(30.0, 20.0, 10.0), block_shape=(1, 2, 3))
    assert table["surface_distance_n_um"].tolist() == [0.005]
    assert table["distance_n_um"].tolist() == [0.01]


def test_an_object_that_fills_the_volume_has_no_surface():
    labels = np.ones((4, 4, 4), np.uint8)
    nucleus = np.indices(labels.shape)[0] < 1
    table = measured(labels, {"n": nucleus}, spacing=(10.0,) * 3, block_shape=(2, 4, 4))
    assert np.isnan(table["surface_distance_n_um"][0])
    assert np.isnan(table["mean_surface_distance_n_um"][0])
    # The centre of the volume lies above the corner of four faces.
    assert table["distance_n_um"] == pytest.approx(np.sqrt(10**2 + 5**2 + 5**2) / 1000, abs=1e-6)
    assert table["share_in_n"].tolist() == [0.25]


def test_processes_read_a_store(tmp_path):
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 6, (5, 6, 7)), np.ones((7, 6, 5), int)).astype(np.uint32)
    target = np.kron(rng.integers(0, 2, (5, 6, 7)), np.ones((7, 6, 5), int)).astype(np.uint8)
    stored = []
    for name, array in (("labels", labels), ("target", target)):
        stored.append(zarr.create_array(
            tmp_path / name, shape=array.shape, dtype=array.dtype, chunks=(8, 8, 8)
        ))
        stored[-1][:] = array
    table = distance_table(
        stored[0], {"t": stored[1]}, regions.measure(labels, spacing=(50.0, 10.0, 8.0)),
        folder=tmp_path / "scratch", block_shape=(16, 24, 16), runner=Processes(n_workers=2),
        spacing=(50.0, 10.0, 8.0),
    )
    here = measured(labels, {"t": target}, spacing=(50.0, 10.0, 8.0), block_shape=labels.shape)
    for name, column in here.items():
        np.testing.assert_array_equal(table[name], column, strict=True)
