"""Places of pores by blocks are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.blocks import Processes, Serial
from fibseg.errors import UsageError
from fibseg.phantom import make_cell
from fibseg.pipeline import pore_sites as module
from fibseg.pipeline.pore_sites import border_box, pore_sites
from fibseg.pseudolabel import COLUMNS, PoreShape, find_sites

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


def test_blocks_far_from_the_border_are_not_looked_at(cell, monkeypatch):
    looked_at = []

    def seen(image, nucleus, **settings):
        looked_at.append(image.shape)
        return find_sites(image, nucleus, **settings)

    monkeypatch.setattr(module, "find_sites", seen)
    nucleus = np.zeros((80, 112, 240), bool)
    nucleus[30:50, 40:60, 2:20] = True
    found = pore_sites(
        np.zeros(nucleus.shape, np.uint8), nucleus, shape=PoreShape(),
        block_shape=(80, 112, 60), spacing=SPACING,
    )
    assert len(looked_at) == 1
    assert looked_at[0][2] < 20 + 2 * 100
    assert set(found) == set(COLUMNS)


def test_the_box_of_a_border_holds_all_of_it():
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random((5, 6, 7)) < rng.choice([0.01, 0.5, 0.99])
        border = np.zeros(mask.shape, bool)
        for axis in range(3):
            differs = np.diff(mask.astype(int), axis=axis) != 0
            before, after = ([slice(None)] * 3 for _ in range(2))
            before[axis], after[axis] = slice(None, -1), slice(1, None)
            border[tuple(before)] |= differs
            border[tuple(after)] |= differs
        places = np.argwhere(border)
        box = border_box(mask)
        if not len(places):
            assert box.size == 0
            continue
        assert box.start == tuple(places.min(axis=0))
        assert box.stop == tuple(places.max(axis=0) + 1)
