"""The cell profile of label images that no memory holds, and what cannot be measured against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.errors import DataError
from fibseg.measure import profile
from fibseg.pipeline.bench import Array, OwnBox
from fibseg.types import Table


@dataclass(frozen=True)
class CountVoxels(OwnBox):
    """Block function: `fibseg.measure.profile.partial` of several label images."""

    names: tuple[str, ...]
    cell: str | None
    nucleus: str | None
    shape: tuple[int, ...]

    def __call__(self, *labels: NDArray[Any], block: Block) -> Table:
        """Voxels of every label image in the block."""
        at_face = np.zeros(block.write.shape, dtype=bool)
        ends = zip(block.write.start, block.write.stop, self.shape, strict=True)
        for axis, (start, stop, length) in enumerate(ends):
            face = [slice(None)] * len(self.shape)
            for reached, plane in ((start == 0, 0), (stop == length, -1)):
                face[axis] = slice(plane, plane + 1 or None)
                at_face[tuple(face)] |= reached
        return profile.partial(
            dict(zip(self.names, labels, strict=True)), cell=self.cell, nucleus=self.nucleus,
            at_face=at_face,
        )


def count_voxels(
    labels: Mapping[str, Array],
    *,
    cell: str | None,
    nucleus: str | None,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    scratch: Path | None = None,
    inputs: str = "",
) -> Table:
    """Counts of `fibseg.measure.profile.partial` over all blocks.

    Parameters
    ----------
    labels
        Label images by name, on one grid.
    cell, nucleus
        Names among them; None where there is none.
    block_shape, runner, scratch
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what all of them are, for `scratch`.

    Raises
    ------
    DataError
        If they differ in shape, before any work.
    """
    shapes = {name: tuple(array.shape) for name, array in labels.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(
            f"The label images differ in shape: {shapes}. Import those of the wrong shape again, "
            "on the grid of the volume."
        )
    shape = next(iter(shapes.values()))
    found: Table | None = reduce_blocks(
        CountVoxels(tuple(labels), cell, nucleus, shape), list(labels.values()), profile.merge,
        block_shape=block_shape, runner=runner, scratch=scratch, fingerprint=inputs,
        label="shares",
    )
    if found is not None:
        return found
    nothing = {name: np.zeros(0, dtype=bool) for name in labels}
    return profile.partial(nothing, cell=cell, nucleus=nucleus)


def require_border(counts: Table, *, names: list[str], objects: str, to: Sequence[str],
                   shape: Sequence[int]) -> None:
    """Nothing, if there are objects, and every target begins or ends somewhere.

    Raises
    ------
    DataError
        If there is nothing to measure, or nothing to measure to.
    """
    n = dict(zip(names, counts["n_voxels"].tolist(), strict=True))
    if not n[objects]:
        raise DataError(
            f"There is no object in labels/{objects}, all voxels are 0: there is nothing to "
            "measure. Choose other labels, or make them again with other settings."
        )
    for name in to:
        if n[name] in (0, math.prod(shape)):
            what = "is empty, all voxels are 0" if not n[name] else "fills the whole volume"
            raise DataError(
                f"labels/{name} {what}: nothing can be near to where it begins. Leave {name} out "
                "of to= (with extend=false, if the table was measured to it before), or choose "
                "other labels."
            )
