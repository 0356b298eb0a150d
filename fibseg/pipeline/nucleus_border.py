"""Where the border of a nucleus runs in a volume that no memory holds, if it has one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Grid, Runner, appended, reduce_blocks
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.pipeline.bench import Array
from fibseg.types import Table


@dataclass(frozen=True)
class HasBorder:
    """Block function: whether there is anything inside, anything outside, and a border."""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the neighbours of its voxels."""
        return write.grow((1, 1, 1)).clip(shape)

    def __call__(self, nucleus: NDArray[Any], *, block: Block) -> Table:
        """One row: number of the block, whether it has an inside and an outside."""
        inside = nucleus != 0
        return {
            "block": np.array([block.index]), "inside": np.array([bool(inside.any())]),
            "outside": np.array([not inside.all()]),
        }


def blocks_with_border(
    nucleus: Array, *, block_shape: Sequence[int], runner: Runner | None = None, named: str
) -> list[Box]:
    """Boxes of the blocks that the border of a nucleus runs through, in grid order.

    Parameters
    ----------
    named
        What the nucleus is called, for errors.

    Raises
    ------
    DataError
        If there is none: the nucleus is empty or full.
    """
    found: Table | None = reduce_blocks(
        HasBorder(), nucleus, appended, block_shape=block_shape, runner=runner,
        label="nucleus: border",
    )
    inside = found is not None and bool(found["inside"].any())
    if found is None or not inside or not found["outside"].any():
        raise DataError(
            f"{named} is {'full' if inside else 'empty'}: there is no nuclear envelope in "
            f"{' x '.join(map(str, nucleus.shape))} voxels. Give labels of a nucleus whose border "
            "lies in the volume; faces of the volume are none."
        )
    grid = Grid.over(tuple(nucleus.shape), block_shape)
    near = found["block"][found["inside"] & found["outside"]]
    return [grid.box(int(index)) for index in near]
