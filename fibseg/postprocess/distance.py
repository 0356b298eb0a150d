"""Euclidean distances in nm to a mask, from voxel centre to voxel centre, up to a cap.

A distance beyond the cap is written as the cap. So a voxel never looks farther than that, and what
lies beyond the faces of the volume, which is unknown, is left out of account.
"""

from __future__ import annotations

import math
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.geometry import reach
from fibseg.postprocess.threads import threads
from fibseg.types import Spacing


@reach(lambda max_nm: max_nm)
def distance(mask: NDArray[Any], *, max_nm: float, spacing: Spacing) -> NDArray[np.float32]:
    """Distance in nm (float32) of every voxel to the nearest one of `mask`, 0 inside of it.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    max_nm
        Larger distances are written as this one.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the cap is not a number above 0.
    """
    return _capped(mask == 0, max_nm, spacing)


@reach(lambda max_nm: max_nm)
def signed_distance(mask: NDArray[Any], *, max_nm: float, spacing: Spacing) -> NDArray[np.float32]:
    """Distance in nm (float32) of every voxel to the nearest one of the other side.

    Outside of `mask` it is positive, inside negative, nowhere 0; the distance of ``~mask`` is
    exactly the negative of it. The surface itself lies half a voxel nearer on either side.
    Parameters as of `distance`.

    >>> signed_distance(np.array([[[0, 0, 1, 1]]]), max_nm=15, spacing=(10, 10, 10))
    array([[[ 15.,  10., -10., -15.]]], dtype=float32)

    Raises
    ------
    UsageError
        If the cap is not a number above 0.
    """
    inside = mask != 0
    # For edt these are two objects: it looks from each voxel for the nearest one that is not of
    # its own, on both sides in one pass.
    found = _capped(inside.astype(np.uint8) + np.uint8(1), max_nm, spacing)
    return np.negative(found, out=found, where=inside)


def check_cap(max_nm: float) -> None:
    """Nothing, if a distance can be as long as that.

    Raises
    ------
    UsageError
        If the cap is not a number above 0.
    """
    if not (max_nm > 0 and math.isfinite(max_nm)):
        raise UsageError(f"max_nm={max_nm:g} is no distance to look. Give a number above 0.")


def in_nm(
    squares: NDArray[np.float32], *, max_nm: float, spacing: Spacing
) -> NDArray[np.float32]:
    """Distances in nm up to the cap, of their squares in units of the finest spacing; in place."""
    np.sqrt(squares, out=squares)
    squares *= np.float32(min(spacing))
    return np.minimum(squares, np.float32(max_nm), out=squares)


def _capped(objects: NDArray[Any], max_nm: float, spacing: Spacing) -> NDArray[np.float32]:
    """Distance of every voxel to the nearest one of another value."""
    check_cap(max_nm)
    if not objects.size:
        return np.zeros(objects.shape, dtype=np.float32)
    # In units of the finest spacing, squares are small integers where the spacings are multiples
    # of each other: exact in edt's float32, so that not even the last bit depends on blocks.
    finest = min(spacing)
    # A new array: edt reads the order of the axes from how the array lies in memory.
    found: NDArray[np.float32] = edt.edtsq(
        np.ascontiguousarray(objects), anisotropy=tuple(s / finest for s in spacing),
        black_border=False, parallel=threads(),
    )
    return in_nm(found, max_nm=max_nm, spacing=spacing)
