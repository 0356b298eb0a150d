from __future__ import annotations

import base64
import dataclasses
import zlib
from typing import Any

import numpy as np
import pytest
from report_pages import Ellipsoids, cell

from fibseg.errors import DataError
from fibseg.report import Mesh, SceneMesh
from fibseg.report.scene import mesh_data


def numbers(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def unpacked(data: dict[str, Any]) -> Mesh:
    """The mesh as the page has it, with axes turned back."""
    places = numbers(data["places"], "<u2").reshape(3, -1).T / 65535
    um = np.array(data["origin"]) + places * np.array(data["extent"])
    return Mesh(
        um[:, ::-1].astype(np.float32),
        np.cumsum(numbers(data["faces"], "<u4"), dtype=np.uint32).reshape(-1, 3),
        np.cumsum(numbers(data["objects"], "<u4"), dtype=np.uint32),
        numbers(data["labels"], "<u4"),
    )


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return cell(30)["mitochondria"].mesh(n=8)


def test_a_mesh_survives_packing(mesh: Mesh) -> None:
    data = mesh_data(SceneMesh(2, mesh, 0.5))
    back = unpacked(data)
    step = np.ptp(mesh.vertices_um, axis=0) / 65535
    assert (np.abs(back.vertices_um - mesh.vertices_um) <= 0.51 * step + 1e-5).all()
    for name in ("faces", "objects", "labels"):
        np.testing.assert_array_equal(getattr(back, name), getattr(mesh, name))
    assert (data["kind"], data["opacity"]) == (2, 0.5)


def test_a_triangle_takes_few_bytes() -> None:
    mesh = cell(400)["mitochondria"].mesh(n=10)
    data = mesh_data(SceneMesh(0, mesh))
    n_bytes = sum(len(data[k]) for k in ("places", "faces", "objects", "labels"))
    assert n_bytes < 10 * len(mesh.faces)


@pytest.mark.parametrize("labels", [[5], [2**32 - 1], [1, 2**31]])
def test_labels_keep_their_numbers(labels: list[int]) -> None:
    n = len(labels)
    mesh = Ellipsoids(np.ones((n, 3)), np.ones((n, 3))).mesh(n=3)
    mesh = dataclasses.replace(mesh, labels=np.array(labels, np.uint32))
    assert unpacked(mesh_data(SceneMesh(0, mesh))).labels.tolist() == labels


def test_flat_and_empty_meshes_do_not_divide_by_zero() -> None:
    none = Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint32),
                np.zeros(0, np.uint32), np.zeros(0, np.uint32))
    assert len(unpacked(mesh_data(SceneMesh(0, none))).vertices_um) == 0
    flat = Mesh(np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], np.float32),
                np.array([[0, 1, 2]], np.uint32), np.zeros(3, np.uint32), np.ones(1, np.uint32))
    np.testing.assert_allclose(
        unpacked(mesh_data(SceneMesh(0, flat))).vertices_um, flat.vertices_um, atol=1e-4
    )


@pytest.mark.parametrize(
    "change",
    [
        {"faces": np.array([[0, 1, 10**6]], np.uint32)}, {"labels": np.zeros(0, np.uint32)},
        {"objects": np.zeros(3, np.uint32)},
    ],
)
def test_a_mesh_with_loose_ends_is_refused(mesh: Mesh, change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="Number both from 0"):
        mesh_data(SceneMesh(0, dataclasses.replace(mesh, **change)))
