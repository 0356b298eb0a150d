from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import UsageError
from fibseg.pictures.camera import Camera, Wedge, outermost, rays, through_box, through_wedge

FRONT = Camera(turn_deg=0, tilt_deg=0, size_px=40, supersampling=1)
ANGLES = st.floats(-180, 180)


def seen(camera: Camera, z: float, y: float, x: float) -> np.ndarray:
    """Place of a point to the right, downwards and away."""
    return np.array([z, y, x]) @ camera.axes.T


@given(turn=ANGLES, tilt=ANGLES)
def test_axes_are_a_rotation_and_never_mirror(turn: float, tilt: float) -> None:
    axes = Camera(turn_deg=turn, tilt_deg=tilt).axes
    assert np.allclose(axes @ axes.T, np.eye(3))
    # Right, down and away in (x, y, z), where the volume is right-handed.
    assert np.linalg.det(axes[:, ::-1]) == pytest.approx(1)


def test_turning_brings_the_front_to_the_right_and_tilting_brings_it_down() -> None:
    assert seen(Camera(turn_deg=30, tilt_deg=0), -1, 0, 0)[0] == pytest.approx(0.5)
    assert seen(Camera(turn_deg=0, tilt_deg=30), -1, 0, 0)[1] == pytest.approx(0.5)
    top = seen(Camera(turn_deg=0, tilt_deg=30), 0, -1, 0)
    assert top[2] < 0  # the upper side comes nearer


@given(turn=ANGLES, tilt=ANGLES, size=st.integers(5, 60), samples=st.integers(1, 3))
def test_the_picture_just_holds_what_it_is_taken_of(
    turn: float, tilt: float, size: int, samples: int
) -> None:
    camera = Camera(turn_deg=turn, tilt_deg=tilt, size_px=size, supersampling=samples)
    points = np.random.default_rng(0).normal(size=(50, 3))
    bundle = rays(camera, points)
    rows, columns = bundle.shape
    assert max(rows, columns) == size * samples
    assert rows % samples == columns % samples == 0
    places = points @ camera.axes.T
    grid = bundle.origins_um @ camera.axes.T
    half = bundle.um_per_sample / 2
    for axis in (0, 1):
        assert grid[:, axis].min() - half <= places[:, axis].min()
        assert grid[:, axis].max() + half >= places[:, axis].max()
    assert np.allclose(grid[:, 2], places[:, 2].min())


def test_rays_go_row_by_row() -> None:
    bundle = rays(FRONT, np.array([[0.0, 0, 0], [1, 1, 2]]))
    rows, columns = bundle.shape
    assert rows < columns
    grid = bundle.origins_um.reshape(rows, columns, 3)
    assert np.all(np.diff(grid[..., 2], axis=1) > 0)
    assert np.all(np.diff(grid[..., 1], axis=0) > 0)


def test_rays_enter_and_leave_at_the_outer_faces_of_voxels() -> None:
    shape, spacing = (4, 6, 8), (50.0, 10.0, 10.0)
    bundle = rays(FRONT, outermost(np.ones(shape, bool), spacing=spacing))
    enter, leave = through_box(bundle, shape=shape, spacing=spacing)
    inside = enter < leave
    ahead = bundle.origins_um[:, 0]
    assert np.allclose((ahead + enter)[inside], -0.025)
    assert np.allclose((ahead + leave)[inside], 0.175)
    width = bundle.origins_um[inside][:, 2]
    assert width.min() > -0.005
    assert width.max() < 0.075
    assert not inside.all()  # the margin


@given(turn=ANGLES, tilt=ANGLES, seed=st.integers(0, 9))
def test_what_lies_between_enter_and_leave_is_cut_away(
    turn: float, tilt: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    camera = Camera(turn_deg=turn, tilt_deg=tilt, size_px=6, supersampling=1)
    bundle = rays(camera, rng.normal(size=(9, 3)))
    normals = rng.normal(size=(2, 3))
    wedge = Wedge((0.1, 0.2, 0.3), tuple(map(tuple, normals)))
    enter, leave = through_wedge(bundle, wedge)
    along = rng.uniform(-5, 5, len(enter))
    points = bundle.origins_um + along[:, None] * bundle.away
    away = np.all((points - np.array(wedge.point_um)) @ normals.T > 0, axis=1)
    assert np.array_equal(away, (along > enter) & (along < leave))


def test_the_outermost_points_of_a_mask_are_those_of_all_its_voxels() -> None:
    mask = np.random.default_rng(0).random((5, 6, 7)) > 0.8
    spacing = (30.0, 10.0, 20.0)
    points = outermost(mask, spacing=spacing)
    every = np.argwhere(mask) * np.array(spacing) * 1e-3
    for direction in np.random.default_rng(1).normal(size=(20, 3)):
        half = np.abs(direction) @ (np.array(spacing) * 1e-3) / 2
        assert (points @ direction).max() == pytest.approx((every @ direction).max() + half)


def test_an_empty_mask_is_framed_by_the_volume() -> None:
    points = outermost(np.zeros((2, 3, 4), bool), spacing=(10.0, 10.0, 10.0))
    assert points.min(axis=0) == pytest.approx([-0.005] * 3)
    assert points.max(axis=0) == pytest.approx([0.015, 0.025, 0.035])


@pytest.mark.parametrize("wrong", [{"size_px": 0}, {"supersampling": 0}])
def test_no_picture_without_pixels(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="is no picture"):
        Camera(**wrong)
