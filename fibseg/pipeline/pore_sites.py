"""Places on the envelope that look like pores, of a volume that no memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import Array
from fibseg.pseudolabel import COLUMNS, PoreShape, find_sites, require_fine
from fibseg.types import Spacing, Table


@dataclass(frozen=True)
class SiteBlocks:
    """Block function: `fibseg.pseudolabel.find_sites` of what lies in the block.

    Sources are the raw and a label image of the nucleus.
    """

    shape: PoreShape
    spacing: Spacing
    bright_stain: bool = False
    snap: bool = True

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and all that its candidates depend on."""
        return write.grow(halo_voxels(self.shape.reach_nm, self.spacing)).clip(shape)

    def __call__(self, raw: NDArray[Any], nucleus: NDArray[Any], *, block: Block) -> Table:
        """Candidates whose voxel is in the write box, with their place in the volume."""
        image = raw.astype(np.float32)
        table = find_sites(
            -image if self.bright_stain else image, nucleus, shape=self.shape, snap=self.snap,
            spacing=self.spacing,
        )
        size_um = np.array(self.spacing) / 1000
        for axis, start, step in zip("zyx", block.read.start, size_um, strict=True):
            table[f"{axis}_um"] = table[f"{axis}_um"] + start * step
        voxel = np.stack(
            [np.floor(table[f"{a}_um"] / s + 0.5) for a, s in zip("zyx", size_um, strict=True)], 1
        )
        mine = ((voxel >= block.write.start) & (voxel < block.write.stop)).all(axis=1)
        return {name: column[mine] for name, column in table.items()}


def pore_sites(
    raw: Array, nucleus: Array, *, shape: PoreShape, bright_stain: bool = False,
    snap: bool = True, block_shape: Sequence[int], runner: Runner | None = None,
    scratch: Path | None = None, inputs: str = "", spacing: Spacing,
) -> Table:
    """Candidates of a whole volume, in the order of their places (z, y, x).

    Parameters
    ----------
    raw, nucleus
        Arrays of one shape.
    bright_stain
        Whether stain is bright in the raw.
    block_shape, runner, scratch, inputs
        As of `fibseg.blocks.reduce_blocks`.

    Raises
    ------
    UsageError
        If voxels are too coarse.
    """
    require_fine(spacing)
    found: Table | None = reduce_blocks(
        SiteBlocks(shape, spacing, bright_stain, snap), [raw, nucleus], _appended,
        block_shape=block_shape, runner=runner, scratch=scratch, fingerprint=inputs,
        label="pores: places",
    )
    table = found or {name: np.zeros(0) for name in COLUMNS}
    order = np.lexsort([table[f"{axis}_um"] for axis in "xyz"])
    return {name: column[order] for name, column in table.items()}


def _appended(first: Table, second: Table) -> Table:
    return {name: np.concatenate([first[name], second[name]]) for name in first}
