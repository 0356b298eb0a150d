"""One pass over the voxels of an array: its digest, its histogram, its largest value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from fibseg.volume.layout import BLOCK, watched

PERCENTS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 25.0, 50.0, 75.0, 95.0, 98.0, 99.0, 99.5, 99.9, 100.0)


@dataclass(frozen=True)
class Survey:
    """What one pass over an array finds."""

    digest: str
    maximum: int
    histogram: NDArray[np.int64] | None


def survey(array: zarr.Array[Any], *, histogram: bool = False, label: str = "digest") -> Survey:
    """Digest and maximum of `array`, and its histogram over all values of uint8 or uint16.

    The digest covers shape, type and voxels in fixed blocks of (64, 512, 512), hence neither
    the order of writing nor chunks, compression or format version change it.
    """
    header = json.dumps([list(array.shape), array.dtype.name])
    total = hashlib.sha256(header.encode())
    counts = np.zeros(np.iinfo(array.dtype).max + 1, dtype=np.int64) if histogram else None
    maximum = 0
    for box in watched(array.shape, BLOCK, label=label):
        voxels = np.ascontiguousarray(array[box.slices])
        total.update(hashlib.sha256(voxels.data).digest())
        if counts is not None:
            for plane in voxels:  # bincount makes int64 of what it gets: a plane at a time
                counts += np.bincount(plane.ravel(), minlength=len(counts))
        if voxels.size:
            maximum = max(maximum, int(voxels.max()))
    return Survey(total.hexdigest(), maximum, counts)


def percentiles(histogram: NDArray[np.int64]) -> dict[str, float]:
    """Percentiles of the voxels behind a full histogram, e.g. ``{"p0.5": 12.0, …}``.

    The same numbers as `numpy.percentile` (linear) of the voxels themselves.
    """
    upto = np.cumsum(histogram)
    last = int(upto[-1]) - 1

    def ordered(rank: int) -> float:
        return float(np.searchsorted(upto, rank, side="right"))

    found = {}
    for percent in PERCENTS:
        position = percent / 100 * last
        below = int(position)
        low, high = ordered(below), ordered(min(below + 1, last))
        found[f"p{percent:g}"] = low + (high - low) * (position - below)
    return found
