"""The envelope of a nucleus that no memory holds, from a level of its pyramid, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import envelope_faces
from fibseg.pipeline.bench import Array
from fibseg.types import Spacing, Table
from fibseg.volume import Volume


@dataclass(frozen=True)
class EnvelopeBlocks:
    """Block function: `fibseg.measure.envelope_faces.partial` of the block."""

    shape: tuple[int, ...]

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the voxels around it that its triangles depend on."""
        return write.grow((envelope_faces.REACH,) * 3).clip(shape)

    def __call__(self, nucleus: NDArray[Any], *, block: Block) -> Table:
        """Triangles, coarse cells and what touches a face of the volume."""
        return envelope_faces.partial(
            nucleus != 0, inside=block.write.relative_to(block.read), start=block.write.start,
            shape=self.shape,
        )


def envelope_parts(
    nucleus: Array, *, block_shape: Sequence[int], runner: Runner | None = None,
    scratch: Path | None = None, inputs: str = "",
) -> Table:
    """What `fibseg.measure.envelope.EnvelopeMesh.of_parts` needs of a label image of nuclei.

    Parameters
    ----------
    nucleus
        Label image on the working grid, anything but 0 is inside.
    block_shape, runner, scratch
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what `nucleus` is, for `scratch`.
    """
    key = layout_key(inputs=inputs, step="envelope")
    function = EnvelopeBlocks(tuple(nucleus.shape))
    found: Table | None = reduce_blocks(
        function, nucleus, envelope_faces.merge, block_shape=block_shape, runner=runner,
        scratch=scratch, fingerprint=key, label="envelope",
    )
    if found is not None:
        return found
    nothing = Box((0, 0, 0), (0, 0, 0))
    return envelope_faces.partial(
        np.zeros((0, 0, 0), bool), inside=nothing, start=(0, 0, 0), shape=(0, 0, 0)
    )


def working_level(store: Volume, voxel_nm: float) -> tuple[int, Spacing]:
    """The coarsest pyramid level with voxels up to `voxel_nm`, the finest if none has; spacing."""
    spacings = [store.level_spacing(level) for level in range(store.n_levels)]
    fitting = [i for i, spacing in enumerate(spacings) if max(spacing) <= voxel_nm * (1 + 1e-9)]
    level = max(fitting, default=0)
    return level, spacings[level]
