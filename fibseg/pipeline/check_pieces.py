"""Painted pieces of every plane, counted block by block: what crosses seams is one piece.

Of a piece that reaches a block which has not been looked at yet the pixels there are kept: its rim.
When that block comes, pieces whose rims touch are one; what has no rim is finished, and counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph

from fibseg.blocks import Block, Grid
from fibseg.geometry import connected
from fibseg.pipeline.bench import OwnBox

SPECK_PIXELS = 4
AROUND = [step for step in itertools.product((-1, 0, 1), repeat=2) if step != (0, 0)]
AHEAD = [step for step in AROUND if step > (0, 0)]
"""Steps (y, x) to the 8 neighbours of a pixel, and to those of them that come later."""


@dataclass(frozen=True)
class Tally:
    """Number of pieces, and how many of them have less than 4 pixels."""

    n: int = 0
    specks: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.n + other.n, self.specks + other.specks)


@dataclass(frozen=True)
class Paint:
    """What the blocks `first` to `last` of a grid hold; ``+`` joins it with the blocks after them.

    Attributes
    ----------
    voxels
        Of every painted plane: painted voxels per value 0 to 255, so none of value 0.
    pieces
        Finished pieces by plane and value.
    open_pieces
        One row (z, value, pixels) for each piece that may go on in other blocks.
    rims
        One row (z, y, x, row of `open_pieces`) for each pixel of them beside such a block.
    """

    grid: Grid
    first: int
    last: int
    voxels: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)
    pieces: Mapping[tuple[int, int], Tally] = field(default_factory=dict)
    open_pieces: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    rims: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))

    def __add__(self, other: Paint) -> Paint:
        shift = np.array([0, 0, 0, len(self.open_pieces)])
        both = Paint(
            self.grid, self.first, other.last, _sum(self.voxels, other.voxels),
            _sum(self.pieces, other.pieces), np.concatenate([self.open_pieces, other.open_pieces]),
            np.concatenate([self.rims, other.rims + shift]),
        )
        return both.settled() if len(both.rims) else both

    def settled(self) -> Paint:
        """The same with touching open pieces joined, and with those that are finished counted."""
        n = len(self.open_pieces)
        pairs = self._touching()
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
        n_joined, joined = csgraph.connected_components(graph, directed=False)
        table = np.zeros((n_joined, 3), np.int64)
        table[joined, :2] = self.open_pieces[:, :2]
        np.add.at(table[:, 2], joined, self.open_pieces[:, 2])
        rims = np.column_stack([self.rims[:, :3], joined[self.rims[:, 3]]])[self._facing()]
        still = np.zeros(n_joined, bool)
        still[rims[:, 3]] = True
        rims[:, 3] = (np.cumsum(still) - 1)[rims[:, 3]]
        pieces = _sum(self.pieces, _counted(table[~still]))
        return Paint(self.grid, self.first, self.last, self.voxels, pieces, table[still], rims)

    def _touching(self) -> NDArray[np.int64]:
        """Pairs of open pieces of one value, in one plane, that are neighbours somewhere."""
        _, height, width = self.grid.shape
        z, y, x, piece = self.rims[np.lexsort(self.rims[:, 2::-1].T)].T
        place = (z * height + y) * width + x
        value = self.open_pieces[piece, 1]
        pairs = [np.zeros((0, 2), np.int64)]
        for dy, dx in AHEAD:
            inside = (y + dy < height) & (x + dx >= 0) & (x + dx < width)
            wanted = place + dy * width + dx
            found = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
            hit = inside & (place[found] == wanted) & (value[found] == value)
            pairs.append(np.stack([piece[hit], piece[found[hit]]], axis=1))
        return np.concatenate(pairs)

    def _facing(self) -> NDArray[np.bool_]:
        """Which pixels of the rims lie beside a block that is not among these."""
        _, height, width = self.grid.shape
        deep, high, wide = self.grid.block_shape
        _, n_y, n_x = self.grid.counts
        z, y, x = self.rims[:, :3].T
        facing = np.zeros(len(z), bool)
        for dy, dx in AROUND:
            to_y, to_x = y + dy, x + dx
            inside = (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
            block = (z // deep * n_y + to_y // high) * n_x + to_x // wide
            facing |= inside & ((block < self.first) | (block > self.last))
        return facing


@dataclass(frozen=True)
class PaintBlock(OwnBox):
    """Block function: paint in a block of an annotation, pieces of the values `counted`."""

    grid: Grid
    counted: Collection[int]

    def __call__(self, painted: NDArray[np.uint8], *, block: Block) -> Paint:
        """Voxels and 8-connected pieces of every plane."""
        planes = np.flatnonzero(painted.any(axis=(1, 2)))
        start = block.write.start
        voxels = {
            start[0] + int(k): np.bincount(painted[k][painted[k] > 0], minlength=256)
            for k in planes
        }
        tables, rims, n = [np.zeros((0, 3), np.int64)], [np.zeros((0, 4), np.int64)], 0
        for k in planes:
            table, rim = _pieces_of(painted[k], self.counted)
            tables.append(np.column_stack([np.full(len(table), start[0] + k), table]))
            y, x, piece = rim.T
            rims.append(np.column_stack([
                np.full(len(rim), start[0] + k), start[1] + y, start[2] + x, n + piece
            ]))
            n += len(table)
        found = Paint(
            self.grid, block.index, block.index, voxels, {}, np.concatenate(tables),
            np.concatenate(rims),
        )
        return found.settled() if n else found


def _pieces_of(
    plane: NDArray[np.uint8], counted: Collection[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (value, pixels) of its pieces, and rows (y, x, piece) of their pixels at its edges."""
    values = np.where(np.isin(plane, list(counted)), plane, 0)
    labels, n = connected(values, connectivity=8)
    value = np.zeros(n + 1, np.int64)
    value[labels] = values
    table = np.stack([value, np.bincount(labels.ravel(), minlength=n + 1)], axis=1)[1:]
    edge = np.zeros(plane.shape, bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    y, x = np.nonzero(edge & (labels > 0))
    return table, np.stack([y, x, labels[y, x].astype(np.int64) - 1], axis=1)


def _counted(table: NDArray[np.int64]) -> dict[tuple[int, int], Tally]:
    """Rows (z, value, pixels) of finished pieces as numbers by plane and value."""
    found: dict[tuple[int, int], Tally] = {}
    for z, value, pixels in table.tolist():
        found[z, value] = found.get((z, value), Tally()) + Tally(1, int(pixels < SPECK_PIXELS))
    return found


def _sum(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> dict[Any, Any]:
    """Values of both, added where both have the key."""
    return {**left, **{key: left[key] + n if key in left else n for key, n in right.items()}}
