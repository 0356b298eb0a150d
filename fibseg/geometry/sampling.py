"""Voxels on planes that lie anyhow: linear for images, the voxel itself for labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.geometry.orientation import Orientation
from fibseg.types import Spacing

Floats = NDArray[np.float64]


def plane_points(
    orientation: Orientation, centre_nm: Floats, *, shape: tuple[int, int], pixel_nm: float,
    offset_nm: float = 0.0,
) -> Floats:
    """Where the pixels of a plane lie, (3, rows, columns), (z, y, x) in nm.

    Parameters
    ----------
    orientation
        How the plane lies.
    centre_nm
        What its middle is, (z, y, x); for an even number of pixels that is between two.
    shape
        Rows and columns.
    pixel_nm
        Side of a pixel.
    offset_nm
        How far along the normal the plane lies from there.
    """
    normal, down, right = orientation.axes
    rows, columns = ((np.arange(n) - (n - 1) / 2) * pixel_nm for n in shape)
    middle = np.asarray(centre_nm, float) + offset_nm * normal
    points: Floats = (
        middle[:, None, None] + down[:, None, None] * rows[:, None]
        + right[:, None, None] * columns
    )
    return points


def sample_linear(image: NDArray[Any], points_nm: Floats, *, spacing: Spacing) -> NDArray[Any]:
    """Image (z, y, x) at points (3, …), float32; mirrored beyond its border.

    Parameters
    ----------
    points_nm
        (z, y, x) from the centre of the first voxel.

    >>> sample_linear(np.arange(8).reshape(2, 2, 2), np.full((3, 1), 5.0), spacing=(10.0,) * 3)
    array([3.5], dtype=float32)
    """
    places = points_nm / np.reshape(spacing, (3, *[1] * (points_nm.ndim - 1)))
    return ndimage.map_coordinates(image, places, np.float32, order=1, mode="mirror")


def sample_labels(labels: NDArray[Any], points_nm: Floats, *, spacing: Spacing) -> NDArray[Any]:
    """Label of the voxel in which each point lies; 0 outside of the volume.

    No label is between two labels, and none is lost: where pixels are no larger than voxels, each
    voxel that a plane crosses well is hit.

    >>> sample_labels(np.array([[[3, 7]]]), np.array([[0.0, 0], [0, 0], [4, 16]]),
    ...               spacing=(10.0,) * 3).tolist()
    [3, 0]
    """
    index = _voxels(points_nm, spacing)
    sizes = np.reshape(labels.shape, (3, *[1] * (points_nm.ndim - 1)))
    z, y, x = np.clip(index, 0, sizes - 1)
    inside = _within(index, labels.shape)
    found: NDArray[Any] = np.where(inside, labels[z, y, x], 0).astype(labels.dtype)
    return found


def within_volume(
    points_nm: Floats, *, shape: Sequence[int], spacing: Spacing
) -> NDArray[np.bool_]:
    """Which points (3, …) lie in a voxel of a volume, (…).

    >>> within_volume(np.array([[0.0, 0], [0, 0], [14, 16]]), shape=(1, 1, 2), spacing=(10.0,) * 3)
    array([ True, False])
    """
    return _within(_voxels(points_nm, spacing), shape)


def _voxels(points_nm: Floats, spacing: Spacing) -> NDArray[np.int64]:
    """Numbers of the voxels that points lie in, (3, …)."""
    places = points_nm / np.reshape(spacing, (3, *[1] * (points_nm.ndim - 1)))
    return np.asarray(np.floor(places + 0.5), np.int64)


def _within(index: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.bool_]:
    sizes = np.reshape(shape, (3, *[1] * (index.ndim - 1)))
    return np.asarray(np.all((index >= 0) & (index < sizes), axis=0), bool)
