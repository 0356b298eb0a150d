"""Voxels of a volume and pixels of planes at any angle: which lies where, the same for all blocks.

Planes of one orientation lie one pixel apart and start at the centre of the first voxel of the
volume; their pixels form a lattice of whole numbers (plane, row, column)::

    p_nm = pixel_nm * (plane * normal + row * down + column * right)

Everything below starts from these whole numbers and from whole voxels, one operation per number, so
that a value does not depend on what else is computed with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box, Orientation
from fibseg.inference.axis import mirrored
from fibseg.types import Shape, Spacing

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CORNERS = tuple((i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1))


@dataclass(frozen=True)
class Lattice:
    """Pixels of the planes of one orientation in one volume.

    Parameters
    ----------
    orientation
        How the planes lie.
    shape, spacing
        Of the volume.
    pixel_nm
        Side of a pixel, and distance of planes.
    """

    orientation: Orientation
    shape: Shape
    spacing: Spacing
    pixel_nm: float

    def pixels_of(self, voxels: tuple[Ints, Ints, Ints], along: int) -> Floats:
        """Coordinate of voxels (z, y, x): 0 the plane, 1 the row, 2 the column, in pixels."""
        axis = self.orientation.axes[along]
        z, y, x = (v * (s / self.pixel_nm) for v, s in zip(voxels, self.spacing, strict=True))
        found: Floats = z * axis[0] + y * axis[1] + x * axis[2]
        return found

    def voxels_of(self, plane: Ints, row: Ints, column: Ints) -> tuple[Floats, Floats, Floats]:
        """Coordinates (z, y, x) in voxels of pixels, which broadcast against each other."""
        normal, down, right = self.orientation.axes
        z, y, x = (
            (plane * normal[a] + row * down[a] + column * right[a])
            * (self.pixel_nm / self.spacing[a])
            for a in range(3)
        )
        return z, y, x

    def sample(
        self, raw: NDArray[Any], read: Box, plane: Ints, row: Ints, column: Ints
    ) -> NDArray[np.float32]:
        """Raw at pixels by linear interpolation, float32; mirrored beyond the volume.

        Parameters
        ----------
        raw
            Voxels of the box `read`, which holds all that is needed.
        """
        below, beyond, share = [], [], []
        for place, n, start in zip(
            self.voxels_of(plane, row, column), self.shape, read.start, strict=True
        ):
            whole = np.floor(place)
            share.append((place - whole).astype(np.float32))
            index = whole.astype(np.int64)
            below.append(mirrored(index, n) - start)
            beyond.append(mirrored(index + 1, n) - start)
        both = tuple(zip(below, beyond, strict=True))
        total = np.zeros(share[0].shape, np.float32)
        for corner in CORNERS:
            weight = corner_share(share, corner)
            if weight.any():  # one corner alone has any where pixels are voxels
                total += weight * raw[tuple(both[a][c] for a, c in enumerate(corner))]
        return total


def corner_share(
    shares: Sequence[NDArray[np.float32]], corner: Sequence[int]
) -> NDArray[np.float32]:
    """Weight of a corner of a cell for points that lie `shares` of the way along its sides."""
    first, second, third = (
        s if upper else np.float32(1) - s for s, upper in zip(shares, corner, strict=True)
    )
    weight: NDArray[np.float32] = first * second * third
    return weight


def halo_of(reach_pixels: int, pixel_nm: float, spacing: Spacing) -> tuple[int, int, int]:
    """Voxels beside a box that pixels up to so far from it in any direction lie in."""
    z, y, x = (int(np.ceil(reach_pixels * pixel_nm / s)) + 1 for s in spacing)
    return z, y, x
