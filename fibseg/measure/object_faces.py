"""Closed surfaces of numbered objects, block by block, each with the volume of its voxels.

The mask of an object is smoothed by a Gaussian of one voxel and cut by marching cubes (Lewiner et
al., J Graph Tools 8:1, 2003) at the level that as many voxels reach as the object has (Ruuth and
Wetton, J. Sci. Comput. 19, 2003), so that thin objects do not vanish. That level is one for the
whole object: `levels_partial` counts, block by block, and `triangles_partial` cuts. Beyond the
faces of the volume there is nothing, so that what reaches a face is closed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, gaussian_filter

from fibseg.geometry import Box
from fibseg.measure.envelope_faces import level_triangles, places
from fibseg.measure.runs import first_of_equal
from fibseg.types import Labels, Spacing, Table

REACH = 5
"""Voxels around a block that its triangles depend on: four of the Gaussian and one of a cell."""
BINS = 64
"""Steps of the smoothed mask, 0 to 1, between which levels are chosen."""
EDGE = 5
"""Voxels of nothing beyond the faces of the volume, into which smoothed objects bulge."""
_SIGMA, _TRUNCATE, _SNAP = 1.0, 4.0, 0.05


@dataclass(frozen=True)
class _Smoothed:
    """One object of a block: its smoothed mask in a box around it, and what of that counts.

    Attributes
    ----------
    label
        Number of the object.
    mask, smooth
        In that box, (z, y, x).
    own
        The part of the box whose voxels, and cells that begin there, belong to the block.
    start
        Where `own` begins in the volume, voxels.
    """

    label: int
    mask: NDArray[np.bool_]
    smooth: NDArray[np.float32]
    own: Box
    start: tuple[int, ...]


def levels_partial(
    labels: Labels, *, inside: Box, start: Sequence[int], shape: Sequence[int]
) -> Table:
    """How many voxels each object of a block has, and how many of the smoothed mask reach what.

    Parameters
    ----------
    labels
        (z, y, x), 0 = none, with `REACH` voxels around `inside` as far as the volume goes.
    inside
        Box of `labels` that counts.
    start
        Where `inside` begins in the volume, voxels.
    shape
        Of the volume.

    Returns
    -------
    Table
        ``label`` (k,), ascending, ``n_voxels`` (k,), and ``histogram`` (k, `BINS`) of the smoothed
        mask, without what is near 0.
    """
    known, n_voxels, histograms = [], [], [np.zeros((0, BINS), np.int64)]
    for found in _smoothed(labels, inside, start, shape):
        values = found.smooth[found.own.slices]
        steps = np.minimum((values[values > 0] * BINS).astype(np.int64), BINS - 1)
        histogram = np.bincount(steps, minlength=BINS)
        histogram[0] = 0
        if histogram.any():
            known.append(found.label)
            n_voxels.append(np.count_nonzero(found.mask[found.own.slices]))
            histograms.append(histogram[None])
    return {
        "label": np.array(known, labels.dtype), "n_voxels": np.array(n_voxels, np.int64),
        "histogram": np.concatenate(histograms),
    }


def levels_merge(first: Table, second: Table) -> Table:
    """Counts of both, one row for each object."""
    label = np.concatenate([first["label"], second["label"]])
    order = np.argsort(label, kind="stable")
    begins = first_of_equal(label[order])
    merged: Table = {"label": label[order][begins]}
    for name in ("n_voxels", "histogram"):
        both = np.concatenate([first[name], second[name]])[order]
        merged[name] = np.add.reduceat(both, begins, axis=0) if len(begins) else both
    return merged


def levels_finish(table: Table) -> Table:
    """``label``, ``n_voxels`` and ``level`` of every object, 0 to 1, from the counts of all blocks.

    Of all steps from which on the smoothed mask has as nearly as many voxels as the object, the
    middle of the lowest and the highest.

    >>> histogram = np.zeros((1, BINS), int)
    >>> histogram[0, [20, 40]] = 6, 8
    >>> levels_finish({"label": np.array([3]), "n_voxels": np.array([8]), "histogram": histogram})
    {'label': array([3]), 'n_voxels': array([8]), 'level': array([0.4765625])}
    """
    reached = np.cumsum(table["histogram"][:, ::-1], axis=1)[:, ::-1]
    off = np.abs(reached - table["n_voxels"][:, None])
    off[reached == 0] = np.iinfo(np.int64).max
    best = off == off.min(axis=1, keepdims=True)
    steps = np.arange(BINS)
    low = np.where(best, steps, BINS).min(axis=1)
    high = np.where(best, steps, -1).max(axis=1)
    # Step 0 was not counted: from there on there are as many as from step 1 on.
    level = (np.maximum(low, 1) + high) / (2 * BINS)
    return {"label": table["label"], "n_voxels": table["n_voxels"], "level": level}


def triangles_partial(
    labels: Labels, levels: Table, *, inside: Box, start: Sequence[int], shape: Sequence[int]
) -> Table:
    """Triangles of the cells that begin in a block, object by object.

    Parameters
    ----------
    labels, inside, start, shape
        As of `levels_partial`.
    levels
        ``label``, ascending, and ``level``.

    Returns
    -------
    Table
        ``label`` (m,), ascending, ``corner`` and ``part`` (m, 3): see `surface`.
    """
    found: list[Table] = [{
        "label": np.zeros(0, labels.dtype), "corner": np.zeros((0, 3), np.int64),
        "part": np.zeros((0, 3), np.float32),
    }]
    for one in _smoothed(labels, inside, start, shape):
        level = float(levels["level"][np.searchsorted(levels["label"], one.label)])
        # Cells between the last voxels of a block and the first of the next belong to the former.
        stop = tuple(min(b + 1, n) for b, n in zip(one.own.stop, one.smooth.shape, strict=True))
        smooth = np.ascontiguousarray(one.smooth[Box(one.own.start, stop).slices])
        if min(smooth.shape) < 2:
            continue
        table = level_triangles(
            smooth, level=level, snap=_SNAP * level, start=[a + EDGE for a in one.start]
        )
        n = len(table["corner"])
        found.append({"label": np.full(n, one.label, labels.dtype), **table})
    return {name: np.concatenate([table[name] for table in found]) for name in found[0]}


def surface(
    corner: NDArray[np.int64], part: NDArray[np.float32], *, spacing: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices and triangles of one object, in an order that does not depend on the blocks.

    Parameters
    ----------
    corner, part
        Of all its triangles, (m, 3), in any order.
    spacing
        Size of a voxel in nm, (z, y, x).

    Returns
    -------
    vertices
        (n, 3), nm from the centre of the first voxel, (z, y, x).
    faces
        (m, 3), places of vertices, counter-clockwise seen from outside in (x, y, z).
    """
    known, first, where = np.unique(corner, return_index=True, return_inverse=True)
    vertices = (places(known, part.ravel()[first]) - EDGE) * np.array(spacing)
    faces = where.reshape(-1, 3)
    return vertices, faces[np.lexsort(faces.T[::-1])].astype(np.int64)


