"""Sums over the voxels of every object that depend on which neighbours belong to it, too.

A block is looked at slab by slab. In the flat array of a slab with its margin a step is one
offset, so that comparing every voxel with the one a step away is one pass over memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure.runs import first_of_equal
from fibseg.types import Labels, Table

SLAB_VOXELS = 2**21
"""So many voxels are compared in one go."""
Beyond = Literal["edge", "constant"]
"""What lies beyond the volume: the last plane again, or nothing."""


@dataclass(frozen=True)
class Slab:
    """Some planes of a block, flat in C order, with a margin all around.

    Attributes
    ----------
    flat
        Labels with their margins, less the lowest, in a type as small as they allow.
    shape
        (z, y, x) with the margins.
    margin
        Its width along each axis, in voxels.
    """

    flat: NDArray[Any]
    shape: tuple[int, ...]
    margin: tuple[int, ...]

    @property
    def span(self) -> slice:
        """From the first to the last voxel that is no margin; margins of rows lie between."""
        first = int(np.ravel_multi_index(self.margin, self.shape))
        return slice(first, self.flat.size - first)

    def differs(self, step: Sequence[int], out: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each voxel of `span` and the one a `step` (z, y, x) away differ, into `out`."""
        offset = (step[0] * self.shape[1] + step[1]) * self.shape[2] + step[2]
        here = self.span
        there = slice(here.start + offset, here.stop + offset)
        np.not_equal(self.flat[here], self.flat[there], out=out)
        return out


def slab_sums(
    labels: Labels,
    values: Callable[[Slab], NDArray[Any]],
    name: str,
    *,
    inside: Box,
    margin: Sequence[int],
    beyond: Beyond,
) -> Table:
    """``label`` and the sum `name` (int64) over the voxels of every object, where it is not 0.

    Parameters
    ----------
    labels
        Numbered objects of a block and of what is around it, shape (z, y, x), 0 = none.
    values
        Whole numbers for the voxels of `Slab.span`; where all neighbours are equal, they are 0.
    name
        Column to write.
    inside
        The block itself, in voxels of `labels`: its voxels are summed.
    margin
        How many voxels around a voxel `values` looks at, along each axis.
    beyond
        What lies there where `labels` ends, which it does at the faces of the volume.
    """
    found = [{"label": np.zeros(0, labels.dtype), name: np.zeros(0, np.int64)}]
    planes = max(1, SLAB_VOXELS // max(1, inside.shape[1] * inside.shape[2]))
    for z in range(inside.start[0], inside.stop[0], planes):
        stop = min(z + planes, inside.stop[0])
        box = Box((z, *inside.start[1:]), (stop, *inside.stop[1:]))
        near = _with_margin(labels, box, margin, beyond)
        lowest, highest = near.min(), near.max()
        if lowest != highest:
            narrow = (near - lowest).astype(np.min_scalar_type(int(highest) - int(lowest)))
            slab = Slab(narrow.ravel(), narrow.shape, tuple(margin))
            label, sums = _by_label(slab, values(slab))
            found.append({"label": label.astype(labels.dtype) + lowest, name: sums})
    merged = added(found)
    return {column: merged[column][merged["label"] != 0] for column in merged}


def added(tables: Sequence[Table]) -> Table:
    """All rows of one label made one, sorted by label; every other column is added."""
    label = np.concatenate([table["label"] for table in tables])
    order = np.argsort(label, kind="stable")
    starts = first_of_equal(label[order])
    merged: Table = {"label": label[order][starts]}
    for name in tables[0]:
        if name != "label":
            values = np.concatenate([table[name] for table in tables])[order]
            merged[name] = np.add.reduceat(values, starts) if len(starts) else values
    return merged


def of_labels(sums: Table, name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Column `name` for each of `labels`, 0 where there is no row."""
    found = np.zeros(len(labels), dtype=np.int64)
    row = np.searchsorted(sums["label"], labels)
    there = np.isin(labels, sums["label"])
    found[there] = sums[name][row[there]]
    return found


def _with_margin(
    labels: Labels, box: Box, margin: Sequence[int], beyond: Beyond
) -> NDArray[Any]:
    wide = box.grow(margin)
    near = wide.clip(labels.shape)
    if near == wide:
        return labels[near.slices]
    missing = [
        (n - w, v - m)
        for w, n, m, v in zip(wide.start, near.start, near.stop, wide.stop, strict=True)
    ]
    return np.pad(labels[near.slices], missing, mode=beyond)


def _by_label(
    slab: Slab, values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Which labels have values other than 0, less the lowest, and their sums."""
    whole = np.zeros(slab.shape, dtype=values.dtype)
    whole.ravel()[slab.span] = values
    inner = tuple(slice(m, n - m) for m, n in zip(slab.margin, slab.shape, strict=True))
    flat = whole[inner].ravel()
    where = np.flatnonzero(flat != 0)
    label, weight = slab.flat.reshape(slab.shape)[inner].ravel()[where], flat[where]
    names = None
    if slab.flat.dtype.itemsize > 2:  # as many bins as numbers would be too many
        names, label = np.unique(label, return_inverse=True)
    # Sums of whole numbers below 2⁵³ are exact in float64.
    sums = np.bincount(label, weights=weight).astype(np.int64)
    rows = np.flatnonzero(sums)
    return (rows if names is None else names[rows]), sums[rows]
