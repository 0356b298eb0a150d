"""Closed triangle meshes of many objects: what they enclose, and how to keep them closed.

Vertices are (n, 3) in (z, y, x); triangles (m, 3) run counter-clockwise seen from outside in
(x, y, z); `objects` (n,) numbers from 0 the object that each vertex belongs to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Vertices = NDArray[np.float64]
Triangles = NDArray[np.integer]
Numbers = NDArray[np.integer]

_STEPS = 4
_ROUNDS = 4


def is_closed(faces: Triangles) -> bool:
    """Whether every edge is that of two triangles, which run along it in opposite directions.

    >>> is_closed(np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]]))
    True
    >>> is_closed(np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2]]))
    False
    """
    along, against = (np.sort(edges) for edges in _edges(faces))
    apart = bool(np.all(along[1:] != along[:-1]))
    return len(faces) >= 4 and apart and np.array_equal(along, against)


def unpinched(faces: Triangles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles without pinches, and which vertex each of their vertices is a copy of.

    Merging vertices of a closed surface can lay triangles onto each other back to back, or let
    four of them meet at one edge. The former are dropped; the latter are sewn in pairs, and where
    that leaves a vertex between surfaces that no longer hang together, each gets a copy of it.
    Surfaces that still hang together at both ends of such an edge are sewn the other way round.
    """
    kept = _without_flat(np.asarray(faces, np.int64))
    along, against = _edges(kept)
    other_way = np.zeros(0, np.int64)
    for _ in range(_ROUNDS):
        clean, source = _sewn(kept, along, against, other_way)
        pinched = _twice(_edges(clean)[0])
        if not pinched.size:
            break
        other_way = np.setxor1d(other_way, against[pinched])
    return clean, source


def _twice(edges: NDArray[np.int64]) -> NDArray[np.intp]:
    """Places of half-edges that occur more than once."""
    _, where, counts = np.unique(edges, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[where] > 1)


def _sewn(
    faces: NDArray[np.int64], along: NDArray[np.int64], against: NDArray[np.int64],
    other_way: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles that share vertices only where they are sewn together, and the vertices' sources.

    Of several triangles at an edge, the first that runs along it is sewn to the first that runs
    against it; to the last where the edge is among those that go the `other_way`.
    """
    corner = np.arange(faces.size)
    following = corner - corner % 3 + (corner + 1) % 3
    rank = np.where(np.isin(against, other_way), -corner, corner)
    partner = np.empty_like(corner)
    partner[np.argsort(along, kind="stable")] = np.lexsort((rank, against))
    # Both ends of an edge are the same two vertices for both of its triangles.
    first = np.concatenate([corner, following])
    second = np.concatenate([following[partner], partner])
    joined = coo_array((np.ones(first.size, bool), (first, second)), shape=(corner.size,) * 2)
    n, vertex = connected_components(joined, directed=False)
    source = np.zeros(n, np.int64)
    source[vertex] = faces.ravel()
    return vertex.reshape(-1, 3).astype(np.int64), source


def enclosed_volumes(vertices: Vertices, faces: Triangles, objects: Numbers) -> Vertices:
    """Volume inside every object, in the cube of the unit of `vertices`: a sum of tetrahedra.

    >>> corners = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], float)
    >>> sides = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    >>> (6 * enclosed_volumes(corners, sides, np.zeros(4, int))).round(6).tolist()
    [1.0]
    """
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, i], ::-1] for i in range(3))
    return _sums(np.einsum("ij,ij->i", a, np.cross(b, c)) / 6, faces, objects)


def surface_areas(vertices: Vertices, faces: Triangles, objects: Numbers) -> Vertices:
    """Area of the triangles of every object, in the square of the unit of `vertices`."""
    return _sums(np.linalg.norm(face_normals(vertices, faces), axis=1) / 2, faces, objects)


def face_normals(vertices: Vertices, faces: Triangles) -> Vertices:
    """Vector outwards from every triangle, (m, 3) in (z, y, x), twice as long as its area."""
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, i], ::-1] for i in range(3))
    return np.asarray(np.cross(b - a, c - a)[:, ::-1])


def vertex_normals(vertices: Vertices, faces: Triangles) -> Vertices:
    """Unit vector outwards at every vertex, (n, 3) in (z, y, x): the mean over its triangles."""
    summed = _vertex_sums(vertices, faces)
    unit: Vertices = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-300)
    return unit


def with_volumes(
    vertices: Vertices, faces: Triangles, objects: Numbers, volumes: Vertices, *, farthest: float
) -> Vertices:
    """The vertices moved along their normals until every object encloses its volume.

    All of an object move equally far, in four steps of Newton's method, each of `farthest` at
    most. A vertex pulls a third of every triangle around it, so that volume grows by a sixth of the
    summed `face_normals` times shift.
    """
    moved = np.asarray(vertices, np.float64)
    for _ in range(_STEPS if len(faces) else 0):
        summed = _vertex_sums(moved, faces)
        length = np.linalg.norm(summed, axis=1)
        slope = np.bincount(objects, length) / 6
        lacking = volumes - enclosed_volumes(moved, faces, objects)
        shift = np.clip(lacking / np.maximum(slope, 1e-300), -farthest, farthest)
        moved = moved + (shift[objects] / np.maximum(length, 1e-300))[:, None] * summed
    return moved


def _vertex_sums(vertices: Vertices, faces: Triangles) -> Vertices:
    normals = np.repeat(face_normals(vertices, faces), 3, axis=0)
    corners = faces.ravel()
    sums = [np.bincount(corners, normals[:, c], len(vertices)) for c in range(3)]
    return np.stack(sums, axis=1)


def _edges(faces: Triangles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One number for each half-edge, as it runs and the other way round."""
    start = np.asarray(faces, np.int64)
    end = np.roll(start, -1, axis=1)
    n = int(start.max(initial=0)) + 1
    return (start * n + end).ravel(), (end * n + start).ravel()


def _without_flat(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles but those that lie back to back, each with one of its kind."""
    corners = np.sort(faces, axis=1)
    order = np.lexsort(corners.T)
    same = np.all(corners[order[1:]] == corners[order[:-1]], axis=1)
    flat = np.zeros(len(faces), bool)
    flat[order[1:][same]] = flat[order[:-1][same]] = True
    return faces[~flat]


def _sums(values: Vertices, faces: Triangles, objects: Numbers) -> Vertices:
    n = int(objects.max()) + 1 if len(objects) else 0
    return np.asarray(np.bincount(objects[faces[:, 0]], values, n), np.float64)
