"""Positions, slopes and distances of the frame that the phantom is built in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibseg.phantom.grid import (
    Grid,
    fraction_inside,
    gradient,
    sheet,
    soft_max,
    soft_min,
    to_distance,
)

ISO = (20.0, 20.0, 20.0)


def ball(grid: Grid, radius: float) -> np.ndarray:
    z, y, x = (a - c for a, c in zip(grid.axes(), grid.centre, strict=True))
    return (np.sqrt(z * z + y * y + x * x) - radius).astype(np.float32)


def test_axes_are_positions_of_voxel_centres() -> None:
    z, y, x = Grid((3, 4, 5), (50.0, 20.0, 10.0)).axes()
    assert z.ravel().tolist() == [0, 50, 100]
    assert y.ravel().tolist() == [0, 20, 40, 60]
    assert (z + y + x).shape == (3, 4, 5)


def test_axes_of_a_box_are_cut_out_of_the_whole() -> None:
    grid = Grid((9, 9, 9), (50.0, 20.0, 10.0))
    box = (slice(2, 5), slice(0, 9), slice(7, 8))
    for part, whole, cut in zip(grid.axes(box), grid.axes(), box, strict=True):
        assert np.array_equal(part.ravel(), whole.ravel()[cut])


@given(
    shape=st.tuples(*[st.integers(1, 30)] * 3),
    spacing=st.tuples(*[st.floats(2, 100)] * 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_points_in_the_volume_find_their_voxel(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], seed: int
) -> None:
    grid = Grid(shape, spacing)
    rng = np.random.default_rng(seed)
    voxels = np.stack([rng.integers(0, n, 7) for n in shape], axis=1)
    points = (voxels + rng.uniform(-0.49, 0.49, voxels.shape)) * np.array(spacing)
    assert grid.contains(points).all()
    assert np.array_equal(np.stack(grid.index(points), axis=1), voxels)
    outside = points + np.array(grid.extent)
    assert not grid.contains(outside).any()
    assert all((i < n).all() for i, n in zip(grid.index(outside), shape, strict=True))


def test_a_box_holds_every_voxel_between_its_corners() -> None:
    grid = Grid((10, 10, 10), (40.0, 20.0, 10.0))
    box = grid.box(np.array([-100.0, 50.0, 20.0]), np.array([90.0, 70.0, 1e4]))
    assert box == (slice(0, 4), slice(2, 5), slice(2, 10))
    nothing = grid.box(np.array([1e4] * 3), np.array([2e4] * 3))
    assert np.zeros(grid.shape)[nothing].size == 0


def test_a_small_volume_shrinks_details() -> None:
    assert Grid((176, 224, 224), ISO).scale == 1.0
    assert Grid((24, 64, 64), ISO).scale == pytest.approx(1280 / 3000)


def test_the_slope_of_a_plane_is_per_nm() -> None:
    grid = Grid((6, 7, 1), (50.0, 20.0, 10.0))
    z, y, x = grid.axes()
    slope = gradient((3 * z - 2 * y + 0 * x).astype(np.float32), spacing=grid.spacing)
    assert [float(s.mean()) for s in slope] == pytest.approx([3, -2, 0])


@pytest.mark.parametrize("factor", [0.01, 1.0, 250.0])
def test_distances_do_not_depend_on_the_scale_of_the_field(factor: float) -> None:
    grid = Grid((40, 40, 40), ISO)
    exact = ball(grid, 250.0)
    distance = to_distance(np.float32(factor) * exact, spacing=ISO)
    near = np.abs(exact) < 60
    assert np.abs(distance - exact)[near].max() < 1.5


def test_soft_minimum_rounds_the_kink_only() -> None:
    a = np.linspace(-5, 5, 101, dtype=np.float32)
    b = -a
    low, high = soft_min(a, b, width=2.0), soft_max(a, b, width=2.0)
    assert (low <= np.minimum(a, b) + 1e-6).all()
    assert (high >= np.maximum(a, b) - 1e-6).all()
    far = np.abs(a - b) > 2
    assert np.allclose(low[far], np.minimum(a, b)[far])
    assert low[50] == pytest.approx(-0.5)


def test_the_fractions_of_a_ball_sum_to_its_volume() -> None:
    grid = Grid((40, 40, 40), ISO)
    measured = float(fraction_inside(ball(grid, 250.0), spacing=ISO).sum()) * grid.voxel_nm3
    assert measured == pytest.approx(4 / 3 * np.pi * 250**3, rel=0.01)


def test_a_membrane_peaks_where_it_is() -> None:
    distance = np.linspace(-100, 100, 201, dtype=np.float32)
    bell = sheet(distance, at=-30, sigma=10)
    assert distance[bell.argmax()] == -30
    assert bell.max() == 1
    assert bell[[60, 80]] == pytest.approx(np.exp(-0.5))
