"""Planes at any angle: rotations there and back, known planes, even spreads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import UsageError
from fibseg.geometry import (
    Orientation,
    along,
    even_orientations,
    orthogonal_orientations,
    plane_points,
    random_orientation,
    rotated,
    sample_labels,
    sample_linear,
    study_orientations,
)

ALL = (*orthogonal_orientations(), *study_orientations(), *even_orientations(12))


@given(st.integers(0, len(ALL) - 1), st.integers(0, 2**31))
def test_there_and_back(which, seed):
    points = np.random.default_rng(seed).normal(0, 1e4, (5, 3))
    back = ALL[which].to_volume(ALL[which].to_stack(points))
    np.testing.assert_allclose(back, points, atol=1e-8)


@pytest.mark.parametrize("orientation", ALL, ids=lambda o: o.name)
def test_every_orientation_is_a_rotation_or_swaps_axes(orientation):
    lengths = np.linalg.norm(orientation.to_stack(np.eye(3)), axis=1)
    np.testing.assert_allclose(lengths, 1)
    if orientation not in orthogonal_orientations():
        assert np.linalg.det(orientation.axes) == pytest.approx(1)


def test_the_seven_of_the_study_turn_about_x_and_y():
    names = [o.name for o in study_orientations()]
    assert names == ["z", "x 30", "x 60", "x 90", "y 30", "y 60", "y 90"]
    for orientation in study_orientations()[1:]:
        about, degrees = orientation.name.split()
        assert orientation.axes[0, 0] == pytest.approx(np.cos(np.radians(float(degrees))))
        axis = {"x": 2, "y": 1}[about]
        assert orientation.axes[0, axis] == pytest.approx(0)


@pytest.mark.parametrize("n", [1, 2, 6, 12, 40])
def test_normals_are_spread_evenly(n):
    normals = np.array([o.axes[0] for o in even_orientations(n)])
    assert normals[0].tolist() == [1, 0, 0]
    if n > 1:
        cosines = abs(normals @ normals.T) - 2 * np.eye(n)
        apart = np.degrees(np.arccos(cosines.max(axis=1)))
        # A cap around each: with as many even caps the half sphere would be tiled.
        even = 2 * np.degrees(np.arcsin(np.sqrt(1 / (2 * n))))
        assert apart.min() > 0.6 * even
    spread = normals.T @ normals / n
    if n >= 12:
        assert np.linalg.eigvalsh(spread) == pytest.approx([1 / 3] * 3, abs=0.06)


def test_random_ones_have_no_preferred_direction():
    random = np.random.default_rng(0)
    axes = np.array([random_orientation(random).axes for _ in range(4000)])
    assert abs(axes.mean(axis=0)).max() < 0.04
    assert np.mean(axes**2, axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.03)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (30.0, 10.0, 10.0)])
def test_a_plane_along_an_axis_is_that_plane(axis, spacing):
    image = np.random.default_rng(0).integers(0, 255, (9, 9, 9)).astype(np.uint8)
    number = "zyx".index(axis)
    centre = np.array([4, 4, 4]) * spacing
    points = plane_points(
        along(axis), centre, shape=(9, 9), pixel_nm=10.0, offset_nm=spacing[number]
    )
    if len(set(spacing)) == 1:
        expected = np.take(image, 5, axis=number)
        assert sample_labels(image, points, spacing=spacing).tolist() == expected.tolist()
        np.testing.assert_allclose(sample_linear(image, points, spacing=spacing), expected)
    elif axis == "z":
        np.testing.assert_allclose(sample_linear(image, points, spacing=spacing), image[5])
    else:  # rows go along z, whose voxels are three times as long
        lines = np.take(image, 5, axis=number).astype(float)
        expected = lines[4] + (lines[5] - lines[4]) / 3
        np.testing.assert_allclose(
            sample_linear(image, points, spacing=spacing)[5], expected, rtol=1e-6
        )


@given(st.integers(0, len(ALL) - 1), st.sampled_from([(10.0, 10.0, 10.0), (25.0, 10.0, 8.0)]))
def test_a_linear_image_is_sampled_without_error(which, spacing):
    slope = np.array([1.0, -2.0, 0.5])
    places = np.moveaxis(np.indices((30, 40, 40)), 0, -1) * spacing
    points = plane_points(
        ALL[which], np.array([15, 20, 20]) * spacing, shape=(9, 12), pixel_nm=8.0, offset_nm=11.0
    )
    expected = np.tensordot(slope, points, 1)
    found = sample_linear((places @ slope).astype(np.float32), points, spacing=spacing)
    np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize("orientation", ALL, ids=lambda o: o.name)
def test_a_layer_of_one_voxel_is_hit_by_every_line_that_crosses_it(orientation):
    labels = np.zeros((41, 41, 41), np.uint8)
    labels[20] = 1
    points = plane_points(orientation, np.full(3, 200.0), shape=(31, 31), pixel_nm=10.0)
    seen = sample_labels(labels, points, spacing=(10.0, 10.0, 10.0))
    _, down, right = abs(orientation.axes[:, 0])
    assert seen.any(axis=0 if down >= right else 1).all()


def test_labels_are_none_outside_and_images_are_mirrored():
    image = np.arange(27).reshape(3, 3, 3)
    points = plane_points(along("z"), np.array([10.0, 10, 10]), shape=(5, 5), pixel_nm=10.0)
    labels = sample_labels(image + 1, points, spacing=(10.0, 10.0, 10.0))
    assert labels[1:4, 1:4].tolist() == (image[1] + 1).tolist()
    assert labels[0].max() == labels[:, 4].max() == 0
    seen = sample_linear(image, points, spacing=(10.0, 10.0, 10.0))
    assert seen[0].tolist() == seen[2].tolist()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: along("w"), "axis 'w'"), (lambda: rotated("z", 30), "about x or y"),
        (lambda: even_orientations(0), "at least 1"),
        (lambda: Orientation("odd", (1.0, 0, 0, 1, 1, 0, 0, 0, 1)), "no orthogonal unit"),
        (lambda: Orientation("short", (1.0, 0, 0)), "no orthogonal unit"),
    ],
)
def test_what_is_no_orientation_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
