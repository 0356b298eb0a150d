"""Sizes of objects: volumes in µm³ as whole numbers of voxels."""

from __future__ import annotations

import math

from fibseg.errors import UsageError
from fibseg.types import Spacing

NM3_PER_UM3 = 1e9
_ROUNDING = 1e-9


def fewest_voxels(
    *, min_voxels: int | None, min_volume_um3: float | None, spacing: Spacing
) -> int:
    """Number of voxels that an object must have to be at least so large; 0 without a limit.

    >>> fewest_voxels(min_voxels=None, min_volume_um3=0.001, spacing=(20, 10, 10))
    500

    Raises
    ------
    UsageError
        If both limits are given, or one is negative.
    """
    if min_voxels is not None and min_volume_um3 is not None:
        raise UsageError(
            f"min_voxels={min_voxels} and min_volume_um3={min_volume_um3} both say how small an "
            "object may be. Set one of them to null."
        )
    limit = min_voxels if min_volume_um3 is None else _in_voxels(min_volume_um3, spacing)
    if limit is not None and limit < 0:
        raise UsageError(f"the smallest size of an object is {limit:g} voxels. Give 0 or more.")
    return math.ceil((limit or 0) * (1 - _ROUNDING))


def most_voxels(*, max_volume_um3: float | None, spacing: Spacing) -> int | None:
    """Number of voxels that something may have to be no larger; None without a limit.

    Raises
    ------
    UsageError
        If the limit is negative.
    """
    if max_volume_um3 is None:
        return None
    if max_volume_um3 < 0:
        raise UsageError(f"max_volume_um3={max_volume_um3:g} is negative. Give 0 or more.")
    return math.floor(_in_voxels(max_volume_um3, spacing) * (1 + _ROUNDING))


def _in_voxels(volume_um3: float, spacing: Spacing) -> float:
    return volume_um3 * NM3_PER_UM3 / math.prod(spacing)
