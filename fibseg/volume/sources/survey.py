"""What is in a source, learnt in one pass before anything is written: range, values, NaN, digest.

Every block of whole rows gives a `Part`; parts add up, in any order and however they are cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.volume.intensity import no_counts, tally

MAX_COUNTED = 256
_MODULUS = 1 << 256


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
        SHA-256 of type, shape and voxels, whatever file format they came from; see `Part.finish`.
    histogram
        Voxels per value of uint8 or uint16, None for other types or if it was not asked for.
    """

    lowest: float
    highest: float
    n_bad: int
    first_bad: tuple[int, ...] | None
    counts: dict[int, int] | None
    digest: str
    histogram: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Part:
    """What one block of whole rows holds; ``+`` joins blocks, see `Survey` for the words.

    Attributes
    ----------
    rows
        Sum of the SHA-256 of all rows, each with its place, modulo 2²⁵⁶.
    """

    rows: int
    lowest: float
    highest: float
    n_bad: int
    first_bad: tuple[int, ...] | None
    counts: dict[int, int] | None
    histogram: NDArray[np.int64] | None

    def __add__(self, other: Part) -> Part:
        bad = [part.first_bad for part in (self, other) if part.first_bad is not None]
        sums = self.histogram, other.histogram
        return Part(
            (self.rows + other.rows) % _MODULUS,
            min(self.lowest, other.lowest), max(self.highest, other.highest),
            self.n_bad + other.n_bad, min(bad, default=None), _joined(self.counts, other.counts),
            None if sums[0] is None or sums[1] is None else sums[0] + sums[1],
        )

    def finish(self, shape: Sequence[int], dtype: np.dtype[Any]) -> Survey:
        """Survey of a source of `shape` and `dtype` of which this is everything.

        Its digest is the SHA-256 of type, shape and the sum `rows`. A sum of hashes, unlike the
        hash of one long stream, does not depend on how the rows were shared out among blocks
        (Bellare & Micciancio, EUROCRYPT 1997, who call it AdHash).
        """
        header = json.dumps([dtype.str, list(shape)]).encode()
        digest = hashlib.sha256(header + self.rows.to_bytes(32, "big")).hexdigest()
        counts = None if self.counts is None else dict(sorted(self.counts.items()))
        return Survey(
            self.lowest, self.highest, self.n_bad, self.first_bad, counts, digest, self.histogram
        )


def part_of(
    block: NDArray[Any], start: Sequence[int], *, count: bool, histogram: bool
) -> Part:
    """What a block holds, of whole rows, whose first voxel is (z, y, 0) = `start`.

    Parameters
    ----------
    count, histogram
        Whether `Survey.counts` and `Survey.histogram` are asked for.
    """
    rows = hash_rows(block, start)
    sums = no_counts(block.dtype) if histogram else None
    if sums is not None:
        tally(sums, block)
    n_bad, first_bad = 0, None
    if block.dtype.kind == "f":
        bad = ~np.isfinite(block)
        if bad.any():
            n_bad = int(bad.sum())
            first = np.unravel_index(int(np.argmax(bad)), bad.shape)
            first_bad = tuple(int(a) + b for a, b in zip(first, start, strict=True))
            block = block[~bad]
    ends = (float(block.min()), float(block.max())) if block.size else (np.inf, -np.inf)
    counts = _counted(block) if count and block.dtype.kind in "iub" else None
    return Part(rows, *ends, n_bad, first_bad, counts, sums)


def hash_rows(block: NDArray[Any], start: Sequence[int]) -> int:
    """Sum of the SHA-256 of the rows of a block, each with its place (z, y), modulo 2²⁵⁶."""
    total = 0
    for z, plane in enumerate(block, start=start[0]):
        lines = np.ascontiguousarray(plane).view(np.uint8)
        for y, line in enumerate(lines, start=start[1]):
            found = hashlib.sha256(b"%d,%d:" % (z, y))
            found.update(line.data)
            total += int.from_bytes(found.digest(), "big")
    return total % _MODULUS


def _counted(block: NDArray[Any]) -> dict[int, int] | None:
    """Voxels per value, None if there are too many values."""
    if block.dtype.itemsize == 1 and block.dtype.kind in "bu":
        numbers = np.bincount(block.reshape(-1), minlength=256)
        values = np.flatnonzero(numbers)
        numbers = numbers[values]
    else:
        values, numbers = fastremap.unique(block, return_counts=True)
    if len(values) > MAX_COUNTED:
        return None
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def _joined(
    left: dict[int, int] | None, right: dict[int, int] | None
) -> dict[int, int] | None:
    if left is None or right is None:
        return None
    both = {value: left.get(value, 0) + right.get(value, 0) for value in left | right}
    return both if len(both) <= MAX_COUNTED else None
