"""Filters of probabilities: smoothing and the threshold that makes a mask."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.errors import UsageError
from fibseg.geometry import halo_voxels, reach
from fibseg.types import Mask, Probs, Spacing

TRUNCATE = 3.0
"""The Gaussian ends after so many standard deviations."""


@reach(lambda: 0.0)
def threshold(probs: NDArray[Any], *, level: float) -> Mask:
    """Where the probability is at least `level`.

    Parameters
    ----------
    probs
        Unsigned integers, whose whole range stands for 0 to 1 (uint8: 0 to 255), or floats.
    level
        Probability, above 0 and at most 1. At more than 0.5, masks of two classes of one model
        never overlap.

    Raises
    ------
    UsageError
        If the level is no probability.

    >>> threshold(np.array([127, 128], dtype=np.uint8), level=0.5)
    array([False,  True])
    """
    if not 0 < level <= 1:
        raise UsageError(f"level={level:g} is no probability. Give a number in (0, 1].")
    if np.issubdtype(probs.dtype, np.integer):
        least = math.ceil(level * np.iinfo(probs.dtype).max - 1e-9)
        return np.asarray(probs >= least)
    return np.asarray(probs >= level)


@reach(lambda sigma_nm: TRUNCATE * sigma_nm)
def smooth(probs: NDArray[Any], *, sigma_nm: float, spacing: Spacing) -> Probs:
    """Probabilities (float32, 0 to 1) averaged with a Gaussian; evens out single planes.

    Parameters
    ----------
    probs
        Unsigned integers, whose whole range stands for 0 to 1, or floats; shape (z, y, x).
    sigma_nm
        Standard deviation in nm; beyond the faces of the volume its outermost voxels count on.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    if sigma_nm < 0:
        raise UsageError(f"sigma_nm={sigma_nm:g} is negative. Give 0 or more.")
    whole = np.iinfo(probs.dtype).max if np.issubdtype(probs.dtype, np.integer) else 1
    scaled = probs.astype(np.float32) / np.float32(whole)
    if probs.size == 0:
        return scaled
    return np.asarray(
        ndimage.gaussian_filter(
            scaled, [sigma_nm / s for s in spacing], mode="nearest",
            radius=halo_voxels(TRUNCATE * sigma_nm, spacing),
        )
    )
