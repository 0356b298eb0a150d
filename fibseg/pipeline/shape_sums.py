"""The shapes of all objects of a label image that no memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import regions, shape
from fibseg.measure.directions import Directions
from fibseg.pipeline.bench import Array
from fibseg.types import Spacing, Table

_KINDS = ("regions", "neighbours")


@dataclass(frozen=True)
class ShapeSums:
    """Block function: the sums of `fibseg.measure.shape` of every object in the block."""

    directions: Directions

    def read_box(self, write: Box, shape_: tuple[int, ...]) -> Box:
        """`write` and as far around it as pairs of voxels are compared."""
        return write.grow(shape.reach(self.directions)).clip(shape_)

    def __call__(
        self, labels: NDArray[Any], image: NDArray[Any] | None = None, *, block: Block
    ) -> Table:
        """`fibseg.measure.shape.partial` at the place of the block, as one table."""
        return _as_table(shape.partial(
            labels, image, inside=block.write.relative_to(block.read), start=block.write.start,
            directions=self.directions,
        ))


def shape_table(
    labels: Array,
    image: Array | None = None,
    *,
    keep_border: bool = False,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    scratch: Path | None = None,
    inputs: str = "",
    spacing: Spacing,
) -> Table:
    """Table of all objects of a stored label image; columns of `fibseg.measure.shape.finish`.

    Parameters as of `fibseg.pipeline.region_sums.region_table`, and `keep_border` as of
    `fibseg.measure.shape.finish`.

    Raises
    ------
    UsageError
        If the image is of another type or shape.
    """
    regions.check_image(labels, image)
    directions = Directions.of(spacing)
    sources = [labels] if image is None else [labels, image]
    sums: Table | None = reduce_blocks(
        ShapeSums(directions), sources, _merge, block_shape=block_shape, runner=runner,
        scratch=scratch, fingerprint=inputs, label="measure",
    )
    if sums is None:
        empty = [np.zeros((0, 0, 0), dtype=source.dtype) for source in sources]
        whole = Box((0, 0, 0), (0, 0, 0))
        parts = shape.partial(*empty, inside=whole, start=(0, 0, 0), directions=directions)
    else:
        parts = _as_parts(sums)
    z, y, x = labels.shape
    return shape.finish(
        parts, directions=directions, keep_border=keep_border, shape=(z, y, x), spacing=spacing
    )


def _merge(first: Table, second: Table) -> Table:
    return _as_table(shape.merge(_as_parts(first), _as_parts(second)))


def _as_table(parts: shape.Parts) -> Table:
    """Both tables as one, whose columns differ in length: what the engine can keep in a file."""
    return {
        f"{kind}.{name}": column
        for kind in _KINDS for name, column in getattr(parts, kind).items()
    }


def _as_parts(table: Table) -> shape.Parts:
    return shape.Parts(*(
        {
            name.removeprefix(f"{kind}."): column
            for name, column in table.items() if name.startswith(f"{kind}.")
        }
        for kind in _KINDS
    ))
