"""Values between the voxels of a coarser grid, on boxes and at single voxels of level 0.

Voxel v of a grid whose voxels are f times finer lies, centre to centre, at (2 v + 1 - f) / 2 f of
the coarser one. Beyond its outermost centres their values count on. All in whole numbers, so that
the result of a voxel does not depend on the box that it is computed with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def enlarged(
    values: Floats, have: Box, want: Box, *, factors: Sequence[int], shape: Sequence[int]
) -> Floats:
    """Values, shape (n, z, y, x), of the voxels `want` of the finer grid.

    Parameters
    ----------
    values
        Shape (n, z, y, x), of the voxels `have` of the coarser grid.
    factors
        Voxels of the finer grid in a coarser one, per axis.
    shape
        Voxels of the whole coarser grid.

    >>> enlarged(np.array([[[[0, 4]]]], np.float32), Box((0, 0, 0), (1, 1, 2)),
    ...          Box((0, 0, 0), (1, 1, 4)), factors=(1, 1, 2), shape=(1, 1, 2)).tolist()
    [[[[0.0, 1.0, 3.0, 4.0]]]]
    """
    for axis, factor in enumerate(factors):
        voxels = np.arange(want.start[axis], want.stop[axis])
        below, above, weight = between(voxels, factor, shape[axis])
        first = have.start[axis]
        low = np.take(values, below - first, axis=axis + 1)
        if factor == 1:
            values = low
            continue
        high = np.take(values, above - first, axis=axis + 1)
        share = weight.reshape([-1 if a == axis else 1 for a in range(3)])
        high -= low
        high *= share
        high += low
        values = high
    return values


def at_voxels(
    values: Floats, have: Box, voxels: Ints, *, factors: Sequence[int], shape: Sequence[int]
) -> Floats:
    """Values, shape (n, voxels), at single voxels of the finer grid; else as `enlarged`.

    Parameters
    ----------
    voxels
        Positions (z, y, x), shape (voxels, 3).
    """
    ends = [between(v, f, n) for v, f, n in zip(voxels.T, factors, shape, strict=True)]
    out = np.zeros((len(values), len(voxels)), np.float32)
    for corner in np.ndindex(2, 2, 2):
        place, share = [], np.ones(len(voxels), np.float32)
        for (below, above, weight), side, first in zip(ends, corner, have.start, strict=True):
            place.append((above if side else below) - first)
            share *= weight if side else 1 - weight
        z, y, x = place
        out += values[:, z, y, x] * share
    return out


def between(voxels: Ints, factor: int, n: int) -> tuple[Ints, Ints, Floats]:
    """Coarser voxels before and after each voxel's centre, and the weight of the latter."""
    below, rest = np.divmod(2 * voxels + 1 - factor, 2 * factor)
    weight = (rest / (2 * factor)).astype(np.float32)
    return np.clip(below, 0, n - 1), np.clip(below + 1, 0, n - 1), weight
