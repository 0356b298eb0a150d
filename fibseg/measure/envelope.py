"""The envelope of a nucleus as vertices that know their area, their normal and their neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.measure import envelope_faces
from fibseg.types import Mask, Spacing, Table

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

SPECK = 0.01
"""Pieces with less than this share of the area of the largest are no envelope."""


@dataclass(frozen=True, eq=False)
class EnvelopeMesh:
    """A surface of triangles, seen from its vertices.

    Attributes
    ----------
    vertices_um
        (n, 3), (z, y, x); the centre of the first voxel of the volume lies at 0.
    normals
        (n, 3), unit vectors outwards.
    area_um2
        (n,), a third of the triangles around every vertex.
    neighbours
        (n, n), which vertices share an edge.
    piece
        (n,), number of the connected surface that a vertex is on, 0 the largest.
    left_out_um2
        Area of cavities and specks, which are no envelope.
    edge_um
        Length of an edge, about.
    """

    vertices_um: Floats
    normals: Floats
    area_um2: Floats
    neighbours: csr_array
    piece: Places
    left_out_um2: float
    edge_um: float

    @classmethod
    def of(cls, mask: NDArray[Any], *, spacing: Spacing) -> EnvelopeMesh:
        """Envelope of a mask that fits into memory; see `of_parts`."""
        inside: Mask = mask != 0
        whole = Box((0, 0, 0), inside.shape)
        table = envelope_faces.partial(inside, inside=whole, start=(0, 0, 0), shape=inside.shape)
        return cls.of_parts(table, spacing=spacing)

    @classmethod
    def of_parts(
        cls, table: Table, *, spacing: Spacing, first_um: tuple[float, float, float] = (0, 0, 0)
    ) -> EnvelopeMesh:
        """Envelope of the triangles of all blocks (`fibseg.measure.envelope_faces.partial`).

        Parameters
        ----------
        spacing
            Of the working grid, nm.
        first_um
            Where the centre of its first voxel lies.

        Raises
        ------
        DataError
            If there is no triangle: the mask is empty, or fills the volume.
        """
        corner = np.asarray(table["corner"], np.int64)
        if not len(corner):
            raise DataError(
                "the nucleus is empty or fills the volume, so there is no envelope. Give labels "
                "with a border, on=NAME."
            )
        known, first, where = np.unique(corner, return_index=True, return_inverse=True)
        part = np.asarray(table["part"]).ravel()[first]
        vertices = envelope_faces.places(known, part)
        faces = where.reshape(-1, 3).astype(np.int64)
        faces = faces[np.lexsort(faces.T)]
        unit = np.asarray(spacing, np.float64) * 1e-3
        vertices = vertices * unit + np.asarray(first_um)
        edge = float(np.prod(unit) ** (1 / 3))
        return _seen_from_vertices(vertices, faces, edge)

    @property
    def n_pieces(self) -> int:
        """How many connected surfaces there are."""
        return int(self.piece.max()) + 1

    @property
    def total_um2(self) -> float:
        """Area of all."""
        return float(self.area_um2.sum())

    def tree(self) -> cKDTree:
        """To find vertices near to points."""
        return cKDTree(self.vertices_um)

    def feet(self, points_um: Floats) -> Feet:
        """Nearest place on the envelope of each of the points (n, 3)."""
        points = np.asarray(points_um, np.float64).reshape(-1, 3)
        _, vertex = self.tree().query(points)
        vertex = np.asarray(vertex, np.int64)
        away = points - self.vertices_um[vertex]
        normal = self.normals[vertex]
        height = np.einsum("ij,ij->i", away, normal)
        foot = points - height[:, None] * normal
        # Off the tangent plane's small patch that stands for the vertex, the vertex is nearer.
        slip = np.linalg.norm(foot - self.vertices_um[vertex], axis=1)
        far = slip > self.edge_um
        foot[far] = self.vertices_um[vertex[far]]
        return Feet(foot, vertex, np.linalg.norm(points - foot, axis=1), height)


@dataclass(frozen=True, eq=False)
class Feet:
    """Where objects stand on an envelope.

    Attributes
    ----------
    points_um
        (n, 3).
    vertex
        (n,), the nearest vertex.
    distance_um
        (n,), from the object to its foot.
    height_um
        (n,), the same along the normal, negative inside.
    """

    points_um: Floats
    vertex: Places
    distance_um: Floats
    height_um: Floats

    def at(self, which: NDArray[Any]) -> Feet:
        """Some of them."""
        return Feet(
            self.points_um[which], self.vertex[which], self.distance_um[which],
            self.height_um[which],
        )


def _seen_from_vertices(vertices: Floats, faces: Places, edge_um: float) -> EnvelopeMesh:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    # Corners are in (z, y, x): the cross product of mirrored axes points the other way.
    twice = -np.cross(b - a, c - a)
    n = len(vertices)
    linked = _links(faces, n)
    _, piece = connected_components(linked, directed=False)
    kept, number, lost = _pieces(piece[faces[:, 0]], twice, a, piece, _is_open(faces, piece))
    if not kept.any():
        raise DataError(
            "all of the nucleus' border is that of cavities inside of it, so there is no envelope. "
            "Give labels that end within the volume, on=NAME."
        )
    place = np.cumsum(kept) - 1
    inside = kept[faces[:, 0]]
    faces, twice = place[faces[inside]], twice[inside]
    n = int(kept.sum())
    size = np.linalg.norm(twice, axis=1)
    area: Floats = np.bincount(faces.ravel(), np.repeat(size, 3), n) / 6
    normal: Floats = np.stack(
        [np.bincount(faces.ravel(), np.repeat(twice[:, k], 3), n) for k in range(3)], axis=1
    ).astype(np.float64)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    return EnvelopeMesh(
        vertices[kept], normal, area, _links(faces, n), number[kept], lost, edge_um
    )


def _links(faces: Places, n: int) -> csr_array:
    """Which of `n` vertices share an edge, symmetric."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    both = np.concatenate([start, end]), np.concatenate([end, start])
    linked = coo_array((np.ones(len(both[0]), np.int8), both), shape=(n, n)).tocsr()
    linked.data[:] = 1
    linked.sort_indices()
    return linked


def _is_open(faces: Places, piece: NDArray[Any]) -> Mask:
    """Which pieces end somewhere, at a face of the volume: an edge of theirs has one triangle."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    key = np.minimum(start, end) * len(piece) + np.maximum(start, end)
    _, first, times = np.unique(key, return_index=True, return_counts=True)
    found = np.zeros(int(piece.max()) + 1, bool)
    found[piece[start[first[times == 1]]]] = True
    return found


def _pieces(
    of_face: NDArray[Any], twice: Floats, corner: Floats, of_vertex: NDArray[Any],
    is_open: Mask,
) -> tuple[Mask, Places, float]:
    """Vertices of the envelope, number of each's piece by area, and the area that is left out."""
    n = int(of_vertex.max()) + 1
    area = np.bincount(of_face, np.linalg.norm(twice, axis=1), n) / 2
    # Of a closed surface this is the volume inside: below 0 around a cavity.
    middle = np.stack([
        np.bincount(of_face, corner[:, k], n) / np.maximum(np.bincount(of_face, minlength=n), 1)
        for k in range(3)
    ], axis=1)
    volume = np.bincount(of_face, np.einsum("ij,ij->i", corner - middle[of_face], twice), n) / 6
    good = (is_open | (volume > 0)) & (area >= SPECK * area.max())
    order = np.lexsort((np.arange(n), -np.where(good, area, -1)))
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    return good[of_vertex], rank[of_vertex], float(area[~good].sum())
