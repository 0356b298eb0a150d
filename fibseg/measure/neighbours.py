"""Sums over the voxels of every object that depend on which neighbours belong to it, too.

A block is looked at in tiles that fit the cache. Within a tile objects are numbered anew, so that
one byte is enough for most, and in its flat array a step is one offset: comparing every voxel with
the one a step away is one fast pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure.runs import first_of_equal
from fibseg.types import Labels, Table

TILE_VOXELS = 2**19
"""So many voxels are compared in one go."""
_TILE_ROWS = 64
_TABLE = 2**22
"""Below this number labels are looked up; above it they are sorted."""
Beyond = Literal["edge", "constant"]
"""What lies beyond the volume: the last plane again, or nothing."""


@dataclass(frozen=True)
class Tile:
    """Objects of a box, flat in C order, with a margin all around.

    Attributes
    ----------
    codes
        Numbers of objects within the tile, margins included; 0 = none.
    shape
        (z, y, x) with the margins.
    margin
        Its width along each axis, in voxels.
    volume
        What of the tile lies in the volume, in voxels of the tile.
    """

    codes: NDArray[Any]
    shape: tuple[int, ...]
    margin: tuple[int, ...]
    volume: Box

    @property
    def span(self) -> slice:
        """From the first to the last voxel of the box itself; margins of rows lie between."""
        first = int(np.ravel_multi_index(self.margin, self.shape))
        return slice(first, self.codes.size - first)

    @property
    def own(self) -> NDArray[Any]:
        """Codes of the voxels of `span`, 0 in margins."""
        inner = tuple(slice(m, n - m) for m, n in zip(self.margin, self.shape, strict=True))
        own = np.zeros(self.shape, self.codes.dtype)
        own[inner] = self.codes.reshape(self.shape)[inner]
        return own.ravel()[self.span]

    def offset(self, step: Sequence[int]) -> int:
        """How far a `step` (z, y, x) goes in `codes`."""
        return (step[0] * self.shape[1] + step[1]) * self.shape[2] + step[2]

    def at_faces(self, reach: Sequence[int]) -> NDArray[np.intp]:
        """Voxels of objects in `span`, as of `own`, from which `reach` goes beyond the volume."""
        ends = zip(self.volume.start, self.volume.stop, self.shape, reach, strict=True)
        inner = tuple(
            slice(low + far if low else 0, high - far if high < n else n)
            for low, high, n, far in ends
        )
        near = np.ones(self.shape, bool)
        near[inner] = False
        return np.flatnonzero(near.ravel()[self.span] & (self.own != 0))

    def differs(self, step: Sequence[int], out: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether each voxel of `span` and the one a `step` (z, y, x) away differ, into `out`."""
        here, offset = self.span, self.offset(step)
        there = slice(here.start + offset, here.stop + offset)
        np.not_equal(self.codes[here], self.codes[there], out=out)
        return out


@dataclass(frozen=True)
class Rule:
    """What every voxel of an object contributes.

    Attributes
    ----------
    column
        Name of the sum.
    values
        From a tile to the voxels of `Tile.own` that contribute and their whole numbers.
    margin
        How far it looks along each axis, in voxels.
    beyond
        What it takes to lie beyond the volume.
    """

    column: str
    values: Callable[[Tile], tuple[NDArray[np.intp], NDArray[Any]]]
    margin: tuple[int, int, int]
    beyond: Beyond


def neighbour_sums(labels: Labels, rules: Sequence[Rule], *, inside: Box) -> Table:
    """``label`` and the column of each rule (int64), without objects of which all are 0.

    Parameters
    ----------
    labels
        Numbered objects of a block and of what is around it, as far as the rules look and the
        volume goes; shape (z, y, x), 0 = none.
    rules
        What to sum.
    inside
        The block itself, in voxels of `labels`: its voxels contribute.
    """
    margin = tuple(max(rule.margin[axis] for rule in rules) for axis in range(3))
    nothing = np.zeros(0, dtype=np.int64)
    found = [{"label": nothing.astype(labels.dtype)} | {rule.column: nothing for rule in rules}]
    for box in _boxes(inside):
        near = box.grow(margin).clip(labels.shape)
        names, codes = _renumbered(labels[near.slices])
        if len(names) == 1:
            continue
        sums: Table = {"label": names}
        for rule in rules:
            tile = _with_margin(codes, near, box.grow(margin), margin, rule.beyond)
            where, values = rule.values(tile)
            # Sums of whole numbers below 2⁵³ are exact in float64.
            total = np.bincount(tile.own[where], weights=values, minlength=len(names))
            sums[rule.column] = total.astype(np.int64)
        rows = np.any([sums[rule.column] != 0 for rule in rules], axis=0)
        found.append({column: values[rows] for column, values in sums.items()})
    return added(found)


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


def of_labels(sums: Table, column: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    """`column` for each of `labels`, 0 where there is no row."""
    found = np.zeros(len(labels), dtype=np.int64)
    row = np.searchsorted(sums["label"], labels)
    there = np.isin(labels, sums["label"])
    found[there] = sums[column][row[there]]
    return found


def _boxes(inside: Box) -> Iterator[Box]:
    if not inside.size:
        return
    rows = min(_TILE_ROWS, inside.shape[1])
    planes = max(1, TILE_VOXELS // (rows * inside.shape[2]))
    for z in range(inside.start[0], inside.stop[0], planes):
        for y in range(inside.start[1], inside.stop[1], rows):
            box = Box((z, y, inside.start[2]), (z + planes, y + rows, inside.stop[2]))
            yield box.intersect(inside)


def _renumbered(labels: Labels) -> tuple[NDArray[Any], NDArray[Any]]:
    """All labels, sorted, 0 always the first; and which of them each voxel has, same shape."""
    flat = labels.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    names, codes = _unique(flat[starts])
    each = np.repeat(codes, np.diff(starts, append=flat.size))
    return names, each.reshape(labels.shape)


def _unique(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Sorted different values, 0 always among them, and the place of each value."""
    highest = int(values.max())
    if highest < _TABLE and values.min() >= 0:
        there = np.zeros(highest + 1, dtype=bool)
        there[0] = there[values] = True
        names = np.flatnonzero(there).astype(values.dtype)
        place = np.zeros(highest + 1, np.min_scalar_type(len(names)))
        place[names] = np.arange(len(names))
        return names, place[values]
    names, codes = np.unique(np.append(values, values.dtype.type(0)), return_inverse=True)
    return names, codes[:-1].astype(np.min_scalar_type(len(names)))


def _with_margin(
    codes: NDArray[Any], near: Box, wide: Box, margin: tuple[int, ...], beyond: Beyond
) -> Tile:
    """Tile of the codes in `near`, which ends where the volume does, made as large as `wide`."""
    volume = near.relative_to(wide)
    if near != wide:
        missing = [
            (n - w, v - m)
            for w, n, m, v in zip(wide.start, near.start, near.stop, wide.stop, strict=True)
        ]
        codes = np.pad(codes, missing, mode=beyond)
    return Tile(codes.ravel(), codes.shape, margin, volume)
