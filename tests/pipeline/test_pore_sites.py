"""Places of pores by blocks are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.blocks import Processes, Serial
from fibseg.errors import UsageError
from fibseg.phantom import make_cell
from fibseg.pipeline.pore_sites import pore_sites
from fibseg.pseudolabel import PoreShape, find_sites

SPACING = (20.0, 20.0, 20.0)


@pytest.fixture(scope="module")
def cell():
    return make_cell((80, 112, 112), seed=3)


def sites(cell, **change):
    settings = {
        "shape": PoreShape(), "block_shape": cell.image.shape, "spacing": SPACING, **change
    }
    return pore_sites(cell.image, cell.labels["nucleus"], **settings)


def test_one_block_is_the_array_function(cell):
    whole = find_sites(
        cell.image, cell.labels["nucleus"], shape=PoreShape(), spacing=SPACING
    )
    found = sites(cell)
    assert len(found["z_um"]) == len(whole["z_um"]) > 20
    for name, column in whole.items():
        assert sorted(found[name]) == pytest.approx(sorted(column), abs=1e-5)


@pytest.mark.parametrize(
    ("block_shape", "runner"),
    [((40, 40, 64), Serial()), ((23, 112, 50), Serial()), ((40, 112, 112), Processes(2))],
)
def test_blocks_and_workers_change_nothing(cell, block_shape, runner):
    expected = sites(cell)
    found = sites(cell, block_shape=block_shape, runner=runner)
    assert len(found["z_um"]) == len(expected["z_um"])
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


def test_stain_may_be_bright(cell):
    expected = sites(cell)
    found = pore_sites(
        255 - cell.image, cell.labels["nucleus"], shape=PoreShape(), bright_stain=True,
        block_shape=cell.image.shape, spacing=SPACING,
    )
    np.testing.assert_allclose(found["z_um"], expected["z_um"], atol=1e-4)
    np.testing.assert_allclose(found["gap_contrast"], expected["gap_contrast"], atol=1e-3)


@pytest.mark.parametrize("value", [0, 1])
def test_without_a_border_there_are_none(cell, value):
    found = pore_sites(
        cell.image, np.full_like(cell.image, value), shape=PoreShape(), block_shape=(40, 112, 112),
        spacing=SPACING,
    )
    assert len(found["z_um"]) == 0


def test_coarse_voxels_are_refused_before_any_work(cell):
    with pytest.raises(UsageError, match="40 x 20 x 20 nm are too coarse"):
        sites(cell, spacing=(40.0, 20.0, 20.0))
