"""Single painted voxels of a store, for a classifier that learns from a few of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.geometry import Box

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Paint:
    """Voxels of level 0 that somebody painted, in C order.

    Parameters
    ----------
    voxels
        Positions (z, y, x), shape (n, 3).
    values
        Painted values, shape (n,): 1 background, 2 … classes.
    counts
        How many voxels are painted of each value, those included that were left out here.
    """

    voxels: Ints
    values: NDArray[np.uint8]
    counts: Mapping[int, int]


def painted_voxels(
    annotation: Any, *, most: int, runner: Runner | None = None
) -> Paint:
    """At most `most` painted voxels of each value, drawn evenly from all; reads the array once.

    Which ones are drawn depends on their positions alone.

    Parameters
    ----------
    annotation
        Array (z, y, x): 0 is unlabelled and never taken.
    """
    shape = tuple(annotation.shape)
    stored = getattr(annotation, "shards", None) or getattr(annotation, "chunks", None)
    found: _Drawn = reduce_blocks(
        _Draw(shape, most), annotation, _Both(most), block_shape=stored or shape, runner=runner,
        label="painted voxels",
    ) or {}
    index = np.concatenate([drawn.index for drawn in found.values()] or [np.empty(0, np.int64)])
    values = np.repeat(
        np.array(list(found), np.uint8), [len(drawn.index) for drawn in found.values()]
    )
    order = np.argsort(index)
    voxels = np.stack(np.unravel_index(index[order], shape), axis=1).astype(np.int64)
    return Paint(voxels, values[order], {v: drawn.n for v, drawn in sorted(found.items())})


@dataclass(frozen=True)
class _OfValue:
    """Voxels drawn of one value, and how many there are."""

    index: Ints
    n: int


_Drawn = dict[int, _OfValue]


@dataclass(frozen=True)
class _Draw:
    """Block function: voxels drawn from a block, by value."""

    shape: tuple[int, ...]
    most: int

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write

    def __call__(self, annotation: NDArray[Any], *, block: Block) -> _Drawn:
        """Positions in C order of the whole array."""
        found: _Drawn = {}
        for value in np.unique(annotation[annotation != 0]).tolist():
            at = np.nonzero(annotation == value)
            places = tuple(a + start for a, start in zip(at, block.write.start, strict=True))
            index = np.asarray(np.ravel_multi_index(places, self.shape), np.int64)
            found[value] = _OfValue(_lowest(index, self.most), len(index))
        return found


@dataclass(frozen=True)
class _Both:
    """What was drawn from two parts of the volume."""

    most: int

    def __call__(self, left: _Drawn, right: _Drawn) -> _Drawn:
        """Draw again from both."""
        none = _OfValue(np.empty(0, np.int64), 0)
        pairs = {v: (left.get(v, none), right.get(v, none)) for v in sorted({*left, *right})}
        return {
            v: _OfValue(_lowest(np.concatenate([a.index, b.index]), self.most), a.n + b.n)
            for v, (a, b) in pairs.items()
        }


def _lowest(index: Ints, most: int) -> Ints:
    """The `most` positions of lowest hash: a draw that is the same in whatever parts it is made."""
    if len(index) <= most:
        return index
    key = _hash(index)
    return index[np.lexsort((index, key))[:most]]


def _hash(index: Ints) -> NDArray[np.uint64]:
    """Well-mixed number of each position: the finaliser of SplitMix64 (Steele, OOPSLA 2014)."""
    z = index.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))
