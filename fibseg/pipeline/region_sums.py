"""The table of all objects of a label image that no memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.measure import regions
from fibseg.pipeline.bench import Array, OwnBox
from fibseg.types import Spacing, Table


@dataclass(frozen=True)
class RegionSums(OwnBox):
    """Block function: the integer sums of every object in the block."""

    moments: bool

    def __call__(
        self, labels: NDArray[Any], image: NDArray[Any] | None = None, *, block: Block
    ) -> Table:
        """`fibseg.measure.regions.partial` at the place of the block."""
        return regions.partial(labels, image, start=block.write.start, moments=self.moments)


def region_table(
    labels: Array,
    image: Array | None = None,
    *,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    scratch: Path | None = None,
    inputs: str = "",
    spacing: Spacing,
) -> Table:
    """Table of all objects of a stored label image; columns of `fibseg.measure.regions.finish`.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    image
        Intensities on the same grid, integers of at most 16 bits; None leaves them out.
    block_shape, runner, scratch
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what `labels` and `image` are, for `scratch`.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    sums = region_sums(
        labels, image, block_shape=block_shape, runner=runner, scratch=scratch, inputs=inputs,
        label="measure",
    )
    z, y, x = labels.shape
    return regions.finish(sums, shape=(z, y, x), spacing=spacing)


def region_sums(
    labels: Array,
    image: Array | None = None,
    *,
    block_shape: Sequence[int],
    runner: Runner | None,
    scratch: Path | None = None,
    inputs: str = "",
    label: str,
    moments: bool = True,
) -> Table:
    """Sums of `fibseg.measure.regions.partial` over all blocks."""
    sources = [labels] if image is None else [labels, image]
    sums: Table | None = reduce_blocks(
        RegionSums(moments), sources, regions.merge, block_shape=block_shape, runner=runner,
        scratch=scratch, fingerprint=inputs, label=label,
    )
    if sums is not None:
        return sums
    empty = [np.zeros((0, 0, 0), dtype=source.dtype) for source in sources]
    return regions.partial(*empty, start=(0, 0, 0), moments=moments)
