"""Histograms of intensities, which add over boxes, and percentiles from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 25.0, 50.0, 75.0, 95.0, 98.0, 99.0, 99.5, 99.9, 100.0)


def no_counts(dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Histogram over all values of an unsigned `dtype` before the first voxel."""
    return np.zeros(np.iinfo(dtype).max + 1, dtype=np.int64)


def tally(counts: NDArray[np.int64], voxels: NDArray[Any]) -> None:
    """Add `voxels` to a histogram."""
    for plane in voxels:  # bincount makes int64 of what it gets: a plane at a time
        counts += np.bincount(plane.ravel(), minlength=len(counts))


def percentiles(histogram: NDArray[np.int64]) -> dict[str, float]:
    """Percentiles of the voxels behind a full histogram, e.g. ``{"p0.5": 12.0, …}``.

    The same numbers as `numpy.percentile` (linear) of the voxels themselves.
    """
    upto = np.cumsum(histogram)
    last = int(upto[-1]) - 1

    def ordered(rank: int) -> float:
        """Intensity at that rank, from 0."""
        return float(np.searchsorted(upto, rank, side="right"))

    found = {}
    for percent in PERCENTS:
        position = percent / 100 * last
        below = int(position)
        low, high = ordered(below), ordered(min(below + 1, last))
        found[f"p{percent:g}"] = low + (high - low) * (position - below)
    return found
