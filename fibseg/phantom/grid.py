"""The frame that the phantom is built in: voxels with positions in nm, fields and their slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fibseg.types import Shape, Spacing

Field: TypeAlias = NDArray[Any]
"""One float32 per voxel, shape (z, y, x); a distance in nm is negative inside."""

FAR_NM = np.float32(1000.0)
"""What stands in a distance field where nothing is near."""


@dataclass(frozen=True)
class Grid:
    """Voxels of a volume; voxel i of an axis has its centre at i · spacing nm.

    >>> Grid((4, 8, 8), (20.0, 10.0, 10.0)).extent
    (80.0, 80.0, 80.0)
    """

    shape: Shape
    spacing: Spacing

    @property
    def extent(self) -> tuple[float, float, float]:
        """Edge lengths of the volume in nm."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        return z, y, x

    @property
    def centre(self) -> NDArray[np.float64]:
        """Middle of the volume in nm."""
        return np.asarray((np.array(self.shape) - 1) * np.array(self.spacing) / 2)

    @property
    def voxel_nm3(self) -> float:
        """Volume of a voxel in nm³."""
        return float(np.prod(self.spacing))

    @property
    def scale(self) -> float:
        """1 for a volume that can hold a cell of 3 µm, less for smaller ones: shrinks details."""
        return float(min(1.0, sorted(self.extent)[1] / 3000.0))

    def axes(self, box: tuple[slice, ...] | None = None) -> tuple[Field, Field, Field]:
        """Positions in nm along z, y and x that broadcast against each other."""
        cut = box or tuple(slice(0, n) for n in self.shape)
        z, y, x = (
            (np.arange(c.start, c.stop) * s).astype(np.float32)
            for c, s in zip(cut, self.spacing, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def index(self, points: NDArray[np.float64]) -> tuple[NDArray[np.intp], ...]:
        """Nearest voxels of `points` (n, 3) in nm, clipped into the volume; indexes an array."""
        nearest = np.rint(points / np.array(self.spacing)).astype(np.intp)
        clipped = np.clip(nearest, 0, np.array(self.shape) - 1)
        return tuple(clipped.T)

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of `points` (n, 3) in nm lie in the volume."""
        relative = points / np.array(self.spacing)
        inside = (relative > -0.5) & (relative < np.array(self.shape) - 0.5)
        return np.asarray(inside.all(axis=1))

    def box(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, ...]:
        """Slices of the voxels between two corners in nm, clipped to the volume."""
        start = np.floor(low / np.array(self.spacing)).astype(int)
        stop = np.ceil(high / np.array(self.spacing)).astype(int) + 1
        return tuple(
            slice(int(np.clip(a, 0, n)), int(np.clip(b, 0, n)))
            for a, b, n in zip(start, stop, self.shape, strict=True)
        )


def gradient(field: Field, *, spacing: Spacing) -> list[Field]:
    """Slope of `field` per nm along each axis; zero along an axis of one voxel."""
    return [
        np.gradient(field, s, axis=a).astype(np.float32, copy=False)
        if field.shape[a] > 1
        else np.zeros_like(field)
        for a, s in enumerate(spacing)
    ]


def to_distance(field: Field, *, spacing: Spacing) -> Field:
    """Signed distance in nm to the zero surface of `field`, good near that surface.

    First order (Taubin 1994): the value over the length of the slope.
    """
    slope = gradient(field, spacing=spacing)
    length = np.sqrt(slope[0] ** 2 + slope[1] ** 2 + slope[2] ** 2)
    typical = float(np.median(length))
    return np.asarray(field / np.maximum(length, max(0.2 * typical, 1e-6)), dtype=np.float32)


def soft_min(a: Field, b: Field, *, width: float) -> Field:
    """Smaller of two fields with the kink rounded over `width` (polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (b - a) / width, 0, 1)
    return np.asarray(b + (a - b) * h - width * h * (1 - h), dtype=np.float32)


def soft_max(a: Field, b: Field, *, width: float) -> Field:
    """Larger of two fields with the kink rounded over `width`."""
    return -soft_min(-a, -b, width=width)


def fraction_inside(distance: Field, *, spacing: Spacing) -> Field:
    """Share of each voxel inside a surface, from the signed distance of its centre in nm."""
    width = float(np.mean(spacing))
    return np.asarray(np.clip(0.5 - distance / width, 0, 1))


def sheet(distance: Field, *, at: float = 0.0, sigma: float) -> Field:
    """Bell of height 1 around the surface ``distance == at``: a membrane; nm."""
    scaled = np.clip((distance - at) / sigma, -6, 6)
    return np.asarray(np.exp(-0.5 * scaled * scaled))
