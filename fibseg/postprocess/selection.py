"""Which connected components of a mask stay: those with a sure voxel, or the largest ones.

These operators are global: here they work on one array, block by block they are compositions of
the engine's verbs in `fibseg.pipeline.compositions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.geometry import connected
from fibseg.postprocess.filters import threshold
from fibseg.types import Mask


def hysteresis_threshold(
    probs: NDArray[Any], *, low: float, high: float, connectivity: int = 26
) -> Mask:
    """Components of ``probs >= low`` that hold a voxel of ``probs >= high``.

    Faint ends of an object stay, faint specks go [1]_.

    Parameters
    ----------
    probs
        Unsigned integers, whose whole range stands for 0 to 1, or floats; shape (z, y, x).
    low, high
        Probabilities, above 0 and at most 1.
    connectivity
        6, 18 or 26 neighbours.

    Raises
    ------
    UsageError
        If a level is no probability, or `low` is above `high`.

    References
    ----------
    .. [1] Canny, A computational approach to edge detection, IEEE TPAMI 8 (1986) 679–698.

    >>> hysteresis_threshold(np.array([[[0.6, 0.9, 0.2, 0.6]]]), low=0.5, high=0.8)
    array([[[ True,  True, False, False]]])
    """
    sure = sure_voxels(probs, low=low, high=high)
    labels, n = connected(threshold(probs, level=low), connectivity=connectivity)
    stays = np.zeros(n + 1, dtype=bool)
    stays[labels[sure]] = True
    return np.asarray(stays[labels])


def keep_largest(mask: NDArray[Any], *, n: int = 1, connectivity: int = 26) -> Mask:
    """The `n` largest components of `mask`; of equal ones that which comes first in C order.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    n
        How many stay, at least 1.
    connectivity
        6, 18 or 26 neighbours.

    Raises
    ------
    UsageError
        If none is to stay.
    """
    labels, _ = connected(mask, connectivity=connectivity)
    return np.asarray(are_largest(np.bincount(labels.ravel(), minlength=1), n=n)[labels])


def sure_voxels(probs: NDArray[Any], *, low: float, high: float) -> Mask:
    """``probs >= high``, refused where `low` is above it."""
    if low > high:
        raise UsageError(
            f"low={low:g} is above high={high:g}. Give the level of faint voxels as low."
        )
    return threshold(probs, level=high)


def are_largest(n_voxels: NDArray[np.int64], *, n: int) -> NDArray[np.bool_]:
    """Whether each number is one of the `n` of the most voxels; 0, the background, never is.

    >>> are_largest(np.array([99, 2, 5, 5, 7]), n=2)
    array([False, False,  True, False,  True])
    """
    if n < 1:
        raise UsageError(f"n={n} components would leave nothing. Give 1 or more.")
    found = np.zeros(len(n_voxels), dtype=bool)
    found[1 + np.argsort(-n_voxels[1:], kind="stable")[:n]] = True
    return found
