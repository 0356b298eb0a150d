"""What the spatial null needs, block by block, against the whole volume in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import block_shapes, label_volumes, masks, shapes, spacings

from fibseg.measure import clouds
from fibseg.measure.cytoplasm import Cell
from fibseg.measure.settings import Correlating
from fibseg.measure.working_grid import WorkingGrid, majority
from fibseg.pipeline import null_facts
from fibseg.pipeline.cell_room import coarse_cell, object_clouds

FACTORS = st.tuples(*[st.integers(1, 5)] * 3)


@st.composite
def cells(draw):
    shape = draw(shapes())
    return draw(masks(shape)).astype(np.uint8), draw(masks(shape)).astype(np.uint16)


@settings(max_examples=60)
@given(cells(), FACTORS, block_shapes(), spacings())
def test_any_blocks_give_the_majority_of_the_whole(cell, factors, block_shape, spacing):
    grid = WorkingGrid.of(factors, shape=cell[0].shape, spacing=spacing)
    with tempfile.TemporaryDirectory() as folder:
        found, again = (
            coarse_cell(*cell, grid, block_shape=block_shape, scratch=Path(folder) / "room")
            for _ in range(2)
        )
    kept = tuple(slice(n) for n in grid.shape)
    inside, nucleus = (
        majority(mask, factors=factors, ties=ties)[kept]
        for mask, ties in zip(cell, (True, False), strict=True)
    )
    expected = Cell(inside, nucleus, grid.spacing, grid.first_um).cropped()
    for one in (found, again):
        np.testing.assert_array_equal(one.inside, expected.inside)
        np.testing.assert_array_equal(one.nucleus, expected.nucleus)
        assert (one.spacing, one.first_um) == (expected.spacing, expected.first_um)


@settings(max_examples=40)
@given(label_volumes(), FACTORS, block_shapes(), spacings())
def test_any_blocks_give_the_clouds_of_the_whole(labels, factors, block_shape, spacing):
    grid = WorkingGrid.of(factors, shape=labels.shape, spacing=spacing)
    found = object_clouds(labels, grid, block_shape=block_shape)
    sums = clouds.partial(labels, start=(0, 0, 0), cell=grid.cell)
    expected = clouds.finish(sums, cell=grid.cell, spacing=spacing).finer(grid.finer)
    for name in ("label", "first", "points_um", "cells", "n_voxels"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)


@pytest.mark.parametrize(
    ("per_um", "radius"), [([4.0, np.nan, 20.0], (0.5 + 0.1) / 2), ([np.nan] * 3, None)]
)
def test_the_radius_is_that_of_tubes_or_else_of_balls(per_um, radius):
    table = {"surface_to_volume_per_um": np.array(per_um),
             "volume_um3": 4 / 3 * np.pi * np.array([0.1, 0.2, 0.5]) ** 3}
    found = null_facts.object_radius_um(table)
    assert found == pytest.approx(0.2 if radius is None else radius)


@pytest.mark.parametrize(("most", "said"), [(2**23, False), (8**3, True)])
def test_a_grid_that_had_to_be_coarser_is_told(monkeypatch, caplog, most, said):
    monkeypatch.setattr("fibseg.measure.working_grid.MOST_VOXELS", most)
    cell = np.zeros((24, 24, 24), np.uint8)
    cell[1:-1, 1:-1, 1:-1] = 1
    nucleus, objects = np.zeros_like(cell), np.zeros_like(cell)
    nucleus[9:14, 9:14, 9:14] = 1
    for number, at in enumerate([(4, 4, 4), (4, 18, 4), (18, 4, 4), (18, 18, 18)]):
        objects[tuple(slice(n, n + 2) for n in at)] = number + 1
    table = {"label": np.arange(1, 5), "volume_um3": np.full(4, 8e-6),
             "surface_to_volume_per_um": np.array([50.0, 60.0, 70.0, 90.0])}
    labels = {"cell": cell, "nucleus": nucleus, "objects": objects}
    with tempfile.TemporaryDirectory() as folder, caplog.at_level("INFO", logger="fibseg"):
        facts = null_facts.null_facts(
            table, table["surface_to_volume_per_um"], labels,
            Correlating(n_simulations=9, voxel_nm=10), columns=["n", "c", "nearest"],
            folder=Path(folder), block_shape=(24, 24, 24), spacing=(10.0, 10.0, 10.0),
        )
    assert facts["voxel_nm"] == ([30.0] * 3 if said else [10.0] * 3)
    assert ("coarser than 10 nm for the sake of memory and time" in caplog.text) == said
    assert facts["table"]["with_column"] == list(facts["simulated"]) == ["n", "c", "nearest"]
