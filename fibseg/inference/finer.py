"""From working pixels back to the voxels of level 0, window by window, the same for any block.

Every working pixel has slots, one per voxel of level 0 whose centre lies in it. A window fills the
slots of its own core by linear interpolation with its own neighbouring pixels, so that a voxel's
value depends on one window only, wherever the seams between blocks run.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.inference.axis import Axis
from fibseg.inference.transfer import to_device


class Slots:
    """Interpolation within a window, along y and x.

    Parameters
    ----------
    y, x
        The axes of the working grid.
    blended
        Fill the slots of the whole window; else those of its core.

    Attributes
    ----------
    needs
        Part of a window, along y and x, whose probabilities decide about its slots.
    """

    def __init__(self, y: Axis, x: Axis, *, blended: bool) -> None:
        self.axes = (y, x)
        self.counts = (y.slots, x.slots)
        insets = [0 if blended else a.margin for a in self.axes]
        both = list(zip(self.axes, insets, strict=True))
        first = [max(inset - 1, 0) for inset in insets]
        self.needs = tuple(slice(f, a.window - f) for a, f in zip(self.axes, first, strict=True))
        self._sides = tuple(axis.window - 2 * inset for axis, inset in both)
        self._tables = [_Table.of(*pair, f) for pair, f in zip(both, first, strict=True)]

    def fill(self, probs: Tensor) -> Tensor:
        """Slots (b, c · ky · kx, y, x) of the probabilities (b, c, y, x) of windows.

        Parameters
        ----------
        probs
            Of the part `needs` of the windows.
        """
        (ky, kx), (height, width) = self.counts, self._sides
        fine = probs
        for dim, table in zip((2, 3), self._tables, strict=True):
            fine = table.interpolate(fine, dim)
        b, c = probs.shape[:2]
        if ky == kx == 1:
            return fine
        inner = fine.reshape(b, c, height, ky, width, kx).permute(0, 1, 3, 5, 2, 4)
        return inner.reshape(b, c * ky * kx, height, width)

    def read(
        self, slots: Tensor, first: tuple[int, int], start: tuple[int, int], stop: tuple[int, int]
    ) -> Tensor:
        """Voxels `start` to `stop` (y, x) of level 0, shape (b, c, y, x).

        Parameters
        ----------
        slots
            Shape (b, c · ky · kx, y, x).
        first
            Working pixel (y, x) that `slots` begins with.
        """
        b, channels, height, width = slots.shape
        ky, kx = self.counts
        c = channels // (ky * kx)
        rows, columns = (
            _places(a, f, p, q)
            for a, f, p, q in zip(self.axes, first, start, stop, strict=True)
        )
        fine = slots.view(b, c, ky, kx, height, width).permute(0, 1, 4, 2, 5, 3)
        fine = fine[:, :, rows[0] // ky : rows[-1] // ky + 1]
        fine = fine[..., columns[0] // kx : columns[-1] // kx + 1, :]
        fine = fine.reshape(b, c, fine.shape[2] * ky, fine.shape[4] * kx)
        rows, columns = rows - rows[0] // ky * ky, columns - columns[0] // kx * kx
        return _pick(_pick(fine, rows, 2), columns, 3)


@dataclass(frozen=True)
class _Table:
    """Pixel below the voxel of each slot along one axis, and the weight of the next pixel."""

    below: NDArray[np.int64]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, axis: Axis, inset: int, first: int) -> _Table:
        """Table of a window without its outer `inset` pixels; pixels count from `first`."""
        pixels = np.arange(inset, axis.window - inset) - axis.margin
        voxels = axis.first_voxel(pixels)[:, None] + np.arange(axis.slots)
        below, weight = axis.neighbours(voxels.ravel())
        below = below + axis.margin
        weight = np.where(below < 0, 0, np.where(below > axis.window - 2, 1, weight))
        if weight.any():
            below = np.clip(below, 0, axis.window - 2)
        return cls(below - first, weight.astype(np.float32))

    def interpolate(self, values: Tensor, dim: int) -> Tensor:
        """Values between `below` and the next along `dim`; a view where there is nothing to do."""
        low = _pick(values, self.below, dim)
        if not self.weight.any():
            return low
        shape = [1] * values.ndim
        shape[dim] = -1
        high = _pick(values, self.below + 1, dim)
        return torch.lerp(low, high, to_device(self.weight, low.device).view(shape))


def _places(axis: Axis, first: int, start: int, stop: int) -> NDArray[np.int64]:
    """Slot number, counted from the first slot of pixel `first`, of each voxel."""
    voxels = np.arange(start, stop)
    pixels = axis.pixel_of(voxels)
    return (pixels - first) * axis.slots + voxels - axis.first_voxel(pixels)


def _pick(values: Tensor, index: NDArray[np.int64], dim: int) -> Tensor:
    """`values` at `index` along `dim`, as a view where the indices follow each other."""
    if len(index) and index[-1] - index[0] == len(index) - 1:
        return values.narrow(dim, int(index[0]), len(index))
    return values.index_select(dim, to_device(index, values.device))
