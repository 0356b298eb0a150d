from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fibseg.report.triangles import (
    enclosed_volumes,
    face_normals,
    is_closed,
    surface_areas,
    unpinched,
    vertex_normals,
    with_volumes,
)

CORNERS = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)], float)
CUBE = np.array([
    [0, 2, 3], [0, 3, 1], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4],
    [2, 6, 7], [2, 7, 3], [0, 4, 6], [0, 6, 2], [1, 3, 7], [1, 7, 5],
])  # fmt: skip
ONE = np.zeros(8, int)


def moved_cube(by: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return CORNERS + by, CUBE


def test_a_cube_has_its_volume_and_surface_wherever_it_lies() -> None:
    for by in (0.0, -3.0, 100.0):
        vertices, faces = moved_cube(by)
        assert enclosed_volumes(vertices, faces, ONE) == pytest.approx([1])
        assert surface_areas(vertices * 2, faces, ONE) == pytest.approx([24])


def test_objects_count_for_themselves() -> None:
    vertices = np.concatenate([CORNERS, 10 + 3 * CORNERS])
    faces = np.concatenate([CUBE, CUBE + 8])
    objects = np.repeat([0, 1], 8)
    assert enclosed_volumes(vertices, faces, objects) == pytest.approx([1, 27])
    grown = with_volumes(vertices, faces, objects, np.array([2.0, 27.0]), farthest=1.0)
    assert enclosed_volumes(grown, faces, objects) == pytest.approx([2, 27], rel=1e-3)
    assert np.allclose(grown[8:], vertices[8:])


def test_normals_point_outwards() -> None:
    assert np.all(face_normals(CORNERS, CUBE) * (CORNERS[CUBE].mean(axis=1) - 0.5) >= 0)
    normals = vertex_normals(CORNERS, CUBE)
    assert np.all(np.einsum("ij,ij->i", normals, CORNERS - 0.5) > 0.8)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(8))


@pytest.mark.parametrize("faces", [CUBE[:-1], np.concatenate([CUBE, CUBE]), CUBE[:, ::-1][:3]])
def test_torn_or_doubled_surfaces_are_not_closed(faces: NDArray[np.int64]) -> None:
    assert not is_closed(faces)


def test_a_cube_is_closed_either_way_round() -> None:
    assert is_closed(CUBE)
    assert is_closed(CUBE[:, ::-1])
    assert not is_closed(np.concatenate([CUBE[:6], CUBE[6:, ::-1]]))


def test_triangles_back_to_back_are_dropped() -> None:
    flap = np.array([[0, 1, 8], [1, 0, 8]])
    clean, source = unpinched(np.concatenate([CUBE, flap]))
    assert is_closed(clean)
    assert np.array_equal(np.sort(source[clean], axis=1), np.sort(CUBE, axis=1))


@pytest.mark.parametrize("shared", [(0, 4), (1, 3), (2, 6)])
def test_cubes_that_share_an_edge_come_apart(shared: tuple[int, int]) -> None:
    # The second cube lies across: its edge 7-3 is the first's edge `shared`.
    other = CUBE + 8
    for mine, its in zip(shared, (3, 7), strict=True):
        other[other == 8 + its] = mine
    faces = np.concatenate([CUBE, other])
    assert not is_closed(faces)
    clean, source = unpinched(faces)
    assert is_closed(clean)
    assert np.array_equal(source[clean], faces)
    assert len(source) in (15, 16)  # at most both ends are doubled


def test_nothing_stays_nothing() -> None:
    none = np.zeros((0, 3), int)
    clean, source = unpinched(none)
    assert clean.shape == (0, 3)
    assert source.size == 0
    assert not is_closed(none)
    empty = with_volumes(np.zeros((0, 3)), none, np.zeros(0, int), np.zeros(0), farthest=1.0)
    assert empty.shape == (0, 3)
