"""Shapes of blocks that fit into memory and cost as little reading as can be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fibseg.types import Shape


def reading_blocks(shape: Shape, unit: Sequence[int], *, voxels: float) -> Shape:
    """Shape of blocks of about `voxels` voxels: whole rows, in whole units as far as they fit.

    A block grows along x, then y, then z. It is at least as high as a unit.

    Parameters
    ----------
    shape
        Of the volume (z, y, x).
    unit
        The least that is worth reading at once, such as a plane that is compressed as a whole.
    voxels
        At most so many, unless one plane of a unit has more.

    >>> reading_blocks((100, 50, 40), (1, 50, 40), voxels=9_000)
    (4, 50, 40)
    >>> reading_blocks((100, 50, 40), (8, 8, 8), voxels=9_000)
    (8, 24, 40)
    """
    depth, high, wide = shape
    least = min(unit[1], high)
    rows = max(least, min(int(voxels // wide), depth * high))
    thick = min(unit[0], depth, rows // least)
    if rows < thick * high:
        return thick, rows // thick // least * least, wide
    thick *= rows // (thick * high)
    return min(thick, depth), high, wide


def writing_blocks(shape: Shape, unit: Sequence[int], *, voxels: float) -> Shape:
    """Shape of blocks of whole units (shards), one unit deep, of up to `voxels` voxels.

    A block is as wide as the volume as long as that fits, then as high as fits: rows are read
    faster than columns. One unit is the least, whatever the memory.

    >>> writing_blocks((8, 100, 100), (4, 10, 10), voxels=20_000)
    (4, 50, 100)
    """
    depth, high, wide = (min(u, n) for u, n in zip(unit, shape, strict=True))
    across = _fitting(shape[2], wide, voxels / (depth * high))
    if across < shape[2]:
        return depth, high, across
    return depth, _fitting(shape[1], high, voxels / (depth * shape[2])), across


def _fitting(length: int, unit: int, room: float) -> int:
    """The most whole units, at least one, of which no more than `room` lies within `length`."""
    n = math.ceil(length / unit) if length <= room else max(1, int(room // unit))
    return n * unit
