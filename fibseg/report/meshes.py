"""Objects as smooth closed triangle meshes, within a budget: what the 3D view of the page turns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fast_simplification
import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter
from skimage.measure import marching_cubes

from fibseg.errors import DataError, UsageError
from fibseg.report.triangles import enclosed_volumes, is_closed, unpinched, with_volumes
from fibseg.types import Labels, Mask, Spacing

FEWEST = 20
"""Triangles that every object keeps: those of an icosahedron."""
_SIGMA_VOXELS = 1.0
_PAD = 5
_SNAP = 0.05
_LEAST_VOLUME = 0.6
_WIDER = (1.0, 1.5, 3.0)
_NM = 1e-3

Piece = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Vertices and triangles of one object."""


@dataclass(frozen=True)
class Mesh:
    """Triangles of many objects, each a closed surface.

    Attributes
    ----------
    vertices_um
        (n, 3), (z, y, x); the centre of the first voxel of the volume lies at 0.
    faces
        (m, 3), places of vertices, counter-clockwise seen from outside in (x, y, z).
    objects
        (n,), place in `labels` of the object that each vertex belongs to, never falling.
    labels
        (k,), label of each object, ascending.
    """

    vertices_um: NDArray[np.float32]
    faces: NDArray[np.uint32]
    objects: NDArray[np.uint32]
    labels: NDArray[np.uint32]


