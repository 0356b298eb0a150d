"""One pass over a source before anything is written: range, values, NaN, and a digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.progress import track
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.stream import boxes_in_order

MAX_COUNTED = 256


@dataclass(frozen=True)
class Survey:
    """What a whole source holds.

    Attributes
    ----------
    lowest, highest
        Smallest and largest finite voxel.
    n_bad, first_bad
        Number of NaN and infinite voxels, and the (z, y, x) index of the first one.
    counts
        Voxels per value of an integer source, None if it has more than 256 values or was not
        asked for.
    digest
        sha256 of type and voxels in C order, whatever file format they came from.
    """

    lowest: float
    highest: float
    n_bad: int
    first_bad: tuple[int, ...] | None
    counts: dict[int, int] | None
    digest: str


def survey(source: Source, *, memory_bytes: float, count: bool) -> Survey:
    """Survey of every voxel of `source`, read within `memory_bytes`; `count` the values, or not."""
    # counting needs 8 bytes a voxel besides the voxel and its copy
    voxels = max(1, int(memory_bytes / (source.dtype.itemsize * 2 + 8)))
    boxes = list(boxes_in_order(source.shape, voxels=voxels))
    digest = hashlib.sha256(source.dtype.str.encode())
    lowest, highest, n_bad = np.inf, -np.inf, 0
    first_bad: tuple[int, ...] | None = None
    counts: dict[int, int] | None = {} if count and source.dtype.kind in "iub" else None
    for box in track(boxes, total=len(boxes), label="survey", unit="block"):
        block = source.read(box)
        digest.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
        if block.dtype.kind == "f":
            bad = ~np.isfinite(block)
            if bad.any():
                n_bad += int(bad.sum())
                first = np.unravel_index(int(np.argmax(bad)), bad.shape)
                first_bad = first_bad or tuple(
                    int(a) + b for a, b in zip(first, box.start, strict=True)
                )
                block = block[~bad]
        if block.size:
            lowest = min(lowest, float(block.min()))
            highest = max(highest, float(block.max()))
        counts = _counted(counts, block)
    ordered = None if counts is None else dict(sorted(counts.items()))
    return Survey(lowest, highest, n_bad, first_bad, ordered, digest.hexdigest())


def _counted(counts: dict[int, int] | None, block: NDArray[Any]) -> dict[int, int] | None:
    """`counts` with the values of one more block, None once there are too many."""
    if counts is None:
        return None
    if block.dtype.itemsize == 1 and block.dtype.kind in "bu":
        numbers = np.bincount(block.reshape(-1), minlength=256)
        values = np.flatnonzero(numbers)
        numbers = numbers[values]
    else:
        values, numbers = fastremap.unique(block, return_counts=True)
    for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
        counts[value] = counts.get(value, 0) + number
    return counts if len(counts) <= MAX_COUNTED else None
