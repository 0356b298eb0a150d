"""Triangles of the border of a mask, block by block: what an `EnvelopeMesh` is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from fibseg.geometry import Box
from fibseg.types import Mask, Table

REACH = 6
"""Voxels around a block that its triangles depend on."""
OCCUPANCY = 4
"""Working voxels along the side of one cell of the occupancy."""
_SIGMA, _TRUNCATE, _SNAP = 1.0, 4.0, 0.005
_SHIFTS, _MASK = (42, 22, 2), 2**20 - 1
INNER = 3
"""Instead of an axis: a corner within a cell, not on an edge between two voxels."""
_EIGHTS = (16, 8, 0)
_ON_EDGE = 1e-4
"""Corners on an edge are less than this off whole voxels on the other axes."""


def partial(mask: Mask, *, inside: Box, start: Sequence[int], shape: Sequence[int]) -> Table:
    """Triangles of the cells that begin in a part of a block, and how full its coarse cells are.

    The mask is smoothed by a Gaussian of one voxel and cut at a half by marching cubes (Lewiner et
    al., J Graph Tools 8:1, 2003), so that steps of voxels do not count as surface. Where the mask
    reaches a face of the volume it is cut open: that face is no envelope.

    Parameters
    ----------
    mask
        (z, y, x), with `REACH` voxels around `inside` as far as the volume goes.
    inside
        Box of `mask` whose cells count.
    start
        Where `inside` begins in the volume, voxels.
    shape
        Of the volume.

    Returns
    -------
    Table
        ``corner`` and ``part`` (m, 3), of the triangles: see `places`; of the cells of
        `OCCUPANCY` voxels ``cell`` (k, 3) and ``n_inside`` (k,); ``at_face`` (1, 6), voxels of the
        mask at the first and last plane of every axis. Lengths differ.
    """
    own = mask[inside.slices]
    return {
        **_triangles(mask, inside, start),
        **_occupancy(own, start), "at_face": _at_face(own, start, shape),
    }


def merge(first: Table, second: Table) -> Table:
    """Both, one after the other."""
    return {name: np.concatenate([first[name], second[name]]) for name in first}


def _at_face(mask: Mask, start: Sequence[int], shape: Sequence[int]) -> NDArray[np.int64]:
    found = np.zeros((1, 6), np.int64)
    for axis, (a, n, whole) in enumerate(zip(start, mask.shape, shape, strict=True)):
        if n and a == 0:
            found[0, 2 * axis] = np.count_nonzero(mask.take(0, axis))
        if n and a + n == whole:
            found[0, 2 * axis + 1] = np.count_nonzero(mask.take(-1, axis))
    return found


def places(corner: NDArray[np.int64], part: NDArray[np.float32]) -> NDArray[np.float64]:
    """Where corners lie, (…, 3), voxels (z, y, x).

    Parameters
    ----------
    corner
        Which edge between two voxels each is on: three numbers of 20 bits, and of 2 its axis; or
        `INNER`, if it is within the cell that begins there.
    part
        How far along the edge; of a corner within a cell three numbers of 8 bits, one an axis.
    """
    found = np.stack([corner >> shift & _MASK for shift in _SHIFTS], axis=-1).astype(np.float64)
    code = (corner & 3)[..., None]
    found += np.where(code == np.arange(3), part[..., None].astype(np.float64), 0.0)
    inner = np.asarray(part, np.float64)[code[..., 0] == INNER].astype(np.int64)
    found[code[..., 0] == INNER] += (inner[:, None] >> np.array(_EIGHTS) & 255) / 255
    return found


def _triangles(mask: Mask, inside: Box, start: Sequence[int]) -> Table:
    nothing: Table = {"corner": np.zeros((0, 3), np.int64), "part": np.zeros((0, 3), np.float32)}
    # Cells between the last voxels of a block and the first of the next belong to the former.
    stop = [min(b + 1, n) for b, n in zip(inside.stop, mask.shape, strict=True)]
    cut = tuple(slice(a, b) for a, b in zip(inside.start, stop, strict=True))
    near = mask[Box(inside.start, tuple(stop)).grow((REACH,) * 3).clip(mask.shape).slices]
    if min(b.stop - b.start for b in cut) < 2 or near.all() or not near.any():
        return nothing
    smooth = gaussian_filter(
        mask.astype(np.float32), _SIGMA, mode="nearest", truncate=_TRUNCATE
    )[cut]
    return level_triangles(smooth, level=0.5, snap=_SNAP, start=start)


def level_triangles(
    smooth: NDArray[np.float32], *, level: float, snap: float, start: Sequence[int]
) -> Table:
    """Triangles where values pass a level, by marching cubes.

    Parameters
    ----------
    smooth
        (z, y, x), at least two voxels along every axis. Values near the level are moved, in place.
    level
        Where to cut, above 0.
    snap
        Values nearer to the level than this are moved to this distance: a surface right at a voxel
        would make triangles of no size, and corners on no certain edge.
    start
        Where `smooth` begins in the volume, voxels, at least 0.

    Returns
    -------
    Table
        ``corner`` and ``part`` (m, 3), as of `partial`; to the same bits in any block.
    """
    close = np.abs(smooth - level) < snap
    smooth[close] = np.where(smooth[close] < level, level - snap, level + snap)
    if not smooth.min() < level < smooth.max():
        return {"corner": np.zeros((0, 3), np.int64), "part": np.zeros((0, 3), np.float32)}
    vertices, faces, _, _ = marching_cubes(smooth, level)
    corner, part = _on_edges(vertices, smooth, level, start)
    return {"corner": corner[faces], "part": part[faces]}


def _on_edges(
    vertices: NDArray[np.float32], smooth: NDArray[np.float32], level: float,
    start: Sequence[int],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The edge of every vertex, and how far along: the same bits whatever block it is seen in."""
    off = np.abs(vertices - np.round(vertices))
    axis = np.argmax(off, axis=1)
    low = np.round(vertices).astype(np.int64)
    row = np.arange(len(low))
    low[row, axis] = np.floor(vertices[row, axis])
    inner = np.sum(off > _ON_EDGE, axis=1) > 1
    low[inner] = np.floor(vertices[inner])
    high = low.copy()
    high[row, axis] += 1
    below, above = (smooth[tuple(end[~inner].T)].astype(np.float64) for end in (low, high))
    part = np.empty(len(low), np.float32)
    part[~inner] = (level - below) / (above - below)
    part[inner] = _within_cells(low[inner], smooth, level)
    whole = low + np.asarray(start, np.int64)
    corner = np.where(inner, INNER, axis).astype(np.int64)
    for column, shift in zip(whole.T, _SHIFTS, strict=True):
        corner = corner | column << shift
    return corner, part


