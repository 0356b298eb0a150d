"""Where a mask ends and where objects end: faces and voxels on the border, found block by block.

The interface of a mask is made of the faces between a voxel of it and one that is none. Each face
is known by its centre, in half voxels: a voxel's own centre is at ``2 · index``, so that all of
them are whole numbers. The faces of the volume are no interface: nobody knows what lies beyond.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.types import Labels

Places = NDArray[np.int64]
"""One row (z, y, x) per place."""

REACH = (1, 1, 1)
"""Voxels around a block that the functions here look at, less where the volume ends."""


def interface_points(mask: NDArray[Any], *, inside: Box, start: Sequence[int]) -> Places:
    """Centres of the faces between inside and outside in half voxels, shape (n, 3).

    A face belongs to the block that holds the lower of its two voxels.

    Parameters
    ----------
    mask
        Anything but 0 is inside; the block and `REACH` around it, less where the volume ends.
    inside
        The block itself, in voxels of `mask`.
    start
        Where the block itself begins in the volume, in voxels (z, y, x).

    >>> interface_points(np.array([[[0, 1, 1]]]), inside=Box((0, 0, 0), (1, 1, 3)), start=(0, 0, 0))
    array([[0, 0, 1]])
    """
    found = [np.zeros((0, 3), dtype=np.int64)]
    for axis in range(3):
        here, there = _pairs(mask, inside, axis, 1)
        centres = 2 * (_places(np.not_equal(here != 0, there != 0)) + np.array(start))
        centres[:, axis] += 1
        found.append(centres)
    return np.concatenate(found)


def surface_voxels(labels: Labels, *, inside: Box) -> Places:
    """Voxels of objects with one of the six neighbours in something else, shape (n, 3).

    Places count from the corner of the block. A voxel at a face of the volume is on the surface
    only if a neighbour within the volume says so.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none; the block and `REACH` around it, less where the volume ends.
    inside
        The block itself, in voxels of `labels`.

    >>> surface_voxels(np.array([[[0, 4, 4, 4]]]), inside=Box((0, 0, 0), (1, 1, 4)))
    array([[0, 0, 1]])
    """
    own = labels[inside.slices]
    found = np.zeros(own.shape, dtype=bool)
    for axis in range(3):
        for step in (-1, 1):
            here, there = _pairs(labels, inside, axis, step)
            short = own.shape[axis] - here.shape[axis]  # 1 where the volume ends, else 0
            cut = [slice(None)] * 3
            cut[axis] = slice(short, None) if step < 0 else slice(own.shape[axis] - short)
            found[tuple(cut)] |= here != there
    found &= own != 0
    return _places(found)


def _pairs(
    array: NDArray[Any], inside: Box, axis: int, step: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Voxels of the block that have a neighbour one step along an axis, and those neighbours."""
    start = max(inside.start[axis], -step)
    stop = min(inside.stop[axis], array.shape[axis] - max(step, 0))
    here, there = list(inside.slices), list(inside.slices)
    here[axis] = slice(start, max(start, stop))
    there[axis] = slice(start + step, max(start, stop) + step)
    return array[tuple(here)], array[tuple(there)]


def _places(mask: NDArray[np.bool_]) -> Places:
    """Where a mask is true; faster than ``np.argwhere`` for few places."""
    at = np.unravel_index(np.flatnonzero(mask), mask.shape)
    return np.stack(at, axis=1).astype(np.int64, copy=False)
