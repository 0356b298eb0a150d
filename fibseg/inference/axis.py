"""One axis of the working grid: how network pixels lie on the voxels of a volume.

A network works at its own spacing. Its windows lie on a global grid that starts at the corner of
the volume, whatever block is being computed::

    level 0    |--------- step ---------|--------- step ---------|     voxels of the product
    working    |--------- core ---------|--------- core ---------|     pixels of the network
    window  |m |          core          | m|                           what the network sees

`step` voxels of level 0 are exactly `core` working pixels, hence every window lies alike on the
voxels that it owns, and all positions below are exact whole-number arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """Grid along one axis.

    Parameters
    ----------
    length
        Voxels of level 0.
    source
        Voxels of the pyramid level that is read.
    source_factor
        Voxels of level 0 per voxel of that level.
    core, step
        `core` working pixels cover `step` voxels of level 0.
    margin
        Working pixels beside the core, on both sides, that the network sees too.
    """

    length: int
    source: int
    source_factor: int
    core: int
    step: int
    margin: int

    @property
    def window(self) -> int:
        """Working pixels of a window."""
        return self.core + 2 * self.margin

    @property
    def n_windows(self) -> int:
        """Windows that cover the axis."""
        return -(-self.length // self.step)

    @property
    def n_work(self) -> int:
        """Working pixels that the volume fills; beyond them it is mirrored."""
        return -(-self.source * self.core * self.source_factor // self.step)

    @property
    def factor(self) -> float:
        """Voxels of level 0 per working pixel."""
        return self.step / self.core

    @property
    def slots(self) -> int:
        """Most voxels of level 0 whose centres fall into one working pixel."""
        return -(-self.step // self.core)

    def windows(self, start: int, stop: int, *, blended: bool) -> tuple[int, int]:
        """First window and the one after the last that decide about voxels `start` to `stop`."""
        beyond = -(-self.margin // self.core) if blended else 0
        first, last = start // self.step - beyond, (stop - 1) // self.step + beyond
        return max(first, 0), min(last + 1, self.n_windows)

    def pixels(self, first: int, last: int) -> Ints:
        """Working pixels of windows `first` to before `last`, mirrored at the volume's border."""
        seen = np.arange(first * self.core - self.margin, last * self.core + self.margin)
        return mirrored(seen, self.n_work)

    def first_voxel(self, pixel: Ints) -> Ints:
        """First voxel of level 0 whose centre lies in each working pixel."""
        return -((self.core - 2 * pixel * self.step) // (2 * self.core))

    def pixel_of(self, voxel: Ints) -> Ints:
        """Working pixel in which the centre of each voxel of level 0 lies."""
        return (2 * voxel + 1) * self.core // (2 * self.step)

    def neighbours(self, voxel: Ints) -> tuple[Ints, Floats]:
        """Working pixel below each voxel's centre, and the weight of the one after it."""
        below, rest = np.divmod((2 * voxel + 1) * self.core - self.step, 2 * self.step)
        return below, (rest / (2 * self.step)).astype(np.float32)

    def source_range(self, pixels: Ints) -> tuple[int, int]:
        """Voxels of the source, from and to before, that these working pixels are made of."""
        index, _ = self.taps(np.array([pixels.min(), pixels.max()]))
        return int(index.min()), int(index.max()) + 1

    def taps(self, pixels: Ints) -> tuple[Ints, Floats]:
        """Source voxels and weights of each working pixel, both of shape (n, taps).

        A coarser working grid takes the mean over the area of its pixel, a finer one interpolates
        linearly. Weights sum to 1, at the border too.
        """
        p, q = self.step, self.core * self.source_factor
        if p >= q:
            n_taps = p // q if p % q == 0 else -(-p // q) + 1
            index = (pixels * p // q)[:, None] + np.arange(n_taps)
            low, high = (pixels * p)[:, None], ((pixels + 1) * p)[:, None]
            overlap = np.minimum(high, (index + 1) * q) - np.maximum(low, index * q)
            weights = np.where(index < self.source, np.maximum(overlap, 0), 0).astype(np.float64)
        else:
            below, rest = np.divmod((2 * pixels + 1) * p - q, 2 * q)
            index = below[:, None] + np.arange(2)
            weights = np.stack([2 * q - rest, rest], axis=1).astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.clip(index, 0, self.source - 1), weights.astype(np.float32)


def mirrored(index: Ints, n: int) -> Ints:
    """Indices reflected into 0 to n - 1 as often as needed, the border itself not repeated.

    >>> mirrored(np.arange(-3, 6), 3).tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    if n == 1:
        return np.zeros_like(index)
    folded = np.abs(index) % (2 * n - 2)
    inside: Ints = np.minimum(folded, 2 * n - 2 - folded)
    return inside


def resample(image: NDArray[Any], index: Ints, weights: Floats, *, axis: int) -> NDArray[Any]:
    """Weighted sum of voxels along `axis`, float32 unless there is nothing to do.

    Terms are added one tap after another, so that the result of a pixel does not depend on how
    many others are computed with it.

    >>> resample(np.array([2, 4, 6, 8]), np.array([[0, 1], [2, 3]]),
    ...          np.full((2, 2), 0.5, np.float32), axis=0).tolist()
    [3.0, 7.0]
    """
    n_taps = index.shape[1]
    if n_taps == 1:
        return take(image, index[:, 0], axis=axis)
    shape = [1] * image.ndim
    shape[axis] = -1
    # Each pixel's weights relative to its largest: a plain mean, whose relative weights are exactly
    # 1, comes out the same whether or not a pixel of the border is computed with it.
    largest = weights.max(axis=1, keepdims=True)
    relative, even = weights / largest, bool(np.all(weights == largest))
    parts = (
        take(image, index[:, tap], axis=axis) * (1 if even else relative[:, tap].reshape(shape))
        for tap in range(n_taps)
    )
    total: NDArray[Any] = next(parts).astype(np.float32)
    for part in parts:
        total += part
    total *= largest.reshape(shape)
    return total


def take(image: NDArray[Any], index: Ints, *, axis: int) -> NDArray[Any]:
    """``image.take(index, axis)``, as a view where the indices are evenly spaced."""
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    if step > 0 and np.all(np.diff(index) == step):
        cut = [slice(None)] * image.ndim
        cut[axis] = slice(int(index[0]), int(index[-1]) + 1, step)
        return image[tuple(cut)]
    return np.take(image, index, axis=axis)
