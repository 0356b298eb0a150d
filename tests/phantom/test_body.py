"""The large surfaces: one cell, one nucleus of two lobes with a furrow, an envelope with a gap."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy import ndimage

from fibseg.phantom.body import Body, make_body
from fibseg.phantom.grid import Grid, gradient

GRID = Grid((96, 128, 128), (20.0, 20.0, 20.0))


@pytest.fixture(scope="module", params=[0, 1, 2])
def body(request: pytest.FixtureRequest) -> Body:
    return make_body(GRID, np.random.default_rng(request.param))


def test_cell_and_nucleus_are_one_piece_each(body: Body) -> None:
    for distance in (body.cell, body.nucleus):
        assert cc3d.connected_components(distance < 0, connectivity=26).max() == 1


def test_the_nucleus_lies_deep_in_the_cell(body: Body) -> None:
    nucleus = body.nucleus < 0
    assert 0.1 < nucleus.sum() / (body.cell < 0).sum() < 0.4
    away = ndimage.distance_transform_edt(body.cell < 0, sampling=GRID.spacing)
    assert away[nucleus].min() > 80


def test_cytoplasm_is_what_is_left(body: Body) -> None:
    assert np.array_equal(body.cytoplasm, (body.cell < 0) & ~(body.nucleus < 0))


def test_resin_surrounds_the_cell(body: Body) -> None:
    assert 0.3 < (body.cell < 0).mean() < 0.8
    for corner in np.ndindex(2, 2, 2):
        assert body.cell[tuple(-c for c in corner)] > 0


def test_the_gap_of_the_envelope_is_that_of_the_field(body: Body) -> None:
    assert body.gap.min() >= 30
    assert body.gap.max() <= 50
    assert body.gap.mean() == pytest.approx(40, abs=3)


def test_distances_have_unit_slope_at_the_surface(body: Body) -> None:
    for distance in (body.cell, body.nucleus):
        slope = gradient(distance, spacing=GRID.spacing)
        length = np.sqrt(sum(s**2 for s in slope))
        near = (np.abs(distance) < 25)[1:-1, 1:-1, 1:-1]
        assert np.median(length[1:-1, 1:-1, 1:-1][near]) == pytest.approx(1, abs=0.12)


def test_both_lobes_are_there_and_unequal(body: Body) -> None:
    nucleus = body.nucleus < 0
    small, big = (nucleus & (body.across > 0)).sum(), (nucleus & (body.across < 0)).sum()
    assert 0.15 < small / big < 0.95


def test_a_furrow_of_cytoplasm_parts_the_lobes(body: Body) -> None:
    nucleus = body.nucleus < 0
    filled = ndimage.binary_closing(np.pad(nucleus, 12), ndimage.generate_binary_structure(3, 1), 9)
    furrow = filled[12:-12, 12:-12, 12:-12] & ~nucleus
    between = np.abs(body.across) < 200
    assert (furrow & between).sum() > 0.5 * furrow.sum()
    assert furrow.sum() > 1000


def test_depth_is_the_distance_to_the_nearest_surface(body: Body) -> None:
    depth = body.depth(GRID)
    assert (depth[~body.cytoplasm] == 0).all()
    exact = ndimage.distance_transform_edt(body.cytoplasm, sampling=GRID.spacing)
    assert np.abs(depth - exact)[body.cytoplasm].max() < 1e-2


def test_depth_without_any_surface_is_finite() -> None:
    grid = Grid((2, 3, 4), (20.0, 20.0, 20.0))
    assert np.isfinite(make_body(grid, np.random.default_rng(0)).depth(grid)).all()
