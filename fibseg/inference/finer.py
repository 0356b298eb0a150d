"""From working pixels back to the voxels of level 0, window by window, the same for any block.

Every working pixel has slots, one per voxel of level 0 whose centre lies in it. A window fills the
slots of its own core by linear interpolation with its own neighbouring pixels, so that a voxel's
value depends on one window only, wherever the seams between blocks run.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fibseg.inference.axis import Axis


class Slots:
    """Interpolation within a window, along y and x.

    Parameters
    ----------
    y, x
        The axes of the working grid.
    blended
        Fill the slots of the whole window; else those of its core, the others are 0.
    """

    def __init__(self, y: Axis, x: Axis, *, blended: bool) -> None:
        self.axes = (y, x)
        self.counts = (y.slots, x.slots)
        self._inset = tuple(0 if blended else a.margin for a in self.axes)
        self._tables = [_table(a, inset) for a, inset in zip(self.axes, self._inset, strict=True)]

    def fill(self, probs: Tensor) -> Tensor:
        """Slots (b, c · ky · kx, y, x) of the probabilities (b, c, y, x) of one window.

        The window's margin stays 0 unless blended.
        """
        ky, kx = self.counts
        fine = probs
        for dim, (below, weight) in zip((2, 3), self._tables, strict=True):
            fine = _interpolate(fine, below, weight, dim)
        b, c, height, width = probs.shape
        (iy, ix), out_shape = self._inset, (b, c, ky, kx, height, width)
        inner = fine.view(b, c, height - 2 * iy, ky, width - 2 * ix, kx).permute(0, 1, 3, 5, 2, 4)
        if not (iy or ix):
            return inner.reshape(b, c * ky * kx, height, width)
        out = torch.zeros(out_shape, dtype=probs.dtype)
        out[..., iy : height - iy, ix : width - ix] = inner
        return out.view(b, c * ky * kx, height, width)

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


def _table(axis: Axis, inset: int) -> tuple[Tensor, Tensor]:
    """Working pixel of the window below each slot's voxel, and the weight of the next one."""
    pixels = np.arange(inset, axis.window - inset) - axis.margin
    voxels = axis.first_voxel(pixels)[:, None] + np.arange(axis.slots)
    below, weight = axis.neighbours(voxels.ravel())
    below = below + axis.margin
    weight = np.where(below < 0, 0, np.where(below > axis.window - 2, 1, weight))
    below = np.clip(below, 0, axis.window - 2)
    return torch.from_numpy(below), torch.from_numpy(weight.astype(np.float32))


def _interpolate(values: Tensor, below: Tensor, weight: Tensor, dim: int) -> Tensor:
    """Values between `below` and the next along `dim`."""
    low = values.index_select(dim, below)
    if not bool(weight.any()):
        return low
    shape = [1] * values.ndim
    shape[dim] = -1
    return torch.lerp(low, values.index_select(dim, below + 1), weight.view(shape))


def _places(axis: Axis, first: int, start: int, stop: int) -> NDArray[np.int64]:
    """Slot number, counted from the first slot of pixel `first`, of each voxel."""
    voxels = np.arange(start, stop)
    pixels = axis.pixel_of(voxels)
    return (pixels - first) * axis.slots + voxels - axis.first_voxel(pixels)


def _pick(values: Tensor, index: NDArray[np.int64], dim: int) -> Tensor:
    """`values` at `index` along `dim`, as a view where the indices follow each other."""
    if len(index) and index[-1] - index[0] == len(index) - 1:
        return values.narrow(dim, int(index[0]), len(index))
    return values.index_select(dim, torch.from_numpy(index))
