"""The cell in 3D for the report: meshes of what a coarse level of the pyramid shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pipeline.report_kinds import Kind
from fibseg.report import Mesh, Scene, SceneMesh
from fibseg.report.meshes import level_within, object_meshes
from fibseg.report.methods import listed, plain_name
from fibseg.types import Spacing
from fibseg.volume import Volume

MOST_VOXELS = 2**24
"""Of a label image that is looked at as a whole, 16 megavoxels."""
N_TRIANGLES = 240_000
"""Of all meshes together: some 5 MB of the page."""
TRIANGLES_EACH = 40
"""Of an object at least; where there are too many objects for that, small ones are left out."""
SHELL, INNER = 0.2, 0.5
"""Opacity of the body around all others, and of others."""


def scene_of(store: Volume, kinds: Sequence[Kind], *, picture: str = "") -> Scene | None:
    """The 3D view of all kinds, with its still picture; None where there is nothing to see."""
    found: dict[Kind, Mesh] = {}
    left_out = []
    level, spacing = coarse_level(store)
    share = N_TRIANGLES // max(len(kinds), 1)
    for kind in kinds:
        labels, n_seen, n = largest_objects(
            read_coarse(store, kind.name, level), most=share // TRIANGLES_EACH
        )
        if n:
            found[kind] = object_meshes(
                labels, n_triangles=share, spacing=spacing, first_um=first_voxel_um(store, spacing)
            )
        if n_seen < n:
            left_out.append(f"the {n_seen:,} largest of {n:,} {plain_name(kind.name)}")
    meshes = tuple(
        SceneMesh(kinds.index(kind), mesh, opacity=1.0 if len(found) == 1 else _opacity(kind))
        for kind, mesh in found.items()
    )
    z, y, x = (n * s * 1e-3 for n, s in zip(store.shape, store.spacing, strict=True))
    caption = f"Shown: {listed(left_out)}." if left_out else ""
    return Scene(meshes, size_um=(z, y, x), picture=picture, caption=caption) if meshes else None


def largest_objects(labels: NDArray[Any], *, most: int) -> tuple[NDArray[Any], int, int]:
    """Labels of at most so many objects, the largest; how many these are, and how many there were.

    >>> largest_objects(np.array([1, 2, 2, 0, 3, 3]), most=2)[0].tolist()
    [0, 2, 2, 0, 3, 3]
    """
    known, sizes = np.unique(labels, return_counts=True)
    known, sizes = known[known > 0], sizes[known > 0]
    if known.size <= most:
        return labels, int(known.size), int(known.size)
    kept = known[np.argsort(-sizes, kind="stable")[:most]]
    return np.where(np.isin(labels, kept), labels, 0), most, int(known.size)


def coarse_level(store: Volume, *, most_voxels: int = MOST_VOXELS) -> tuple[int, Spacing]:
    """Finest level with at most so many voxels, and its spacing, nm; the coarsest if none has."""
    shapes = [store.raw(level).shape for level in range(store.n_levels)]
    level = level_within(shapes, most_voxels=most_voxels)
    shape = shapes[level]
    step = _step(shape, most_voxels)
    seen = [-(-n // step) for n in shape]
    # From the extent, since sizes of coarse levels are rounded.
    z, y, x = (n * s / k for n, s, k in zip(store.shape, store.spacing, seen, strict=True))
    return level, (z, y, x)


def read_coarse(
    store: Volume, name: str, level: int, *, most_voxels: int = MOST_VOXELS
) -> NDArray[Any]:
    """Labels of a level, every n-th voxel where that is too large."""
    return _thinned(store.labels(name, level), most_voxels)


def read_coarse_raw(
    store: Volume, level: int, *, most_voxels: int = MOST_VOXELS
) -> NDArray[Any]:
    """Raw image of a level, as `read_coarse`."""
    return _thinned(store.raw(level), most_voxels)


def _thinned(array: Any, most_voxels: int) -> NDArray[Any]:
    step = _step(array.shape, most_voxels)
    return np.asarray(array[::step, ::step, ::step])


def first_voxel_um(store: Volume, spacing: Spacing) -> tuple[float, float, float]:
    """Where the centre of the first voxel of a coarser grid lies, seen from that of level 0."""
    z, y, x = ((s - own) / 2 * 1e-3 for s, own in zip(spacing, store.spacing, strict=True))
    return z, y, x


def _step(shape: Sequence[int], most_voxels: int) -> int:
    n_voxels = int(np.prod(shape, dtype=np.int64))
    return max(1, int(np.ceil(np.cbrt(n_voxels / most_voxels))))


def _opacity(kind: Kind) -> float:
    if kind.color is None:
        return 1.0
    return SHELL if kind.shell else INNER
