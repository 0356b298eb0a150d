"""Numbers of objects: 1 … N, in the C order of their first voxels."""

from __future__ import annotations

from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.types import Labels


def numbered_anew(labels: Labels) -> Labels:
    """The same objects (uint32), numbered 1 … N by their first voxels in C order.

    >>> numbered_anew(np.array([[[0, 7, 7, 3, 7]]]))
    array([[[0, 1, 1, 2, 1]]], dtype=uint32)
    """
    values, first = first_voxels(labels)
    lookup = dict(zip(values.tolist(), ranks(first).tolist(), strict=True)) | {0: 0}
    return np.asarray(fastremap.remap(labels, lookup), dtype=np.uint32)


def first_voxels(labels: Labels) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Numbers in `labels`, ascending, and where in C order each one comes first."""
    if not labels.size:
        return np.zeros(0, dtype=labels.dtype), np.zeros(0, dtype=np.int64)
    values, first = fastremap.unique(np.ascontiguousarray(labels), return_index=True)
    return values[values > 0], first[values > 0].astype(np.int64)


def ranks(first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each object when they are counted from 1 in the order of their first voxels."""
    found = np.empty(len(first), dtype=np.int64)
    found[np.argsort(first)] = np.arange(1, len(first) + 1)
    return found
