"""Morphology of masks with a true ball in nm: exact offsets or Euclidean distances.

What lies beyond the faces of the volume is unknown and left out of account: a dilation takes
nothing from there, an erosion is not eaten from there. Hence a closing only ever adds voxels, an
opening only removes some, also at the faces, and block by block as well as whole.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.geometry import reach
from fibseg.postprocess.threads import threads
from fibseg.types import Mask, Spacing

ROWS_AT_MOST = 220
"""A quarter of a ball in rows of voxels; a larger ball is faster by distances."""
_ROUNDING = 1e-9


@reach(lambda radius_nm: radius_nm)
def dilation(mask: NDArray[Any], *, radius_nm: float, spacing: Spacing) -> Mask:
    """Voxels whose centre is at most `radius_nm` from the centre of a voxel of `mask`."""
    return _near(mask != 0, radius_nm, spacing)


@reach(lambda radius_nm: radius_nm)
def erosion(mask: NDArray[Any], *, radius_nm: float, spacing: Spacing) -> Mask:
    """Voxels of `mask` that are more than `radius_nm` from every voxel outside of it."""
    return ~_near(mask == 0, radius_nm, spacing)


@reach(lambda radius_nm: 2 * radius_nm)
def closing(mask: NDArray[Any], *, radius_nm: float, spacing: Spacing) -> Mask:
    """`mask` with all gaps filled that a ball of `radius_nm` does not fit into.

    Parameters
    ----------
    mask
        Anything but 0 is inside; shape (z, y, x).
    radius_nm
        Radius of the ball in nm; 0 changes nothing.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the radius is negative.
    """
    return erosion(
        dilation(mask, radius_nm=radius_nm, spacing=spacing),
        radius_nm=radius_nm, spacing=spacing,
    )


@reach(lambda radius_nm: 2 * radius_nm)
def opening(mask: NDArray[Any], *, radius_nm: float, spacing: Spacing) -> Mask:
    """`mask` without the parts that a ball of `radius_nm` does not fit into; as `closing`."""
    return dilation(
        erosion(mask, radius_nm=radius_nm, spacing=spacing),
        radius_nm=radius_nm, spacing=spacing,
    )


def _near(mask: Mask, radius_nm: float, spacing: Spacing) -> Mask:
    if radius_nm < 0:
        raise UsageError(f"radius_nm={radius_nm:g} is negative. Give 0 or more.")
    if radius_nm == 0 or not mask.any() or mask.all():
        return mask.copy()
    widths = row_widths(radius_nm, tuple(float(s) for s in spacing))
    if len(widths) <= ROWS_AT_MOST:
        return spread(mask, widths, np.logical_or)
    # A new array: edt reads the order of the axes from how the array lies in memory.
    outside = np.ascontiguousarray(~mask)
    squared = edt.edtsq(outside, anisotropy=spacing, black_border=False, parallel=threads())
    return np.asarray(squared < _between(radius_nm, tuple(float(s) for s in spacing)))


def spread(
    image: NDArray[Any], widths: dict[tuple[int, int], int], join: np.ufunc
) -> NDArray[Any]:
    """What `join` makes of all values in a ball, given as rows, around each voxel.

    The image is widened along x, moved along z and y, and joined.
    """
    out, wide, width = image.copy(order="C"), image.copy(order="C"), 0
    for (z, y), needed in sorted(widths.items(), key=lambda item: item[1]):
        while width < needed:
            width += 1
            for step in (-width, width):
                _join(wide, image, (0, 0, step), join)
        for step_z, step_y in {(z, y), (z, -y), (-z, y), (-z, -y)}:
            _join(out, wide, (step_z, step_y, 0), join)
    return out


def _join(
    out: NDArray[Any], image: NDArray[Any], step: tuple[int, int, int], join: np.ufunc
) -> None:
    """Join `image`, moved by `step`, to `out`; in place."""
    to = tuple(slice(max(0, d), n + min(0, d)) for d, n in zip(step, out.shape, strict=True))
    of = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(step, out.shape, strict=True))
    if all(abs(d) < n for d, n in zip(step, out.shape, strict=True)):
        join(out[to], image[of], out=out[to])


@functools.lru_cache(maxsize=64)
def row_widths(radius_nm: float, spacing: Spacing) -> dict[tuple[int, int], int]:
    """The ball as rows of voxels: offset (z, y), both not negative, to half its width along x."""
    square = radius_nm**2 * (1 + _ROUNDING)
    z, y, x = spacing
    offsets = itertools.product(
        range(math.floor(radius_nm / z) + 2), range(math.floor(radius_nm / y) + 2)
    )
    plane = {(kz, ky): (kz * z) ** 2 + (ky * y) ** 2 for kz, ky in offsets}
    return {
        place: next(k for k in itertools.count() if d + ((k + 1) * x) ** 2 > square)
        for place, d in plane.items() if d <= square
    }


@functools.lru_cache(maxsize=64)
def _between(radius_nm: float, spacing: Spacing) -> float:
    """Squared distance between the last offset of voxels inside the ball and the first outside.

    edt works in float32: compared with the radius itself, a voxel right on the ball would fall in
    or out by rounding.
    """
    square = radius_nm**2 * (1 + _ROUNDING)
    z, y, x = spacing
    kz, ky = np.meshgrid(
        np.arange(math.floor(radius_nm / z) + 2.0), np.arange(math.floor(radius_nm / y) + 2.0)
    )
    plane = (kz * z) ** 2 + (ky * y) ** 2
    kx = np.floor(np.sqrt(np.maximum(square - plane, 0)) / x)
    # One step around the estimate, since the root is rounded too.
    found = np.stack([plane + ((kx + step).clip(0) * x) ** 2 for step in (-1, 0, 1, 2)])
    inside = found[found <= square].max()
    return float((inside + found[found > square].min()) / 2)