def object_meshes(
    labels: Labels, *, n_triangles: int, spacing: Spacing,
    first_um: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Mesh:
    """Mesh of every object: smooth, closed, with the volume of its voxels.

    The mask of an object is smoothed by a Gaussian of one voxel and cut at the level that its
    voxels reach (so that a thin object does not vanish), by marching cubes (Lewiner et al., J
    Graph Tools 8:1, 2003). Triangles are merged by quadric error (Garland and Heckbert, SIGGRAPH
    1997), and vertices are moved along their normals until the volume is that of the voxels. An
    object that touches a face of the volume is closed there.

    Parameters
    ----------
    labels
        Numbered objects, shape (z, y, x), 0 = none.
    n_triangles
        About so many triangles at most, shared among the objects by surface; each keeps
        `FEWEST`, however many objects there are.
    spacing
        Of `labels` in nm, (z, y, x): that of the pyramid level they are from.
    first_um
        Where the centre of their first voxel lies: for a coarser level, half the difference of
        the two spacings.

    Raises
    ------
    DataError
        If `labels` are no array (z, y, x) of whole numbers.
    UsageError
        If `n_triangles` is less than one object keeps.
    """
    if n_triangles < FEWEST:
        raise UsageError(
            f"n_triangles={n_triangles} makes no surface. Give at least {FEWEST}, e.g. 200000."
        )
    known, numbered = _numbered(labels)
    budgets = _shares(_faces(numbered, known.size, spacing), n_triangles)
    pieces = [
        _surface(mask, corner, budget, spacing)
        for (mask, corner), budget in zip(_boxes(numbered, known.size), budgets, strict=True)
    ]
    n_voxels = np.bincount(numbered.ravel(), minlength=known.size + 1)[1:].astype(np.float64)
    return _joined(pieces, known, n_voxels * math.prod(spacing) * _NM**3, spacing, first_um)


def level_within(shapes: Sequence[Sequence[int]], *, most_voxels: int) -> int:
    """The finest pyramid level of at most so many voxels; the coarsest where none is.

    Parameters
    ----------
    shapes
        Of all levels, finest first.

    >>> level_within([(64, 64, 64), (32, 32, 32)], most_voxels=100_000)
    1
    """
    fitting = (i for i, shape in enumerate(shapes) if math.prod(shape) <= most_voxels)
    return next(fitting, len(shapes) - 1)


def _numbered(labels: Labels) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """The labels that occur, ascending, and the same objects numbered 1, 2, … in that order."""
    if labels.ndim != 3 or labels.dtype.kind not in "bui":
        raise DataError(
            f"labels have shape {labels.shape} and type {labels.dtype}. Give numbered objects as "
            "whole numbers, (z, y, x)."
        )
    whole = labels.astype(np.uint8) if labels.dtype == bool else labels
    known = fastremap.unique(whole)
    known = known[known != 0]
    if not known.size:
        return known.astype(np.uint32), np.zeros(labels.shape, np.int32)
    if not 0 < known[0] <= known[-1] < 2**32:
        raise DataError(
            f"labels go from {known[0]} to {known[-1]}. Give numbers from 1 to {2**32 - 1}."
        )
    places = {0: 0, **{int(label): place for place, label in enumerate(known, 1)}}
    return known.astype(np.uint32), fastremap.remap(whole, places).astype(np.int32)


def _boxes(labels: NDArray[np.int32], n: int) -> Iterator[tuple[Mask, NDArray[np.intp]]]:
    """The mask of each object in its bounding box, and the first voxel of that box."""
    for number, box in enumerate(find_objects(labels) if n else [], 1):
        yield labels[box] == number, np.array([part.start for part in box])


def _faces(labels: NDArray[np.int32], n_objects: int, spacing: Spacing) -> NDArray[np.float64]:
    """Area of the voxel faces of every object, in µm²: how triangles are shared."""
    area = np.zeros(n_objects + 1)
    for axis in range(3):
        one = math.prod(s * _NM for a, s in enumerate(spacing) if a != axis)
        lines = np.moveaxis(labels, axis, 0)
        differ = lines[1:] != lines[:-1]
        for side in (lines[1:][differ], lines[:-1][differ], lines[:1].ravel(), lines[-1:].ravel()):
            area += one * np.bincount(side, minlength=n_objects + 1)
    return area[1:]


def _shares(area: NDArray[np.float64], n_triangles: int) -> NDArray[np.int64]:
    """Triangles of every object: `FEWEST` for the small, the rest by surface."""
    shares = np.full(area.size, FEWEST, np.int64)
    large = np.ones(area.size, bool)
    while large.any():
        left = max(n_triangles - FEWEST * int((~large).sum()), 0)
        wanted = np.floor(area * (left / area[large].sum())).astype(np.int64)
        if np.all(wanted[large] >= FEWEST):
            shares[large] = wanted[large]
            break
        large &= wanted >= FEWEST
    return shares


def _surface(
    mask: Mask, corner: NDArray[np.intp], n_triangles: int, spacing: Spacing
) -> Piece:
    """Vertices in µm and triangles of one object."""
    vertices, faces = _level_set(mask)
    um = np.array(spacing) * _NM
    # Errors are weighed in units of a voxel: the thresholds of the library are absolute.
    unit = float(um.min())
    vertices, faces = simplified(vertices * um / unit, faces, n_triangles)
    return vertices * unit + corner * um, faces


def _level_set(mask: Mask) -> Piece:
    """Vertices (in voxels of the mask) and triangles around as many voxels as the mask has."""
    padded = np.pad(mask, _PAD).astype(np.float32)
    smooth = gaussian_filter(padded, _SIGMA_VOXELS, mode="constant")
    values = smooth[smooth > 0]
    last = values.size - np.count_nonzero(mask)
    level = float(np.partition(values, (last - 1, last))[last - 1 : last + 1].mean())
    # Where the surface cuts off the corner of a cell, triangles are tiny and turn over when moved.
    least = _SNAP * level
    near = np.abs(smooth - level) < least
    smooth[near] = level + np.where(smooth[near] < level, -least, least)
    vertices, faces, _, _ = marching_cubes(smooth, level)
    return vertices.astype(np.float64) - _PAD, faces.astype(np.int64)


def simplified(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], n_triangles: int
) -> Piece:
    """The closed mesh of one object with about `n_triangles`.

    It keeps more where so few would tear or empty it. By quadric error (Garland and Heckbert,
    SIGGRAPH 1997).

    Parameters
    ----------
    vertices
        (n, 3), in units of about a voxel: the thresholds of the library are absolute.
    faces
        (m, 3), places of vertices.
    """
    volume = _volume(vertices, faces)
    for wider in _WIDER:
        count = math.ceil(n_triangles * wider)
        if count >= len(faces):
            break
        fewer, merged = fast_simplification.simplify(
            vertices, faces.astype(np.int32), target_count=count
        )
        if not is_closed(merged):
            merged, source = unpinched(merged)
            fewer = fewer[source]
        if is_closed(merged) and _volume(fewer, merged) > _LEAST_VOLUME * volume:
            return fewer, merged.astype(np.int64)
    return vertices, faces


def _volume(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    return float(enclosed_volumes(vertices, faces, np.zeros(len(vertices), np.int64))[0])


def _joined(
    pieces: list[Piece], labels: NDArray[np.uint32], volumes: NDArray[np.float64],
    spacing: Spacing, first_um: tuple[float, float, float],
) -> Mesh:
    """All objects in one mesh, each with its volume in µm³."""
    sizes = [len(vertices) for vertices, _ in pieces]
    starts = np.cumsum([0, *sizes])[:-1]
    objects = np.repeat(np.arange(len(sizes)), sizes)
    vertices = np.concatenate([np.zeros((0, 3)), *(v for v, _ in pieces)])
    faces = np.concatenate(
        [np.zeros((0, 3), np.int64), *(f + s for (_, f), s in zip(pieces, starts, strict=True))]
    )
    farthest = min(spacing) * _NM / 2
    vertices = with_volumes(vertices, faces, objects, volumes, farthest=farthest)
    return Mesh(
        vertices_um=(vertices + first_um).astype(np.float32), faces=faces.astype(np.uint32),
        objects=objects.astype(np.uint32), labels=labels,
    )
