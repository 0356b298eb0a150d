"""One pass over the voxels of an array: facts of its boxes, and its histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from fibseg.volume.digests import Records, box_facts, note, to_records, total
from fibseg.volume.layout import BLOCK, boxes, watched

PERCENTS = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 25.0, 50.0, 75.0, 95.0, 98.0, 99.0, 99.5, 99.9, 100.0)


@dataclass(frozen=True)
class Survey:
    """What is known of an array: its digest, the records of its boxes, perhaps its histogram."""

    digest: str
    records: Records
    histogram: NDArray[np.int64] | None

    @property
    def maximum(self) -> int:
        """Largest value in the array."""
        return int(self.records["maximum"].max(initial=0))


def survey(
    array: zarr.Array[Any], *, known: Records | None = None, histogram: bool = False,
    label: str = "digest",
) -> Survey:
    """Digest and maximum of `array`, and its histogram over all values of uint8 or uint16.

    Boxes that `known` has facts of are read only for a histogram.
    """
    records = to_records((), array.shape) if known is None else known.copy()
    todo = [
        box for index, box in enumerate(boxes(array.shape, BLOCK))
        if histogram or not records["digest"][index].any()
    ]
    counts = no_counts(array.dtype) if histogram else None
    for box in watched(todo, label=label):
        voxels = np.asarray(array[box.slices])
        note(records, box_facts(voxels, box, array.shape))
        if counts is not None:
            tally(counts, voxels)
    return Survey(total(array.shape, array.dtype, records["digest"]), records, counts)


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
