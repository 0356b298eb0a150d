from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label

from fibseg.errors import DataError, UsageError
from fibseg.report.meshes import FEWEST, Mesh, level_within, object_meshes
from fibseg.report.triangles import enclosed_volumes, is_closed, surface_areas
from fibseg.types import Labels, Spacing


def ball(
    shape: tuple[int, int, int], centre_nm: tuple[float, ...], radius_nm: float, spacing: Spacing
) -> NDArray[np.bool_]:
    """Voxels whose centre lies in a ball; the centre of the first voxel is at 0."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    squares = sum(
        (a * s - c) ** 2 for a, s, c in zip(axes, spacing, centre_nm, strict=True)
    )
    return np.asarray(squares <= radius_nm**2)


def blobs(shape: tuple[int, int, int], seed: int, share: float) -> NDArray[np.int32]:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.asarray(label(noise > np.quantile(noise, 1 - share))[0], np.int32)


def faces_of(mesh: Mesh, place: int) -> NDArray[np.uint32]:
    return mesh.faces[mesh.objects[mesh.faces[:, 0]] == place]


def voxel_volumes(labels: Labels, mesh: Mesh, spacing: Spacing) -> NDArray[np.float64]:
    counts = np.array([np.count_nonzero(labels == n) for n in mesh.labels])
    return counts * math.prod(spacing) * 1e-9


@pytest.mark.parametrize("spacing", [(10.0, 10.0, 10.0), (25.0, 10.0, 10.0), (50.0, 10.0, 10.0)])
def test_a_ball_has_its_place_volume_and_surface(spacing: Spacing) -> None:
    radius, centre = 160.0, (203.0, 196.0, 201.0)
    shape = (round(400 / spacing[0]) + 1, 41, 41)
    mask = ball(shape, centre, radius, spacing)
    mesh = object_meshes(mask, n_triangles=4000, spacing=spacing, first_um=(1.0, 2.0, 3.0))
    distance = np.linalg.norm(
        mesh.vertices_um - np.array([1.0, 2.0, 3.0]) - np.array(centre) * 1e-3, axis=1
    )
    coarsest_um = max(spacing) * 1e-3
    assert np.all(np.abs(distance - radius * 1e-3) < 0.6 * coarsest_um)
    assert distance.mean() == pytest.approx(radius * 1e-3, rel=0.015)
    volume = enclosed_volumes(mesh.vertices_um, mesh.faces, mesh.objects)
    area = surface_areas(mesh.vertices_um, mesh.faces, mesh.objects)
    assert volume == pytest.approx([4 / 3 * np.pi * 0.16**3], rel=0.01)
    assert area == pytest.approx([4 * np.pi * 0.16**2], rel=0.06)


def test_triangles_turn_outwards() -> None:
    mask = ball((21, 21, 21), (10.0, 10.0, 10.0), 7.0, (1.0, 1.0, 1.0))
    mesh = object_meshes(mask, n_triangles=500, spacing=(1.0, 1.0, 1.0))
    a, b, c = (mesh.vertices_um[mesh.faces[:, i]][:, ::-1].astype(float) for i in range(3))
    outwards = (a + b + c) / 3 - 0.01
    assert np.all(np.einsum("ij,ij->i", np.cross(b - a, c - a), outwards) > 0)


@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 20)] * 3), seed=st.integers(0, 99),
    share=st.floats(0.05, 0.9), z=st.sampled_from((4.0, 10.0, 20.0)), n=st.integers(20, 3000),
)
def test_every_object_is_closed_and_as_large_as_its_voxels(
    shape: tuple[int, int, int], seed: int, share: float, z: float, n: int
) -> None:
    spacing = (z, 4.0, 4.0)
    labels = blobs(shape, seed, share) * 7
    mesh = object_meshes(labels, n_triangles=n, spacing=spacing)
    assert np.array_equal(mesh.labels, np.unique(labels[labels > 0]))
    assert np.all(np.diff(mesh.objects.astype(int)) >= 0)
    assert np.array_equal(np.unique(mesh.objects), np.arange(len(mesh.labels)))
    assert all(is_closed(faces_of(mesh, i)) for i in range(len(mesh.labels)))
    volumes = enclosed_volumes(mesh.vertices_um, mesh.faces, mesh.objects)
    assert volumes == pytest.approx(voxel_volumes(labels, mesh, spacing), rel=0.1)


def test_the_budget_is_shared_by_surface_and_each_keeps_some() -> None:
    labels = np.zeros((40, 40, 80), np.uint16)
    labels[ball(labels.shape, (20, 20, 20), 15, (1, 1, 1))] = 5
    labels[ball(labels.shape, (20, 20, 60), 10, (1, 1, 1))] = 900
    labels[0, 0, 0] = 1
    mesh = object_meshes(labels, n_triangles=1000, spacing=(1.0, 1.0, 1.0))
    n = [len(faces_of(mesh, i)) for i in range(3)]
    assert 900 <= sum(n) <= 1000
    assert n[1] / n[2] == pytest.approx(15**2 / 10**2, rel=0.1)
    assert 4 <= n[0] <= FEWEST
    small = object_meshes(labels, n_triangles=FEWEST, spacing=(1.0, 1.0, 1.0))
    assert all(4 <= len(faces_of(small, i)) <= 2 * FEWEST for i in range(3))


def test_a_large_pinched_surface_keeps_to_the_budget_and_closed() -> None:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(64, 64, 64)), 1.5)
    mesh = object_meshes(noise > 0, n_triangles=6000, spacing=(8.0, 8.0, 8.0))
    assert len(mesh.faces) <= 6000
    assert is_closed(mesh.faces)


def test_single_voxels_and_thin_sheets_do_not_vanish() -> None:
    labels = np.zeros((9, 30, 30), np.uint8)
    labels[4, 15, 15] = 1
    labels[0, :, 0:10] = 2
    labels[8, 3, :] = 3
    mesh = object_meshes(labels, n_triangles=2000, spacing=(1.0, 1.0, 1.0))
    assert mesh.labels.tolist() == [1, 2, 3]
    volumes = enclosed_volumes(mesh.vertices_um, mesh.faces, mesh.objects)
    assert volumes == pytest.approx(np.array([1, 300, 30]) * 1e-9, rel=0.05)
    voxel = mesh.vertices_um[mesh.objects == 0]
    assert voxel.mean(axis=0) == pytest.approx([0.004, 0.015, 0.015], abs=1e-4)


def test_the_same_labels_give_the_same_mesh_wherever_they_are_numbered_from() -> None:
    labels = blobs((30, 30, 30), 1, 0.2)
    one, two = (
        object_meshes(a, n_triangles=2000, spacing=(8.0, 8.0, 8.0))
        for a in (labels, labels.astype(np.uint64) + np.where(labels > 0, 2**31, 0).astype("u8"))
    )
    assert np.array_equal(one.vertices_um, two.vertices_um)
    assert np.array_equal(one.faces, two.faces)
    assert np.array_equal(one.labels + 2**31, two.labels)


def test_nothing_gives_an_empty_mesh() -> None:
    for shape in ((4, 4, 4), (0, 4, 4)):
        mesh = object_meshes(np.zeros(shape, np.uint8), n_triangles=100, spacing=(1.0, 1.0, 1.0))
        assert mesh.vertices_um.shape == (0, 3)
        assert mesh.faces.shape == (0, 3)
        assert mesh.labels.size == 0
        assert mesh.vertices_um.dtype == np.float32
        assert mesh.faces.dtype == np.uint32


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((3, 3), np.uint8), r"shape \(3, 3\)"),
        (np.zeros((3, 3, 3)), "float64"),
        (np.full((1, 1, 1), -3), "from -3 to -3"),
        (np.full((1, 1, 1), 2**40), "from 1099511627776"),
    ],
)
def test_what_is_no_label_image_is_refused(labels: NDArray[np.generic], said: str) -> None:
    with pytest.raises(DataError, match=said):
        object_meshes(labels, n_triangles=100, spacing=(1.0, 1.0, 1.0))


def test_too_small_a_budget_is_refused() -> None:
    with pytest.raises(UsageError, match="n_triangles=3 makes no surface"):
        object_meshes(np.ones((1, 1, 1), np.uint8), n_triangles=3, spacing=(1.0, 1.0, 1.0))


def test_the_finest_level_within_the_budget_is_taken() -> None:
    shapes = [(64, 64, 64), (32, 32, 32), (16, 16, 16)]
    assert [level_within(shapes, most_voxels=n) for n in (2**18, 2**15, 2**14, 2**12, 1)] == [
        0, 1, 2, 2, 2,
    ]  # fmt: skip
