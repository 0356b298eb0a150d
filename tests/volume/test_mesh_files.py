"""STL and PLY as others read them: counts, places, colours; whole or not there."""

from __future__ import annotations

import numpy as np
import pytest
from mesh_files import edge_counts, joined, read_ply, read_stl, volume

from fibseg.errors import DataError
from fibseg.volume import mesh_files as written
from fibseg.volume.mesh_files import PlyFile, StlFile

CORNERS = np.array([[0, 0, 0], [0, 0, 1], [0, 2, 0], [3, 0, 0]], float)
"""Of a tetrahedron: 1 along x, 2 along y, 3 along z."""
SIDES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
FORMATS = pytest.mark.parametrize("kind", [StlFile, PlyFile])


def write(kind, path, *, n=2, title="two of them"):
    with kind(path, title=title) as file:
        for k in range(n):
            file.add(CORNERS + 10 * k, SIDES, label=7 + k, color=(k, 100, 200))
    return path


def test_stl_has_all_triangles_with_their_normals(tmp_path):
    header, normals, corners = read_stl(write(StlFile, tmp_path / "a.stl"))
    assert header == "binary STL two of them"
    assert len(corners) == 8
    for own, shift in ((corners[:4], 0.0), (corners[4:], 10.0)):
        assert volume(own - shift) == pytest.approx(1 * 2 * 3 / 6)
        assert (own - shift).max(axis=(0, 1)).tolist() == [1, 2, 3]  # (x, y, z)
    assert (edge_counts(joined(corners)[1]) == 2).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, rtol=1e-6)
    a, b, c = np.moveaxis(corners, 1, 0)
    assert (np.einsum("ij,ij->i", normals, np.cross(b - a, c - a)) > 0).all()


def test_ply_has_colours_and_the_number_of_the_object_at_every_vertex(tmp_path):
    comments, vertices, faces = read_ply(write(PlyFile, tmp_path / "a.ply"))
    assert comments == ["two of them"]
    assert vertices.dtype.names == ("x", "y", "z", "red", "green", "blue", "label")
    assert vertices["label"].tolist() == [7] * 4 + [8] * 4
    assert vertices["red"].tolist() == [0] * 4 + [1] * 4
    assert set(vertices["green"]) == {100}
    assert set(vertices["blue"]) == {200}
    places = np.stack([vertices[a] for a in "xyz"], axis=1).astype(float)
    assert places[:4].tolist() == CORNERS[:, ::-1].tolist()
    assert faces.tolist() == [*SIDES.tolist(), *(SIDES + 4).tolist()]
    assert volume(places[faces[:4]]) == pytest.approx(1)
    assert (edge_counts(faces) == 2).all()


@FORMATS
def test_large_objects_are_written_in_pieces(tmp_path, monkeypatch, kind):
    at_once = write(kind, tmp_path / "a").read_bytes()
    monkeypatch.setattr(written, "_AT_ONCE", 3)
    assert write(kind, tmp_path / "b").read_bytes() == at_once


@FORMATS
def test_equal_surfaces_make_equal_files_and_nothing_else(tmp_path, kind):
    first, second = (write(kind, tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@FORMATS
def test_a_failure_leaves_what_stood_there(tmp_path, kind):
    path = tmp_path / "a"
    path.write_text("mine")

    def failing():
        with kind(path, title="x") as file:
            file.add(CORNERS, SIDES, label=1, color=(0, 0, 0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@FORMATS
def test_what_a_killed_run_left_goes(tmp_path, kind):
    left = tmp_path / ".a.4194999-0000.partial"
    left.write_text("half")
    write(kind, tmp_path / "a")
    assert not left.exists()


@FORMATS
def test_no_object_is_an_empty_file_of_its_kind(tmp_path, kind):
    path = write(kind, tmp_path / "a", n=0)
    read = read_stl if kind is StlFile else read_ply
    assert not len(read(path)[1])
    assert not len(read(path)[2])


@pytest.mark.parametrize(
    ("kind", "limit"), [(StlFile, "MOST_TRIANGLES"), (PlyFile, "MOST_VERTICES")]
)
def test_more_than_the_format_can_count_is_refused(tmp_path, monkeypatch, kind, limit):
    monkeypatch.setattr(written, limit, 7)
    with pytest.raises(DataError, match="max_faces="):
        write(kind, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_title_never_breaks_the_header(tmp_path):
    title = "é" * 200
    header, _, corners = read_stl(write(StlFile, tmp_path / "a.stl", title=title))
    assert header == ("binary STL " + "?" * 69)
    assert len(corners) == 8
    assert read_ply(write(PlyFile, tmp_path / "a.ply", title=title))[0] == ["?" * 200]


def test_a_triangle_without_area_has_no_normal(tmp_path):
    with StlFile(tmp_path / "a.stl", title="flat") as file:
        file.add(np.zeros((3, 3)), np.array([[0, 1, 2]]), label=1, color=(0, 0, 0))
    assert read_stl(tmp_path / "a.stl")[1].tolist() == [[0, 0, 0]]
