"""What runs on a block: a local operator grown by its halo, or a function that chooses its box."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from numpy.typing import NDArray

from fibseg.blocks.grid import Block
from fibseg.errors import UsageError
from fibseg.geometry import Box, halo_voxels, reach_nm
from fibseg.types import Spacing

Array: TypeAlias = Any
"""Anything with shape, dtype and boxes to read and write: a Zarr or a NumPy array."""


class BlockFunction(Protocol):
    """A function of blocks that chooses itself what it reads.

    One that uses several threads well says how many by an attribute ``threads``. One that may need
    less than its box reads for itself, by a method ``read_parts(sources, block)`` that returns its
    arguments.
    """

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Box of the first source, an array of `shape`, that is needed for `write`."""
        ...

    def __call__(self, *arrays: NDArray[Any], block: Block) -> Any:
        """Array of exactly the write box; a tuple of them for several targets."""
        ...


@dataclass(frozen=True)
class LocalOperator:
    """A local array function as a block function: grown by the halo, cropped afterwards."""

    fn: Callable[..., Any]
    halo: tuple[int, ...]

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` grown by the halo and clipped at the faces of the volume."""
        return write.grow(self.halo).clip(shape)

    def __call__(self, *arrays: NDArray[Any], block: Block) -> Any:
        """Result of the operator inside the write box."""
        result = self.fn(*arrays)
        inner = block.write.relative_to(block.read).slices
        if isinstance(result, tuple):
            return tuple(part[inner] for part in result)
        return result[inner]


def as_list(arrays: Array | Sequence[Array]) -> list[Array]:
    """The arrays as a list, whether one or several were given."""
    return list(arrays) if isinstance(arrays, list | tuple) else [arrays]


def block_function(
    fn: BlockFunction | Callable[..., Any],
    sources: Sequence[Array],
    shape: Sequence[int],
    spacing: Spacing | None,
) -> BlockFunction:
    """`fn` itself if it is a `BlockFunction`, else the local operator with its halo.

    Raises
    ------
    UsageError
        If `fn` is a global operator, lacks a spacing, or its sources do not fit `shape`.
    """
    if hasattr(fn, "read_box"):
        return cast(BlockFunction, fn)
    for source in sources:
        if tuple(source.shape) != tuple(shape):
            raise UsageError(
                f"a source of shape {tuple(source.shape)} does not lie on the grid of the target "
                f"{tuple(shape)}. Give arrays of one shape."
            )
    distance = reach_nm(fn)
    bound = fn.keywords if isinstance(fn, functools.partial) else {}
    if spacing is not None and "spacing" in inspect.signature(fn).parameters:
        fn = functools.partial(fn, **{"spacing": spacing, **bound})
    used = bound.get("spacing", spacing)
    if distance == 0:
        return LocalOperator(fn, (0,) * len(shape))
    if used is None:
        raise UsageError(f"{fn} looks {distance:g} nm far, but no spacing is given. Give spacing.")
    return LocalOperator(fn, halo_voxels(distance, used))
