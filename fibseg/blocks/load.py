"""How much a pass over blocks reads and writes, for plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fibseg.blocks.grid import Grid
from fibseg.geometry import Box
from fibseg.progress import NO_LOAD, Load, recording


def load_of(
    grid: Grid, read_box: Callable[[Box], Box] | None, sources: Sequence[Any],
    targets: Sequence[Any] = (), *, function: Any = None,
) -> Load:
    """Uncompressed bytes that all blocks of `grid` move; only looked at while somebody records it.

    Parameters
    ----------
    read_box
        Box of the sources that a write box needs; the same box if None.
    function
        The block function; one that reads for itself, in pieces that its `read_box` does not tell,
        says how much by its method ``own_bytes(write)``.
    """
    if not recording():  # a grid may have a million blocks
        return NO_LOAD
    read = sum(block.read.size for block in grid.blocks(read_box))
    written = sum(grid.box(index).size for index in range(len(grid)))
    own = getattr(function, "own_bytes", None)
    more = 0 if own is None else sum(own(grid.box(index)) for index in range(len(grid)))
    return Load(
        read * sum(_itemsize(source) for source in sources) + more,
        written * sum(_itemsize(target) for target in targets),
        (grid.shape, grid.block_shape), getattr(function, "threads", 1),
    )


def _itemsize(array: Any) -> int:
    return int(np.dtype(array.dtype).itemsize)
