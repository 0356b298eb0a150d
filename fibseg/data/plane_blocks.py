"""Blocks of painted planes: how much is labelled, which block to hold out, what is too near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fibseg.data.planes import PlaneStack
from fibseg.data.sparse import SparseData


def labelled_counts(annotation: NDArray[np.uint8], values: list[int]) -> NDArray[np.int64]:
    """Labelled pixels per plane and value.

    Parameters
    ----------
    annotation
        Shape (n, y, x).
    values
        Those that are counted.
    """
    full = [np.bincount(p.ravel(), minlength=256)[values] for p in annotation]
    return np.array(full, np.int64).reshape(-1, len(values))


def best_block(
    counts: NDArray[np.int64], data: SparseData, groups: Sequence[int]
) -> list[int]:
    """Rows of the block to hold out, empty if no block leaves every class in both parts.

    With a fold the block is that part; else, of all blocks of about 1 / folds of the planes, the
    one whose share of every class is nearest to 1 / folds, and the earliest of those. Planes
    without a label are no part of any block.

    Parameters
    ----------
    counts
        As from `labelled_counts`, shape (n, values).
    data
        Settings `folds` and `fold`.
    groups
        Number of the store of each row.
    """
    alive = np.flatnonzero(counts.any(1))
    if data.fold is not None:
        parts = np.array_split(np.arange(len(counts)), min(data.folds, len(counts)))
        rows = parts[data.fold] if data.fold < len(parts) else np.zeros(0, np.int64)
        block = np.intersect1d(rows, alive).tolist()
        return block if 0 < len(block) < len(alive) else []
    counts = counts[alive]
    n, total = len(counts), counts.sum(0)
    size = max(1, round(n / data.folds))
    best: tuple[float, list[int]] = (np.inf, [])
    for start in range(n - size + 1):
        block = list(range(start, start + size))
        test = counts[block].sum(0)
        painted = total > 0
        if n <= size or (test[painted] == 0).any() or (test[painted] == total[painted]).any():
            continue
        off = np.abs(np.log(test[painted] / total[painted] * data.folds)).sum()
        # Blocks inside the volume lose a training plane to the gap on both sides.
        inside = 0.01 * (start > 0 and start + size < n and len(set(groups)) == 1)
        best = min(best, (round(float(off + inside), 9), block))
    return alive[best[1]].tolist() if best[1] else []


def near_planes(
    stacks: Sequence[PlaneStack], held: Sequence[tuple[int, int]], gap_nm: float, context: int
) -> list[tuple[int, int]]:
    """Planes (store, row) too near to a held-out one to be trained on.

    Parameters
    ----------
    stacks
        All stores.
    held
        The held-out planes.
    gap_nm
        Planes nearer than this.
    context
        Neighbouring planes that are channels: they widen the gap.
    """
    near = []
    for store, stack in enumerate(stacks):
        test = [stack.z[r] for s, r in held if s == store]
        reach = max(gap_nm / stack.spacing[0], 2 * context)
        near += [
            (store, r) for r, z in enumerate(stack.z)
            if (store, r) not in held and any(abs(z - t) <= reach - 1e-9 for t in test)
        ]
    return near
