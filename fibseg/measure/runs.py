"""A label array as runs: maximal rows of voxels along x that bear one label.

Sums over the voxels of a run have closed forms, so what follows costs one step per run instead of
one per voxel: objects are tens of voxels wide.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.types import Image, Labels


@dataclass(frozen=True)
class Runs:
    """Runs of objects, sorted by label, then in C order; one entry per run in every array.

    Attributes
    ----------
    label
        Number of the object, type of the labels.
    z, y, start, stop
        Place in voxels, half-open along x; int64.
    number
        Which of all runs in C order this one is.
    offsets
        Where each run in C order starts among the voxels of all runs.
    """

    label: NDArray[Any]
    z: NDArray[np.int64]
    y: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    number: NDArray[np.intp]
    offsets: NDArray[np.intp]

    @classmethod
    def of(cls, labels: Labels) -> Runs:
        """Runs of an array of shape (z, y, x)."""
        flat = np.ascontiguousarray(labels).ravel()
        new = np.ones(labels.shape, dtype=bool)
        np.not_equal(flat[1:], flat[:-1], out=new.ravel()[1:])
        new[..., :1] = True
        offsets = np.flatnonzero(new)
        length = np.diff(offsets, append=flat.size)
        objects = np.flatnonzero(flat[offsets])
        number = np.argsort(flat[offsets[objects]], kind="stable")
        before = np.cumsum(length[objects]) - length[objects]
        sorted_ = objects[number]
        row, start = np.divmod(offsets[sorted_], max(labels.shape[2], 1))
        z, y = np.divmod(row, max(labels.shape[1], 1))
        return cls(flat[offsets[sorted_]], z, y, start, start + length[sorted_], number, before)

    @functools.cached_property
    def groups(self) -> NDArray[np.intp]:
        """Index of the first run of every label."""
        return first_of_equal(self.label)

    def total(self, values: NDArray[np.int64], how: np.ufunc = np.add) -> NDArray[np.int64]:
        """``how.reduce`` of one value per run for every label."""
        if not len(self.groups):
            return np.zeros(0, dtype=np.int64)
        found: NDArray[np.int64] = how.reduceat(values, self.groups)
        return found

    def of_voxels(self, values: Image, how: np.ufunc) -> NDArray[np.int64]:
        """``how.reduce`` of the voxels in every run; `values` are those of all runs in C order."""
        if not len(self.number):
            return np.zeros(0, dtype=np.int64)
        dtype = np.dtype(np.int64) if how is np.add else values.dtype
        each = how.reduceat(values, self.offsets, dtype=dtype)
        return np.asarray(each[self.number], dtype=np.int64)


def first_of_equal(values: NDArray[Any]) -> NDArray[np.intp]:
    """Index of every value that differs from the one before it.

    >>> first_of_equal(np.array([4, 4, 7, 7, 7, 9])).tolist()
    [0, 2, 5]
    """
    new = np.ones(values.shape, dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return np.flatnonzero(new)
