"""Orthographic views of a volume: rays from every pixel, and the part that is cut away."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.types import Mask, Shape, Spacing

Vectors = NDArray[np.float64]
"""Points or directions in µm, shape (n, 3), (z, y, x); the first voxel's centre lies at 0."""

_MARGIN = 0.02
_FARTHEST = 1e30


@dataclass(frozen=True)
class Camera:
    """From where a volume is seen, and how large.

    At `turn_deg` 0 and `tilt_deg` 0 one looks at the first plane: x to the right, y downwards, z
    away.

    Parameters
    ----------
    turn_deg
        By how much the volume is turned about its y axis: what was in front goes to the right.
    tilt_deg
        By how much it is then tilted towards the viewer: one sees it from above.
    size_px
        Pixels of the longer side of the picture.
    supersampling
        Rays per pixel along each side; their mean is drawn.
    """

    turn_deg: float = -32.0
    tilt_deg: float = 24.0
    size_px: int = 640
    supersampling: int = 2

    def __post_init__(self) -> None:
        if self.size_px < 1 or self.supersampling < 1:
            raise UsageError(
                f"size_px={self.size_px} with supersampling={self.supersampling} is no picture. "
                "Give at least 1 for both, e.g. 640 and 2."
            )

    @property
    def axes(self) -> NDArray[np.float64]:
        """Unit vectors to the right, downwards and away from the viewer, (3, 3), (z, y, x).

        >>> Camera(turn_deg=0, tilt_deg=0).axes.tolist()
        [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
        """
        turn, tilt = np.deg2rad([self.turn_deg, self.tilt_deg])
        right = np.array([-np.sin(turn), 0.0, np.cos(turn)])
        away = np.array([np.cos(turn), 0.0, np.sin(turn)])
        down = np.array([0.0, 1.0, 0.0])
        return np.stack([
            right + 0.0, np.cos(tilt) * down + np.sin(tilt) * -away,
            np.cos(tilt) * away + np.sin(tilt) * down,
        ])  # fmt: skip


@dataclass(frozen=True)
class Wedge:
    """Part of space that is cut away: in front of all of its planes.

    Parameters
    ----------
    point_um
        Where the planes meet, (z, y, x), from the centre of the first voxel.
    normals
        Vectors (z, y, x) to the side that is cut away, one for each plane: one plane opens a
        cell, two take a quarter out of it.
    """

    point_um: tuple[float, float, float]
    normals: tuple[tuple[float, float, float], ...]

    @property
    def units(self) -> NDArray[np.float64]:
        """The normals, of length 1, shape (n, 3)."""
        normals = np.array(self.normals, float).reshape(-1, 3)
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


@dataclass(frozen=True)
class Rays:
    """Parallel rays, one for each sample of a picture, row by row.

    Attributes
    ----------
    origins_um
        Where each starts, (n, 3), (z, y, x).
    axes
        Unit vectors to the right, downwards and along the rays, (3, 3), (z, y, x).
    shape
        Rows and columns of samples.
    um_per_sample
        Distance of neighbouring rays.
    """

    origins_um: Vectors
    axes: NDArray[np.float64]
    shape: tuple[int, int]
    um_per_sample: float

    @property
    def away(self) -> NDArray[np.float64]:
        """The direction of all rays, (3,)."""
        return np.asarray(self.axes[2])


def rays(camera: Camera, around_um: Vectors) -> Rays:
    """Rays whose picture just holds all points `around_um`, (n, 3)."""
    seen = around_um @ camera.axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    extent = high - low
    pad = _MARGIN * extent[:2].max()
    pixel = (extent[:2].max() + 2 * pad) / camera.size_px
    columns, rows = np.maximum(np.ceil((extent[:2] + 2 * pad) / pixel - 1e-9).astype(int), 1)
    step = pixel / camera.supersampling
    n_rows, n_columns = int(rows) * camera.supersampling, int(columns) * camera.supersampling
    middle = (low + high) / 2
    across = middle[0] + step * (np.arange(n_columns) - (n_columns - 1) / 2)
    along = middle[1] + step * (np.arange(n_rows) - (n_rows - 1) / 2)
    down, right = (a.ravel() for a in np.meshgrid(along, across, indexing="ij"))
    start = np.stack([right, down, np.full(right.size, low[2])], axis=1)
    return Rays(start @ camera.axes, camera.axes, (n_rows, n_columns), float(step))


def outermost(mask: Mask, *, spacing: Spacing) -> Vectors:
    """Corners of voxels that no other voxel of the mask lies outside of, in any direction.

    The first and the last along every line, so more than need be; of an empty mask, the corners of
    the volume.
    """
    lines = mask.any(axis=2)
    z, y = np.nonzero(lines)
    ends = [np.argmax(mask, axis=2), mask.shape[2] - 1 - np.argmax(mask[..., ::-1], axis=2)]
    voxels = np.concatenate([np.stack([z, y, x[lines]], axis=1) for x in ends]).astype(float)
    if not len(voxels):
        voxels = np.array(list(itertools.product(*((0, n - 1) for n in mask.shape))), float)
    shifts = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    return np.concatenate([voxels + shift for shift in shifts]) * (np.array(spacing) * 1e-3)


def through_box(
    bundle: Rays, *, shape: Shape, spacing: Spacing
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far along each ray it enters and leaves the volume, in µm; enters behind where it misses.

    The volume reaches half a voxel beyond the centres of its outermost voxels.
    """
    um = np.array(spacing) * 1e-3
    enter = np.full(len(bundle.origins_um), -_FARTHEST)
    leave = np.full(len(bundle.origins_um), _FARTHEST)
    for axis in range(3):
        first, last = (
            side - bundle.origins_um[:, axis]
            for side in (-um[axis] / 2, (shape[axis] - 0.5) * um[axis])
        )
        _narrow(enter, leave, first, last, float(bundle.away[axis]))
    return enter, leave


def through_wedge(
    bundle: Rays, wedge: Wedge
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far along each ray it enters and leaves what is cut away, in µm."""
    enter = np.full(len(bundle.origins_um), -_FARTHEST)
    leave = np.full(len(bundle.origins_um), _FARTHEST)
    for normal in wedge.units:
        behind = (np.array(wedge.point_um) - bundle.origins_um) @ normal
        unlimited = np.full(behind.shape, _FARTHEST)
        _narrow(enter, leave, behind, unlimited, float(bundle.away @ normal))
    return enter, leave


def _narrow(
    enter: NDArray[np.float64], leave: NDArray[np.float64], first: NDArray[np.float64],
    last: NDArray[np.float64], speed: float,
) -> None:
    """Keep of each ray what lies between two parallel planes, `first` and `last` ahead of it."""
    if abs(speed) < 1e-12:
        outside = (first > 0) | (last < 0)
        enter[outside], leave[outside] = _FARTHEST, -_FARTHEST
        return
    at_first, at_last = first / speed, last / speed
    np.maximum(enter, np.minimum(at_first, at_last), out=enter)
    np.minimum(leave, np.maximum(at_first, at_last), out=leave)
