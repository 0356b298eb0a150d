"""The working grid of the spatial null: how coarse it may be, and masks brought onto it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.types import Mask, Shape, Spacing

OF_RADIUS = 0.25
"""So much of the radius of the objects a working voxel is: see `fibseg.measure.null`."""
MOST_VOXELS = 2**23
"""So large a grid takes 0.4 GB."""
MOST_POINTS = 2**21
"""So many points of objects take a minute for 199 simulations, and 0.3 GB."""


@dataclass(frozen=True)
class WorkingGrid:
    """Voxels that are whole numbers of the volume's, and points close enough for them.

    Attributes
    ----------
    factors
        Voxels of the volume in one working voxel, along every axis.
    cell
        Voxels of the volume that give an object one point.
    finer
        Into how many parts each of these is cut along every axis, with a point in each.
    volume_shape, volume_spacing
        Of the volume.
    """

    factors: Shape
    cell: Shape
    finer: Shape
    volume_shape: Shape
    volume_spacing: Spacing

    @classmethod
    def of(cls, factors: Shape, *, shape: Shape, spacing: Spacing) -> WorkingGrid:
        """Grid of these factors; points at most half as far apart as its smallest voxel is wide."""
        half = min(f * s for f, s in zip(factors, spacing, strict=True)) / 2
        cell = [max(1, math.floor(half / s + 1e-9)) for s in spacing]
        finer = [math.ceil(c * s / half - 1e-9) for c, s in zip(cell, spacing, strict=True)]
        return cls(factors, _three(cell), _three(finer), shape, spacing)

    @property
    def shape(self) -> Shape:
        """Working voxels; the last of an axis is left out where half of it or more is missing."""
        return _three([
            max(1, (n + (f - 1) // 2) // f)
            for n, f in zip(self.volume_shape, self.factors, strict=True)
        ])

    @property
    def spacing(self) -> Spacing:
        """Size of a working voxel in nm."""
        z, y, x = (f * s for f, s in zip(self.factors, self.volume_spacing, strict=True))
        return z, y, x

    @property
    def first_um(self) -> tuple[float, float, float]:
        """Where in the volume the centre of the first working voxel is."""
        pairs = zip(self.factors, self.volume_spacing, strict=True)
        z, y, x = ((f - 1) / 2 * s * 1e-3 for f, s in pairs)
        return z, y, x

    def n_points(self, volume_um3: float) -> float:
        """About how many points objects of that volume have."""
        cell_nm3 = math.prod(c * s for c, s in zip(self.cell, self.volume_spacing, strict=True))
        return volume_um3 * 1e9 / cell_nm3 * math.prod(self.finer)


def working_grid(
    wanted_nm: float, *, volume_um3: float, shape: Shape, spacing: Spacing
) -> WorkingGrid:
    """Grid of voxels up to `wanted_nm` wide, or as fine as `MOST_VOXELS` and `MOST_POINTS` allow.

    Parameters
    ----------
    wanted_nm
        Width of a working voxel; where the volume's own are wider, these are taken.
    volume_um3
        Of all objects.
    shape, spacing
        Of the volume.

    >>> working_grid(45, volume_um3=1.0, shape=(64, 64, 64), spacing=(50.0, 20.0, 20.0)).factors
    (1, 2, 2)
    """
    while True:
        factors = _three([max(1, math.floor(wanted_nm / s + 1e-9)) for s in spacing])
        grid = WorkingGrid.of(factors, shape=shape, spacing=spacing)
        small = math.prod(grid.shape) <= MOST_VOXELS and grid.n_points(volume_um3) <= MOST_POINTS
        if small or grid.shape == (1, 1, 1):
            return grid
        wanted_nm = min((f + 1) * s for f, s in zip(factors, spacing, strict=True))


def majority(mask: NDArray[Any], *, factors: Sequence[int], ties: bool) -> Mask:
    """Which working voxels are inside: more than half of their voxels are, of those that exist.

    As much is lost as is gained, so that the border stays where it is, unlike with any or all.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x), beginning with a working voxel.
    factors
        Voxels in a working voxel, along every axis.
    ties
        Whether those of which exactly half is inside are, too.

    >>> majority(np.array([[[1, 1, 0, 1, 0]]]), factors=(1, 1, 2), ties=False).tolist()
    [[[True, False, False]]]
    """
    inside = np.asarray(mask != 0)
    if max(factors) == 1:
        return inside
    count, size = inside.view(np.uint8), np.ones((1, 1, 1), dtype=np.int32)
    for axis, (n, f) in enumerate(zip(mask.shape, factors, strict=True)):
        starts = np.arange(0, n, f)
        count = np.add.reduceat(count, starts, axis=axis, dtype=np.int32)
        lengths = np.diff(starts, append=n).astype(np.int32)
        size = size * lengths.reshape([-1 if a == axis else 1 for a in range(3)])
    return np.asarray(2 * count >= size if ties else 2 * count > size)


def _three(numbers: Sequence[int]) -> Shape:
    z, y, x = numbers
    return z, y, x
