"""What a step over blocks is told, and the arrays that lie between two steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fibseg.blocks import Block, Runner
from fibseg.geometry import Box
from fibseg.types import Spacing

Array: TypeAlias = Any


@dataclass(frozen=True)
class Sheet:
    """An array to write, the journal of its blocks, and a folder for what the engine keeps."""

    array: Array
    journal: Path | None
    folder: Path


class Bench(Protocol):
    """Where a chain of operators keeps its intermediate arrays until it is finished."""

    def sheet(self, name: str, *, dtype: DTypeLike, inputs: str) -> Sheet:
        """Array called `name`; the same one again after a crash if `inputs` are the same."""
        ...


@dataclass(frozen=True)
class Work:
    """What every step of a chain is told; `arrays` are others on the same grid, by name."""

    bench: Bench
    block_shape: Sequence[int]
    runner: Runner
    spacing: Spacing
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Voxelwise:
    """Arrays seen through a function of single voxels; nothing is stored."""

    array: Array
    fn: Callable[..., NDArray[Any]]
    others: tuple[Array, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what the function gives."""
        return result_type(self.fn, self.array, *self.others)

    def __getitem__(self, box: Any) -> NDArray[Any]:
        return np.asarray(self.fn(*(np.asarray(a[box]) for a in (self.array, *self.others))))


class OwnBox:
    """What a block function reads when it needs nothing beyond what it writes."""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write


@dataclass(frozen=True)
class LookedUp(OwnBox):
    """Block function: every number replaced by its entry in the table, a file of NumPy."""

    table: Path

    def __call__(self, labels: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """Entries of the table, which is only read where it is needed."""
        return np.asarray(np.load(self.table, mmap_mode="r")[labels])


@dataclass(frozen=True)
class Chosen:
    """Function of single voxels: numbers, and 0 for those that the table, a file, says no to."""

    table: Path

    def __call__(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Numbers of the same type."""
        keep = np.load(self.table, mmap_mode="r")[labels]
        return np.where(keep, labels, np.zeros((), dtype=labels.dtype))


def result_type(fn: Callable[..., NDArray[Any]], *arrays: Array) -> np.dtype[Any]:
    """Type of what `fn` makes of arrays, found out on one voxel."""
    one = [np.zeros((1,) * len(array.shape), dtype=array.dtype) for array in arrays]
    return np.asarray(fn(*one)).dtype


def as_mask(array: Array) -> Voxelwise:
    """A mask that is stored as bytes, as a mask again."""
    return Voxelwise(array, _inside)


def complement(array: Array) -> Voxelwise:
    """Whatever is 0, as a mask."""
    return Voxelwise(array, _outside)


def word(name: str) -> str:
    """Name of a step without its number, for people."""
    return name.partition("-")[2] or name


def _inside(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(mask != 0)


def _outside(mask: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(mask == 0)
