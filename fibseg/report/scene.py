"""What the 3D view of the page turns: meshes of several kinds, as small as they can be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.report.encode import packed_numbers
from fibseg.report.meshes import Mesh

STEPS = 65535
"""Vertices lie on a grid of this many steps per side of the box around a mesh."""


@dataclass(frozen=True, eq=False)
class SceneMesh:
    """The objects of one kind in 3D.

    Parameters
    ----------
    kind
        Place of the kind in `Page.objects`.
    opacity
        When the page opens, 0–1. What is 1 is drawn solid and can be picked; the cell is best at
        about 0.25, as a shell.
    """

    kind: int
    mesh: Mesh
    opacity: float = 1.0


@dataclass(frozen=True, eq=False)
class Scene:
    """The 3D view.

    Parameters
    ----------
    size_um
        Extent of the volume (z, y, x); its edges are drawn.
    picture
        Data URI of a still picture, for readers without scripts or without WebGL.
    caption
        Below the view.
    """

    meshes: tuple[SceneMesh, ...]
    size_um: tuple[float, float, float] | None = None
    picture: str = ""
    caption: str = ""


def mesh_data(part: SceneMesh) -> dict[str, Any]:
    """What the page needs of a mesh, for JSON; order of axes turns to (x, y, z) here.

    Raises
    ------
    DataError
        If a face names a vertex, or a vertex an object, that is not there.
    """
    mesh = part.mesh
    _require_complete(mesh)
    points = np.asarray(mesh.vertices_um, np.float64)[:, ::-1]
    low = points.min(axis=0) if len(points) else np.zeros(3)
    extent = np.maximum(np.ptp(points, axis=0), 1e-6) if len(points) else np.ones(3)
    places = np.rint((points - low) / extent * STEPS).astype(np.uint16)
    return {
        "kind": part.kind, "opacity": part.opacity,
        "origin": low.tolist(), "extent": extent.tolist(),
        "places": packed_numbers(places.T), "faces": packed_numbers(_differences(mesh.faces)),
        "objects": packed_numbers(_differences(mesh.objects)),
        "labels": packed_numbers(np.asarray(mesh.labels, np.uint32)),
    }


def _differences(numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Every number minus the one before it, modulo 2³²: neighbours are alike, so it packs better.

    >>> _differences(np.array([5, 7, 6], np.uint32)).tolist()
    [5, 2, 4294967295]
    """
    flat = np.asarray(numbers, np.uint32).ravel()
    return np.diff(flat, prepend=np.uint32(0))


def _require_complete(mesh: Mesh) -> None:
    last_vertex = int(mesh.faces.max(initial=0)) if len(mesh.faces) else -1
    last_object = int(mesh.objects.max(initial=0)) if len(mesh.objects) else -1
    n = len(mesh.vertices_um)
    if last_vertex >= n or last_object >= len(mesh.labels) or len(mesh.objects) != n:
        raise DataError(
            f"the mesh has {n} vertices, {len(mesh.objects)} of them with an object, and "
            f"{len(mesh.labels)} labels, but its faces name vertex {last_vertex} and its vertices "
            f"object {last_object}. Number both from 0."
        )