def _within_cells(
    low: NDArray[np.int64], smooth: NDArray[np.float32], level: float
) -> NDArray[np.float32]:
    """Where in its cell the corner of an ambiguous saddle lies, (n,): see `places`.

    Marching cubes puts one between the edges where the values at the corners of a cell leave open
    which of them are connected. Here it is the mean of all places where the surface meets an edge.
    """
    steps = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1)
    cube = smooth[tuple(np.moveaxis(low[:, None, None, None] + steps, -1, 0))].astype(np.float64)
    total, n = np.zeros((len(low), 3)), np.zeros(len(low))
    for axis in range(3):
        first, last = cube.take(0, axis + 1), cube.take(1, axis + 1)
        crossed = (first < level) != (last < level)
        along = np.divide(level - first, last - first, out=np.zeros_like(first), where=crossed)
        place = np.repeat(steps.take(0, axis)[None].astype(np.float64), len(low), axis=0)
        place[..., axis] = along
        total += (place * crossed[..., None]).sum(axis=(1, 2))
        n += crossed.sum(axis=(1, 2))
    fine = np.round(255 * total / np.maximum(n, 1)[:, None]).astype(np.int64)
    return np.asarray((fine << np.array(_EIGHTS)).sum(axis=1), np.float32)


def _occupancy(mask: Mask, start: Sequence[int]) -> Table:
    """Coarse cells that are not empty, and how many of their voxels are inside."""
    count = mask.astype(np.int64)
    first = [a // OCCUPANCY for a in start]
    for axis, (a, n) in enumerate(zip(start, mask.shape, strict=True)):
        if not n:
            return {"cell": np.zeros((0, 3), np.int64), "n_inside": np.zeros(0, np.int64)}
        borders = np.arange(a // OCCUPANCY + 1, (a + n - 1) // OCCUPANCY + 1) * OCCUPANCY - a
        count = np.add.reduceat(count, np.concatenate([[0], borders]), axis=axis)
    there = np.argwhere(count)
    return {"cell": there + first, "n_inside": count[count > 0]}
