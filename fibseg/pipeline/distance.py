"""Distances to a mask that no memory holds, block by block.

A distance found in a read box is certain if it is at most the distance to every face at which the
volume goes on: what lies beyond is farther. Where that fails, the box is read again with a halo
twice as wide, until the cap is reached. Most voxels are near something, so most blocks need the
first, narrow halo only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg import postprocess
from fibseg.blocks import Block, Runner, layout_key, map_blocks
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import Array, Sheet
from fibseg.types import Spacing

FIRST_HALO = 24
"""Voxels of the finest axis that are looked at around a block at first."""


def distance(
    mask: Array,
    target: Sheet,
    *,
    max_nm: float,
    signed: bool = False,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    spacing: Spacing,
    inputs: str = "",
) -> None:
    """Write the distance in nm to `mask` as float32, as the kernels in `fibseg.postprocess` do.

    Parameters
    ----------
    mask
        Anything but 0 is inside.
    target
        Array of float32 on the same grid.
    max_nm
        Larger distances are written as this one. A worker holds at most one block grown by it.
    signed
        `fibseg.postprocess.signed_distance`, negative inside, instead of
        `fibseg.postprocess.distance`.
    block_shape, runner
        As in `fibseg.blocks.map_blocks`.
    spacing
        Size of a voxel in nm, (z, y, x).
    inputs
        Hash of what `mask` is.

    Raises
    ------
    UsageError
        If the cap is not a number above 0.
    """
    kernel = postprocess.signed_distance if signed else postprocess.distance
    bound = functools.partial(kernel, max_nm=max_nm, spacing=spacing)
    bound(np.zeros((1, 1, 1), dtype=bool))  # refuses what cannot be meant before any work
    first_nm = min(max_nm, FIRST_HALO * min(spacing))
    name = kernel.__name__
    map_blocks(
        Certified(bound, mask, max_nm, first_nm, spacing), mask, target.array,
        block_shape=block_shape, runner=runner, journal=target.journal, label=name,
        fingerprint=layout_key(inputs=inputs, kernel=name, max_nm=max_nm, spacing=spacing),
    )


@dataclass(frozen=True)
class Certified:
    """Block function: distances that nothing outside of what was read can shorten.

    Attributes
    ----------
    kernel
        The distance of a whole array, bound to its settings.
    mask
        What the blocks are read from, to read more of it.
    max_nm
        No distance is larger.
    first_nm
        Width of the first halo.
    spacing
        Size of a voxel in nm, (z, y, x).
    """

    kernel: Callable[[NDArray[Any]], NDArray[np.float32]]
    mask: Array
    max_nm: float
    first_nm: float
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` with the first halo, clipped at the faces of the volume."""
        return write.grow(halo_voxels(self.first_nm, self.spacing)).clip(shape)

    def __call__(self, mask: NDArray[Any], *, block: Block) -> NDArray[np.float32]:
        """Distances in the write box."""
        out = np.empty(block.write.shape, dtype=np.float32)
        part, read, halo_nm = block.write, block.read, self.first_nm
        while True:
            found = self.kernel(mask)[part.relative_to(read).slices]
            out[part.relative_to(block.write).slices] = found
            uncertain = self._uncertain(np.abs(found), part, read)
            if not uncertain.any():
                return out
            part = bounding_box(uncertain).shift(part.start)
            halo_nm = min(2 * halo_nm, self.max_nm)
            read = part.grow(halo_voxels(halo_nm, self.spacing)).clip(self.mask.shape)
            mask = np.asarray(self.mask[read.slices])

    def _uncertain(
        self, found: NDArray[np.float32], part: Box, read: Box
    ) -> NDArray[np.bool_]:
        """Where in `part` a voxel that was not read may be nearer than what was found."""
        out = np.zeros(part.shape, dtype=bool)
        for axis, nm in enumerate(self.spacing):
            at = np.arange(part.start[axis], part.stop[axis])
            others = [a for a in range(3) if a != axis]
            if read.start[axis] > 0:
                out |= found > np.expand_dims((at - read.start[axis] + 1) * nm, others)
            if read.stop[axis] < self.mask.shape[axis]:
                out |= found > np.expand_dims((read.stop[axis] - at) * nm, others)
        return out


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """The smallest box that holds all of a mask, which must not be empty.

    >>> bounding_box(np.array([[False, True, True]]))
    Box(start=(0, 1), stop=(1, 3))
    """
    axes = range(mask.ndim)
    along = [
        np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis)))
        for axis in axes
    ]
    return Box(tuple(int(a[0]) for a in along), tuple(int(a[-1]) + 1 for a in along))
