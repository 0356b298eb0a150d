"""Blocks that tile a volume: what is written, what is read for it, and who may write where.

::

    |---------------------------|     volume
    |rrrr|wwwwww|rrrr|                read box: write box grown by the halo, clipped at the faces
           |rrrr|wwwwww|rrrr|         write boxes tile the volume, one writer per shard
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fibseg.errors import UsageError
from fibseg.geometry import Box


@dataclass(frozen=True)
class Block:
    """One unit of work: number `index` in C order of the grid, its `write` and its `read` box."""

    index: int
    write: Box
    read: Box


@dataclass(frozen=True)
class Grid:
    """Boxes of `block_shape`, clipped at the end of every axis, that tile an array of `shape`.

    >>> grid = Grid((5, 4), (2, 4))
    >>> len(grid), grid.box(2)
    (3, Box(start=(4, 0), stop=(5, 4)))
    """

    shape: tuple[int, ...]
    block_shape: tuple[int, ...]

    @classmethod
    def over(cls, shape: Sequence[int], block_shape: Sequence[int]) -> Grid:
        """Grid over `shape`, refused when `block_shape` does not fit it.

        Raises
        ------
        UsageError
            If the number of axes differs or a block would be empty.
        """
        if len(block_shape) != len(shape) or any(int(b) < 1 for b in block_shape):
            raise UsageError(
                f"block_shape {tuple(block_shape)} does not fit an array of shape {tuple(shape)}. "
                f"Give {len(shape)} whole numbers, each at least 1."
            )
        return cls(tuple(int(s) for s in shape), tuple(int(b) for b in block_shape))

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of blocks along every axis; 0 where the array is empty."""
        return tuple(-(-s // b) for s, b in zip(self.shape, self.block_shape, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def position(self, index: int) -> tuple[int, ...]:
        """Where block `index` sits in the grid, counted in blocks."""
        place = []
        for n in reversed(self.counts):
            index, along = divmod(index, n)
            place.append(along)
        return tuple(reversed(place))

    def index(self, position: Sequence[int]) -> int:
        """Number of the block at `position`; the reverse of `Grid.position`."""
        index = 0
        for along, n in zip(position, self.counts, strict=True):
            index = index * n + along
        return index

    def box(self, index: int) -> Box:
        """Write box of block `index`."""
        start = tuple(
            p * b for p, b in zip(self.position(index), self.block_shape, strict=True)
        )
        stop = tuple(a + b for a, b in zip(start, self.block_shape, strict=True))
        return Box(start, stop).clip(self.shape)

    def blocks(
        self, read_box: Callable[[Box], Box] | None = None, *, without: Container[int] = ()
    ) -> Iterator[Block]:
        """Yield all blocks in C order but those `without`.

        A block reads what it writes, if there is no `read_box`.
        """
        for index in range(len(self)):
            if index not in without:
                write = self.box(index)
                yield Block(index, write, read_box(write) if read_box else write)


def unless_empty(blocks: Iterable[Block]) -> Iterator[Block] | None:
    """The same stream of blocks, or None if there is no block in it: no reason to start workers."""
    stream = iter(blocks)
    for first in stream:
        return chain([first], stream)
    return None


def check_writers(grid: Grid, target: Any) -> None:
    """Refuse a grid in which two blocks would write into one shard of `target`.

    Raises
    ------
    UsageError
        If a block is neither a whole number of shards nor the whole axis.
    """
    shard = getattr(target, "shards", None) or getattr(target, "chunks", None)
    if shard is None:
        return
    name = getattr(target, "path", "") or getattr(target, "name", "") or "the target"
    check_shards(grid, shard, name)


def check_shards(grid: Grid, shard: Sequence[int], name: str) -> None:
    """As `check_writers`, for shards of an array that is not there yet, called `name`."""
    for length, block, unit in zip(grid.shape, grid.block_shape, shard, strict=True):
        if block % unit and block < length:
            fitting = tuple(
                -(-b // u) * u for b, u in zip(grid.block_shape, shard, strict=True)
            )
            raise UsageError(
                f"block_shape {grid.block_shape} is not a multiple of the shard shape "
                f"{tuple(shard)} of {name}. Use e.g. {fitting}."
            )