def _smoothed(
    labels: Labels, inside: Box, start: Sequence[int], shape: Sequence[int]
) -> Iterator[_Smoothed]:
    """Every object that may have something in the block, by label."""
    if not labels.size:
        return
    stop = [a + n for a, n in zip(start, inside.shape, strict=True)]
    before = [EDGE if a == 0 else 0 for a in start]
    after = [EDGE if b == n else 0 for b, n in zip(stop, shape, strict=True)]
    padded = np.pad(labels, list(zip(before, after, strict=True)))
    own = Box(
        tuple(inside.start),
        tuple(b + p + q for b, p, q in zip(inside.stop, before, after, strict=True)),
    )
    to_volume = [a - i - p for a, i, p in zip(start, inside.start, before, strict=True)]
    numbered, numbers = fastremap.renumber(padded)
    boxes: list[Any] = find_objects(numbered)
    for label in sorted(int(n) for n in numbers if n):
        number = int(numbers[label])
        there = boxes[number - 1]
        box = Box(
            tuple(s.start for s in there), tuple(s.stop for s in there)
        ).grow((EDGE,) * 3).clip(padded.shape)
        low = tuple(max(a, b) for a, b in zip(box.start, own.start, strict=True))
        high = tuple(min(a, b) for a, b in zip(box.stop, own.stop, strict=True))
        if any(a >= b for a, b in zip(low, high, strict=True)):
            continue
        mask = numbered[box.slices] == number
        smooth = gaussian_filter(
            mask.astype(np.float32), _SIGMA, mode="constant", truncate=_TRUNCATE
        )
        begin = tuple(a + t for a, t in zip(low, to_volume, strict=True))
        yield _Smoothed(label, mask, smooth, Box(low, high).relative_to(box), begin)
