"""Numbered objects that grow by a distance in nm: the nearest one takes a voxel."""

from __future__ import annotations

import functools
import math
from fractions import Fraction
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError, UsageError
from fibseg.geometry import reach
from fibseg.postprocess.masking import require_same_shape
from fibseg.types import Labels, Mask, Spacing

_LABEL_BITS = 24
_FAR = 1 << 38
"""Squared distances are below it, so that two of them and a label fit 64 bits."""
_DENOMINATOR = 1000
_ROUNDING = 1e-9


@reach(lambda distance_nm: distance_nm)
def grow_regions(
    labels: Labels,
    within: NDArray[Any] | None = None,
    image: NDArray[Any] | None = None,
    *,
    distance_nm: float,
    low: float | None = None,
    high: float | None = None,
    spacing: Spacing,
) -> Labels:
    """`labels` with every object grown by up to `distance_nm`, along straight lines.

    A voxel goes to the object with the nearest voxel, of several equally near ones to that of the
    smallest number. Distances run from voxel centre to voxel centre; their squares are compared
    as integers, so that equal means equal.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none; shape (z, y, x).
    within
        Objects grow only where this is not 0; it does not bar the way. None: everywhere.
    image
        Intensities on the same grid, for `low` and `high`.
    distance_nm
        How far they grow; 0 changes nothing.
    low, high
        Objects grow only where the image is at least `low` and at most `high`, in its own units;
        it does not bar the way either. None: no limit.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the distance is negative, `low` is above `high`, or there is no image for them.
    DataError
        If the arrays differ in shape, or hold more than 16 million objects.

    >>> grow_regions(np.array([[[0, 7, 0, 0, 0, 5]]]), distance_nm=20, spacing=(10, 10, 10))
    array([[[7, 7, 7, 5, 5, 5]]])
    """
    if distance_nm < 0:
        raise UsageError(f"distance_nm={distance_nm:g} is negative. Give 0 or more.")
    barred = _barred(labels, within, image, low, high)
    ids = fastremap.unique(labels) if labels.size else np.zeros(0, dtype=labels.dtype)
    ids = np.concatenate([np.zeros(1, dtype=labels.dtype), ids[ids > 0]])
    if distance_nm == 0 or len(ids) == 1:
        return labels.copy()
    weights, limit = _integer_weights(distance_nm, spacing)
    keys = _keys(labels, ids)
    for axis, outer in ((2, 0), (1, 0), (0, 1)):
        for plane in np.moveaxis(keys, (outer, axis), (0, 1)):
            _spread(plane, weights[axis], limit)
    near = keys >> np.uint64(_LABEL_BITS) <= np.uint64(limit)
    keys &= np.uint64((1 << _LABEL_BITS) - 1)
    grown = np.where(near, ids[keys], labels)
    if barred is not None:
        grown[barred & (labels == 0)] = 0
    return grown


def _barred(
    labels: Labels, within: NDArray[Any] | None, image: NDArray[Any] | None, low: float | None,
    high: float | None,
) -> Mask | None:
    """Where objects may not grow; None if they may everywhere."""
    if (low is None and high is None) != (image is None):
        raise UsageError(
            f"image={'none' if image is None else 'given'} goes with low={low} and high={high}. "
            "Give an image and at least one of its limits, or none of them."
        )
    if low is not None and high is not None and low > high:
        raise UsageError(f"low={low:g} is above high={high:g}. Give the smaller one as low.")
    for array in (within, image):
        if array is not None:
            require_same_shape(labels, array)
    allowed = [] if within is None else [within != 0]
    if image is not None and low is not None:
        allowed.append(image >= low)
    if image is not None and high is not None:
        allowed.append(image <= high)
    return ~functools.reduce(np.logical_and, allowed) if allowed else None


def _integer_weights(distance_nm: float, spacing: Spacing) -> tuple[list[int], int]:
    """Squared spacing per axis and squared distance in one unit, as integers.

    They are exact unless the spacings stand in no simple ratio and the distance is hundreds of
    voxels; then squared distances are right to a millionth.
    """
    finest = min(spacing)
    squares = [Fraction(s / finest).limit_denominator(_DENOMINATOR) ** 2 for s in spacing]
    common = math.lcm(*(square.denominator for square in squares))
    weights = [int(square * common) for square in squares]
    unit = math.gcd(*weights)
    limit = (distance_nm / finest) ** 2 * (1 + _ROUNDING) * common / unit
    coarser = max(1, math.ceil(limit / (_FAR - 1)))
    weights = [round(weight / (unit * coarser)) for weight in weights]
    if not min(weights):
        raise UsageError(f"distance_nm={distance_nm:g} is too far to grow. Give less.")
    return weights, math.floor(limit / coarser)


def _keys(labels: Labels, ids: NDArray[Any]) -> NDArray[np.uint64]:
    """Squared distance above the rank of the label: the smaller key is nearer, or else smaller."""
    if len(ids) > 1 << _LABEL_BITS:
        raise DataError(f"{len(ids) - 1} objects in one block are too many. Use smaller blocks.")
    ranks = np.arange(len(ids), dtype=np.uint64)
    ranks[0] = np.uint64(_FAR << _LABEL_BITS)
    lookup = dict(zip(ids.tolist(), ranks.tolist(), strict=True))
    return np.asarray(
        fastremap.remap(labels.astype(np.uint64, order="C"), lookup, in_place=True),
        dtype=np.uint64,
    )


def _spread(plane: NDArray[np.uint64], weight: int, limit: int) -> None:
    """The least of all keys along the first axis, each farther by the squared way; in place."""
    if int(plane.min()) >> _LABEL_BITS > limit:
        return
    start = plane.copy(order="K")
    for step in range(1, min(math.isqrt(limit // weight), len(plane) - 1) + 1):
        moved = start + np.uint64(step * step * weight << _LABEL_BITS)
        np.minimum(plane[step:], moved[:-step], out=plane[step:])
        np.minimum(plane[:-step], moved[step:], out=plane[:-step])
