"""Principal axes of objects, from exact integer moments."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from fibseg.measure import wide
from fibseg.types import Spacing, Table

AXES = "zyx"
PAIRS = tuple(f"{a}{b}" for a, b in itertools.combinations_with_replacement(AXES, 2))
"""The six second moments: zz, zy, zx, yy, yx, xx."""
_EQUAL = 1e-9


def covariances(sums: Table, *, spacing: Spacing) -> NDArray[np.float64]:
    """Covariance of the places of all points of each object in nm², shape (n, 3, 3).

    A voxel is a box, not a point: its own variance, a twelfth of its squared size, is included.

    Parameters
    ----------
    sums
        Moments as `fibseg.measure.regions.partial` gives them.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    n = sums["n_voxels"].astype(object)
    found = np.zeros((len(n), 3, 3))
    for pair in PAIRS:
        a, b = (AXES.index(axis) for axis in pair)
        # In Python integers: both products pass 64 bits, and their difference is small.
        first = sums[f"sum_{pair[0]}"].astype(object) * sums[f"sum_{pair[1]}"]
        exact = (n * wide.joined(f"sum_{pair}", sums) - first) / (n * n)
        found[:, a, b] = found[:, b, a] = exact.astype(np.float64) * spacing[a] * spacing[b]
    return found + np.diag(np.square(spacing) / 12)


def axis_lengths(sums: Table, *, spacing: Spacing) -> Table:
    """``axis_major_um``, ``axis_middle_um`` and ``axis_minor_um`` of each object.

    They are the full axes 2 √(5 λ) of the solid ellipsoid whose covariance has the same
    eigenvalues λ.

    >>> sums = {"n_voxels": np.array([1]), **{f"sum_{a}": np.array([4]) for a in AXES}}
    >>> for pair in PAIRS:
    ...     sums |= wide.split(f"sum_{pair}", np.array([16]))
    >>> axis_lengths(sums, spacing=(3000.0, 1000.0, 1000.0))["axis_major_um"].round(3)
    array([3.873])
    """
    variances = np.linalg.eigvalsh(covariances(sums, spacing=spacing))
    lengths = 2 * np.sqrt(5 * np.clip(variances, 0, None)) * 1e-3
    return {
        "axis_major_um": lengths[:, 2], "axis_middle_um": lengths[:, 1],
        "axis_minor_um": lengths[:, 0],
    }


def axis_directions(sums: Table, *, spacing: Spacing) -> Table:
    """``axis_major_z``, ``axis_major_y``, ``axis_major_x``: where the longest axis points.

    A vector of length 1, without a unit; of it and its opposite the one whose largest component is
    positive. NaN where the two longest axes are equal, as those of a single cubic voxel.
    """
    variances, axes = np.linalg.eigh(covariances(sums, spacing=spacing))
    major = axes[:, :, 2]
    largest = np.take_along_axis(major, np.abs(major).argmax(axis=1)[:, None], axis=1)
    major = major * np.where(largest < 0, -1.0, 1.0)
    major[variances[:, 2] - variances[:, 1] <= _EQUAL * variances[:, 2]] = np.nan
    return {f"axis_major_{name}": major[:, i] for i, name in enumerate(AXES)}
