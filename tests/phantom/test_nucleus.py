"""Pores and chromatin on envelopes whose geometry is known exactly."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from scipy.spatial import cKDTree

from fibseg.phantom.body import BIG_LOBE, SMALL_LOBE, Body
from fibseg.phantom.chromatin import fold_chromatin
from fibseg.phantom.grid import Grid
from fibseg.phantom.pores import Pores, no_pores, place_pores

GRID = Grid((90, 90, 90), (20.0, 20.0, 20.0))
RADIUS = 700.0


def sphere(gap: float = 40.0) -> Body:
    """A round nucleus in the middle of the volume, its small lobe towards larger x."""
    z, y, x = (a - c for a, c in zip(GRID.axes(), GRID.centre, strict=True))
    away = np.sqrt(z * z + y * y + x * x).astype(np.float32)
    across = np.broadcast_to(x - np.float32(200), GRID.shape).astype(np.float32)
    return Body(away - 880, away - RADIUS, np.full(GRID.shape, gap, np.float32), across)


def placed(*, density: float = 8.0, gradient: bool = True, seed: int = 0) -> Pores:
    return place_pores(
        GRID, sphere(), density_per_um2=density, pore_gradient=gradient,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def stacked(pores: Pores, names: tuple[str, str, str]) -> np.ndarray:
    return np.stack([pores.table[n] for n in names], axis=1)


@pytest.fixture(scope="module")
def pores() -> Pores:
    return placed()


def test_the_axes_point_outwards_along_the_radius(pores: Pores) -> None:
    from_centre = stacked(pores, ("z_um", "y_um", "x_um")) * 1000 - GRID.centre
    length = np.linalg.norm(from_centre, axis=1, keepdims=True)
    # In the middle between the two membranes.
    assert np.abs(length - (RADIUS - 20)).max() < 2
    cosine = (from_centre / length * stacked(pores, ("axis_z", "axis_y", "axis_x"))).sum(axis=1)
    assert cosine.min() > 0.998


@pytest.mark.parametrize("density", [0.0, 2.0, 6.0, 8.0, 9.0])
def test_the_density_is_the_one_asked_for(density: float) -> None:
    area_um2 = 4 * np.pi * (RADIUS / 1000 - 0.02) ** 2
    n = len(placed(density=density, gradient=False).table["label"])
    assert n / area_um2 == pytest.approx(density, abs=0.35)


def test_too_many_pores_are_dropped_rather_than_squeezed() -> None:
    crowded = placed(density=20)
    points = stacked(crowded, ("z_um", "y_um", "x_um"))
    assert cKDTree(points).query(points, k=2)[0][:, 1].min() >= 0.2
    n = len(points)
    assert cc3d.connected_components(crowded.pockets > 0, connectivity=26).max() == n
    assert crowded.table["pocket_n_voxels"].min() >= 400


@pytest.mark.parametrize(("gradient", "ratio"), [(True, 1.35), (False, 1.0)])
def test_the_lobes_share_the_pores_as_switched(gradient: bool, ratio: float) -> None:
    lobes = placed(gradient=gradient).table["lobe"]
    # A cap above x = 200 of a sphere: its area is proportional to its height.
    height = RADIUS - 20 - 200
    area = {SMALL_LOBE: height, BIG_LOBE: 2 * (RADIUS - 20) - height}
    measured = ((lobes == SMALL_LOBE).sum() / area[SMALL_LOBE]) / (
        (lobes == BIG_LOBE).sum() / area[BIG_LOBE]
    )
    assert measured == pytest.approx(ratio, rel=0.15)


def test_a_pore_is_a_short_cylinder_across_the_envelope(pores: Pores) -> None:
    for i in range(0, len(pores.table["label"]), 7):
        point = stacked(pores, ("z_um", "y_um", "x_um"))[i] * 1000
        axis = stacked(pores, ("axis_z", "axis_y", "axis_x"))[i]
        offset = np.argwhere(pores.labels == i + 1) * 20.0 - point
        high = offset @ axis
        radial = np.linalg.norm(offset - high[:, None] * axis, axis=1)
        assert np.abs(high).max() < 60
        assert radial.max() < 85
        assert high.max() - high.min() > 50


def test_pockets_lie_inside_the_inner_membrane(pores: Pores) -> None:
    assert sphere().nucleus[pores.pockets > 0].max() < -40
    assert not ((pores.pockets > 0) & (pores.labels > 0)).any()


def test_pores_cut_by_a_face_are_left_out() -> None:
    # A nucleus that reaches out of the volume.
    body = sphere()
    shifted = Body(body.cell - 500, body.nucleus - 300, body.gap, body.across)
    out = place_pores(
        GRID, shifted, density_per_um2=8, pore_gradient=True, rng=np.random.default_rng(0)
    )
    assert len(out.table["label"]) > 5
    faces = out.labels.copy()
    faces[1:-1, 1:-1, 1:-1] = 0
    assert not faces.any()
    assert out.table["n_voxels"].min() >= 100


def test_without_envelope_there_are_no_pores() -> None:
    body = sphere()
    empty = Body(body.cell, np.full(GRID.shape, 1e3, np.float32), body.gap, body.across)
    out = place_pores(
        GRID, empty, density_per_um2=8, pore_gradient=True, rng=np.random.default_rng(0)
    )
    assert list(out.table) == list(no_pores(GRID).table)
    assert not out.labels.any()
    assert len(out.table["label"]) == 0


def test_chromatin_lines_the_envelope_and_spares_the_pockets(pores: Pores) -> None:
    chromatin = fold_chromatin(GRID, sphere(), pores.pockets, np.random.default_rng(0))
    depth = -sphere().nucleus
    outside = depth <= 0
    assert (chromatin.hetero[outside] == 0).all()
    assert (chromatin.hetero[pores.pockets > 0] == 0).all()
    free = (pores.pockets == 0) & (chromatin.nucleolus > 150)
    rim = chromatin.hetero[(depth > 45) & (depth < 120) & free].mean()
    inner = chromatin.hetero[(depth > 300) & free].mean()
    assert rim > inner + 0.2


def test_the_nucleolus_is_one_body_away_from_envelope_and_pockets(pores: Pores) -> None:
    chromatin = fold_chromatin(GRID, sphere(), pores.pockets, np.random.default_rng(1))
    nucleolus = chromatin.nucleolus < 0
    assert 0.01 < nucleolus.sum() / (sphere().nucleus < 0).sum() < 0.4
    assert (-sphere().nucleus)[nucleolus].min() > 60
    assert not (nucleolus & (pores.pockets > 0)).any()
