"""A few dabs of the brush on known truth, as for a classifier that learns while one paints."""

from __future__ import annotations

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.phantom.painting import BACKGROUND, FIRST_CLASS
from fibseg.types import Mask, Spacing

DAB = 10
"""Voxels of a dab."""

NEAR_NM = (10.0, 60.0)
"""Every other dab lies so far from the border: where it matters, but not on the line itself."""


def dabbed_annotation(
    mask: Mask, *, n_voxels: int = 200, seed: int = 0, spacing: Spacing
) -> NDArray[np.uint8]:
    """Annotation (z, y, x) uint8: 0 unlabelled, 1 background, 2 inside, `n_voxels` painted in all.

    Dabs of 10 voxels on planes anywhere, background and inside in turn, every other one along
    the border. There are fewer where `mask` or its background has no room for them.

    Parameters
    ----------
    mask
        Truth, shape (z, y, x).
    n_voxels
        Painted voxels wanted.
    seed
        The same seed gives the same painting.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If `n_voxels` is negative.
    """
    if n_voxels < 0:
        raise UsageError(f"n_voxels={n_voxels} is negative. Use e.g. 200.")
    rng = np.random.default_rng(seed)
    out = np.zeros(mask.shape, np.uint8)
    sides = {BACKGROUND: ~mask, FIRST_CLASS: mask}
    away = {
        value: edt.edt(
            np.ascontiguousarray(side), anisotropy=spacing, black_border=False, parallel=1
        )
        for value, side in sides.items()
    }
    for number, left in enumerate(range(n_voxels, 0, -DAB)):
        value = (BACKGROUND, FIRST_CLASS)[number % 2]
        distance = away[value]
        near = (distance >= NEAR_NM[0]) & (distance <= NEAR_NM[1])
        zone = near if number % 4 < 2 and near.any() else distance > 0
        _dab(out, zone, value, min(DAB, left), rng)
    return out


def _dab(
    out: NDArray[np.uint8], zone: Mask, value: int, n: int, rng: np.random.Generator
) -> None:
    """Paint `n` voxels of a plane of `zone` that lie together; in place."""
    free = zone & (out == 0)
    planes = np.flatnonzero(free.any(axis=(1, 2)))
    if not len(planes):
        return
    z = int(rng.choice(planes))
    spots = np.argwhere(free[z])
    middle = spots[rng.integers(len(spots))]
    nearest = np.argsort(((spots - middle) ** 2).sum(axis=1), kind="stable")[:n]
    out[z][tuple(spots[nearest].T)] = value
