"""A threshold that follows its surroundings, for images of uneven brightness."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import rank

from fibseg.errors import UsageError
from fibseg.geometry import reach
from fibseg.types import Mask, Spacing

METHODS = ("mean", "median")


@reach(lambda window_nm: window_nm / 2)
def adaptive_threshold(
    image: NDArray[Any],
    *,
    window_nm: float,
    offset: float = 0.0,
    method: Literal["mean", "median"] = "mean",
    spacing: Spacing,
) -> Mask:
    """Where the image is brighter than its surroundings by more than `offset`.

    The surroundings are a box around the voxel [1]_, reflected at the faces of the volume.

    Parameters
    ----------
    image
        Unsigned integers, whose whole range stands for 0 to 1, or floats; shape (z, y, x).
        Probabilities, or an image: of dark structures, inverted.
    window_nm
        Side of the box, rounded down to an odd number of voxels.
    offset
        In units of the whole range: 0.1 is 25.5 grey values of uint8.
    method
        ``"mean"``, or ``"median"``, which bright neighbours do not raise: fast on uint8 only.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the window is negative or the method unknown.

    References
    ----------
    .. [1] Gonzalez and Woods, Digital image processing, 4th edition, Pearson 2018, section 10.3.

    >>> adaptive_threshold(np.array([[[10, 10, 40, 90, 95, 90]]], dtype=np.uint8), window_nm=30,
    ...                    spacing=(10, 10, 10))
    array([[[False, False, False,  True,  True, False]]])
    """
    if method not in METHODS:
        raise UsageError(f"method={method} is unknown. Use one of {', '.join(METHODS)}.")
    if not (window_nm >= 0 and math.isfinite(window_nm)):
        raise UsageError(f"window_nm={window_nm:g} is no side of a box. Give 0 or more.")
    if image.size == 0:
        return np.zeros(image.shape, dtype=bool)
    half = [math.floor(window_nm / 2 / s * (1 + 1e-9)) for s in spacing]
    whole = np.iinfo(image.dtype).max if np.issubdtype(image.dtype, np.integer) else 1.0
    if method == "median":
        return np.asarray(image > _median(image, half) + offset * whole)
    total, n = _window_sum(image, half), math.prod(2 * h + 1 for h in half)
    # Sums, not means: those of integers are exact, so that equal means equal.
    return np.asarray(image * float(n) > total + offset * whole * n)


def _window_sum(image: NDArray[Any], half: list[int]) -> NDArray[np.float64]:
    """Sum over the box around each voxel; no rounding depends on where the array begins."""
    out = image.astype(np.float64)
    for axis, h in enumerate(half):
        width = 2 * h + 1
        if np.issubdtype(image.dtype, np.integer):
            # A running sum drifts, but a sum of integers is known to be one.
            ndimage.uniform_filter1d(out, width, axis=axis, output=out, mode="reflect")
            out *= width
            np.rint(out, out=out)
        else:
            out = ndimage.correlate1d(out, np.ones(width), axis=axis, mode="reflect")
    return out


def _median(image: NDArray[Any], half: list[int]) -> NDArray[np.float64]:
    """Median of the box around each voxel."""
    if image.dtype != np.uint8:
        found = ndimage.median_filter(image, [2 * h + 1 for h in half], mode="reflect")
        return np.asarray(found, dtype=np.float64)
    # A histogram that moves along; on uint8 it is many times faster than sorting.
    around = np.pad(image, [(h, h) for h in half], mode="symmetric")
    found = rank.median(around, np.ones([2 * h + 1 for h in half], dtype=np.uint8))
    inner = tuple(slice(h, h + n) for h, n in zip(half, image.shape, strict=True))
    return np.asarray(found[inner], dtype=np.float64)
