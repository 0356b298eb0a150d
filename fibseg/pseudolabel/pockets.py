"""Pockets, found from inside the nucleus: the shell they lie in, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.geometry import reach
from fibseg.pseudolabel.envelope import NORMAL_NM, border_depth
from fibseg.types import Labels, Mask, Spacing, Table

NAMES = ("envelope", "operators")
"""Ways to find pockets."""


@dataclass(frozen=True)
class PocketLimits:
    """Which pockets are kept.

    Attributes
    ----------
    min_volume_nm3, max_volume_nm3
        Of a pocket: 400 to 2000 voxels of 20 nm are 3.2e6 to 16e6 nm³.
    max_distance_nm
        From the surface of the pocket to that of the nucleus mask.
    """

    min_volume_nm3: float = 3.2e6
    max_volume_nm3: float = 16e6
    max_distance_nm: float = 130.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_volume_nm3 <= self.max_volume_nm3:
            raise UsageError(
                f"min_volume_nm3={self.min_volume_nm3:g} and max_volume_nm3="
                f"{self.max_volume_nm3:g} are no range from low to high."
            )
        if not self.max_distance_nm > 0:
            raise UsageError(f"max_distance_nm={self.max_distance_nm:g} has to be above 0.")

    def keep(self, n_voxels: NDArray[Any], distance_nm: NDArray[Any], *, spacing: Spacing) -> Mask:
        """Which pockets stay, (n,), by their sizes and distances."""
        volume = n_voxels * float(np.prod(spacing))
        found: Mask = (
            (volume >= self.min_volume_nm3) & (volume <= self.max_volume_nm3)
            & (distance_nm <= self.max_distance_nm)
        )
        return found


LIMITS = {"envelope": PocketLimits(1.0e6, 16e6, 160.0), "operators": PocketLimits()}
"""Usual ones, by the way that pockets are found: behind a place even a faint one counts."""


@reach(lambda to_nm: to_nm + NORMAL_NM)
def envelope_shell(
    nucleus: NDArray[Any], *, from_nm: float, to_nm: float, spacing: Spacing
) -> Mask:
    """What lies from so deep to so deep inside of the border of a mask; faces are no border.

    Parameters
    ----------
    nucleus
        Anything but 0 is inside; shape (z, y, x).
    from_nm, to_nm
        Depths, from the border to centres of voxels.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the depths are no range from low to high.

    >>> envelope_shell(np.array([[[0, 1, 1, 1, 1]]]), from_nm=10, to_nm=25, spacing=(10, 10, 10))
    array([[[False, False,  True,  True, False]]])
    """
    if not 0 <= from_nm < to_nm:
        raise UsageError(f"depth_nm=[{from_nm:g}, {to_nm:g}] is no range from low to high.")
    depth, _ = border_depth(nucleus, max_nm=to_nm + max(spacing), spacing=spacing)
    found: Mask = (depth >= from_nm) & (depth <= to_nm)
    return found


def nearest_to_border(
    labels: Labels, nucleus: NDArray[Any], *, max_nm: float, spacing: Spacing
) -> Table:
    """How near each object comes to the border of a mask from inside: ``label, distance_nm``.

    From surface to surface: 0 where it touches the border or reaches across; `max_nm` at most.

    Parameters
    ----------
    labels, nucleus
        Shape (z, y, x).
    """
    there = labels > 0
    numbers = np.unique(labels[there])
    if not len(numbers):
        return {"label": numbers.astype(np.int64), "distance_nm": np.zeros(0)}
    depth, half = border_depth(nucleus, max_nm=max_nm + max(spacing), spacing=spacing)
    nearest = np.full(len(numbers), np.inf)
    np.minimum.at(nearest, np.searchsorted(numbers, labels[there]), (depth - half)[there])
    distance = np.clip(nearest, 0, max_nm)
    return {"label": numbers.astype(np.int64), "distance_nm": distance}
