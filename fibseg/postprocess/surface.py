"""Surfaces made smooth without making the mask smaller.

This operator is global, since its threshold is one for the whole mask: block by block it is a
composition in `fibseg.pipeline.compositions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import reach
from fibseg.postprocess.filters import TRUNCATE, smooth
from fibseg.types import Mask, Spacing

LEVELS = 2**16
"""Steps of the smoothed mask, 0 to 1, among which the threshold is chosen."""


def smooth_surface(mask: NDArray[Any], *, sigma_nm: float, spacing: Spacing) -> Mask:
    """`mask` with steps and bumps evened out, of the same volume.

    The mask is smoothed by a Gaussian and cut at that threshold at which as many voxels are inside
    as before [1]_. At 0.5, as in plain smoothing, whatever is convex would shrink. The threshold
    is that of all objects together: a small object among large ones still loses some.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    sigma_nm
        Standard deviation in nm; details smaller than that go.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the standard deviation is negative.

    References
    ----------
    .. [1] Ruuth and Wetton, A simple scheme for volume-preserving motion by mean curvature,
       J. Sci. Comput. 19 (2003) 373–384.
    """
    levels = smoothed_levels(mask, sigma_nm=sigma_nm, spacing=spacing)
    histogram = np.bincount(levels.ravel(), minlength=LEVELS)
    level = volume_level(histogram, n_voxels=int(np.count_nonzero(mask)))
    return at_least(levels, level=level)


@reach(lambda sigma_nm: TRUNCATE * sigma_nm)
def smoothed_levels(
    mask: NDArray[Any], *, sigma_nm: float, spacing: Spacing
) -> NDArray[np.uint16]:
    """The mask, smoothed, in steps from 0 to 65535."""
    share = smooth((mask != 0).astype(np.float32), sigma_nm=sigma_nm, spacing=spacing)
    share *= np.float32(LEVELS - 1)
    return np.rint(share, out=share).astype(np.uint16)


def volume_level(histogram: NDArray[np.integer], *, n_voxels: int) -> int:
    """The level from which on there are `n_voxels`, or as nearly so many as there can be.

    >>> volume_level(np.array([9, 0, 3, 2]), n_voxels=2)
    3
    """
    inside = np.append(np.cumsum(histogram[::-1])[::-1], 0)
    return 1 + int(np.argmin(np.abs(inside[1:] - n_voxels)))


@reach(lambda: 0.0)
def at_least(levels: NDArray[Any], *, level: int) -> Mask:
    """Where the level, a whole number, is reached."""
    return np.asarray(levels.astype(np.int64) >= level)
