"""One array seen through another, and the opposite of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.geometry import reach


@reach(lambda: 0.0)
def mask_by(array: NDArray[Any], other: NDArray[Any], *, outside: bool = False) -> NDArray[Any]:
    """`array` where `other` is not 0, and 0 elsewhere.

    Parameters
    ----------
    array
        Probabilities or a mask, shape (z, y, x).
    other
        Mask or numbered objects on the same grid, such as the cell.
    outside
        Keep what lies outside of `other` instead.

    Raises
    ------
    DataError
        If the shapes differ.

    >>> mask_by(np.array([5, 6, 7]), np.array([0, 1, 2]))
    array([0, 6, 7])
    """
    require_same_shape(array, other)
    keep = (other == 0) if outside else (other != 0)
    return np.asarray(np.where(keep, array, np.zeros((), dtype=array.dtype)))


@reach(lambda: 0.0)
def invert(array: NDArray[Any]) -> NDArray[Any]:
    """The complement of a mask, of probabilities or of an image: bright becomes dark.

    Parameters
    ----------
    array
        Mask, unsigned integers, whose whole range stands for 0 to 1, or floats from 0 to 1.

    >>> invert(np.array([0, 55, 255], dtype=np.uint8))
    array([255, 200,   0], dtype=uint8)
    """
    if array.dtype == np.bool_:
        return np.asarray(~array)
    if np.issubdtype(array.dtype, np.integer):
        return np.asarray(np.iinfo(array.dtype).max - array, dtype=array.dtype)
    return np.asarray(1 - array, dtype=array.dtype)


def require_same_shape(array: NDArray[Any], other: NDArray[Any]) -> None:
    """Nothing, if both arrays lie on one grid.

    Raises
    ------
    DataError
        If they do not.
    """
    if array.shape != other.shape:
        raise DataError(
            f"arrays of shapes {array.shape} and {other.shape} do not lie on one grid. Give both "
            "at the same resolution."
        )
