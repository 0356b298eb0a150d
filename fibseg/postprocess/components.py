"""Objects as a whole: connected components, small ones removed, enclosed holes filled.

These operators are global: here they work on one array, block by block they are compositions of
the engine's verbs in `fibseg.pipeline.compositions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import connected
from fibseg.postprocess.size import fewest_voxels, most_voxels
from fibseg.types import Labels, Mask, Spacing


def components(
    mask: NDArray[Any],
    *,
    connectivity: int = 26,
    min_volume_um3: float | None = None,
    min_voxels: int | None = None,
    spacing: Spacing,
) -> Labels:
    """Connected components (uint32), numbered 1 … N by their first voxel in C order.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    connectivity
        6, 18 or 26 neighbours.
    min_volume_um3, min_voxels
        Smaller components are left out; one of them or none.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If both limits are given, or one is negative.
    """
    least = fewest_voxels(
        min_voxels=min_voxels, min_volume_um3=min_volume_um3, spacing=spacing
    )
    labels, counts = _label(mask != 0, connectivity)
    keep = counts >= least
    keep[0] = False
    ids = np.where(keep, np.cumsum(keep), 0).astype(np.uint32)
    return np.asarray(ids[labels])


def remove_small(
    mask: NDArray[Any],
    *,
    min_volume_um3: float | None = None,
    min_voxels: int | None = None,
    connectivity: int = 26,
    spacing: Spacing,
) -> Mask:
    """`mask` without its connected components that are too small; parameters of `components`."""
    labels = components(
        mask, connectivity=connectivity, min_volume_um3=min_volume_um3, min_voxels=min_voxels,
        spacing=spacing,
    )
    return labels > 0


def fill_holes(
    mask: NDArray[Any],
    *,
    max_volume_um3: float | None = None,
    connectivity: int = 6,
    spacing: Spacing,
) -> Mask:
    """`mask` with its holes filled: background that no path leads out of, to a face of the volume.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    max_volume_um3
        Larger holes stay open; None fills all.
    connectivity
        Of the background; 6 goes with objects of 26 neighbours.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the limit is negative.
    """
    most = most_voxels(max_volume_um3=max_volume_um3, spacing=spacing)
    inside = mask != 0
    labels, counts = _label(~inside, connectivity)
    hole = np.ones(len(counts), dtype=bool) if most is None else counts <= most
    hole[0] = False
    for axis in range(labels.ndim if labels.size else 0):
        for face in (0, -1):
            hole[np.unique(np.take(labels, face, axis=axis))] = False
    return np.asarray(inside | hole[labels])


def _label(mask: Mask, connectivity: int) -> tuple[Labels, NDArray[np.int64]]:
    """Components in the order of their first voxels, and the voxel count of every number."""
    labels, n = connected(mask, connectivity=connectivity)
    return labels, np.bincount(labels.ravel(), minlength=n + 1)
