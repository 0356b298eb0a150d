"""Places on the envelope that look like pores, of a volume that no memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Grid, Runner, Serial, appended, layout_key, reduce_blocks
from fibseg.blocks.room import free_memory
from fibseg.errors import RoomError
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import Array
from fibseg.pseudolabel import COLUMNS, PoreShape, find_sites, require_fine
from fibseg.types import Spacing, Table

BLOCK_SIDE = 128
"""Voxels along each side of a block: as much is read around it, whatever its size."""
BYTES_PER_VOXEL = 70
"""Of memory for each voxel that is looked at, as measured: 1.8 GB for a whole block of 20 nm."""
FARTHEST_NM = 400.0
"""How far from the border of the nucleus a place may be whose foot on the envelope is asked for."""


@dataclass(frozen=True)
class SiteBlocks:
    """Block function: `fibseg.pseudolabel.find_sites` of what lies in the block.

    Sources are the raw and a label image of the nucleus. Only a box around the border of the
    nucleus, with what its candidates depend on, is looked at.

    Attributes
    ----------
    at
        File of places (n, 3), nm, to look at instead of for candidates.
    """

    shape: PoreShape
    spacing: Spacing
    bright_stain: bool = False
    snap: bool = True
    at: Path | None = None

    @property
    def reach_nm(self) -> float:
        """How far a place depends on image and mask: a given one, from a foot on the envelope."""
        return self.shape.reach_nm + (0.0 if self.at is None else FARTHEST_NM)

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and all that its candidates depend on."""
        return write.grow(halo_voxels(self.reach_nm, self.spacing)).clip(shape)

    def __call__(self, raw: NDArray[Any], nucleus: NDArray[Any], *, block: Block) -> Table:
        """Candidates whose voxel is in the write box; or of given places their row, ``index``."""
        near = self._near_border(nucleus, block)
        index, at_nm = self._given(near)
        if not near.size or (self.at is not None and not len(index)):
            return no_sites()
        seen = near.grow(halo_voxels(self.reach_nm, self.spacing)).intersect(block.read)
        cut = seen.relative_to(block.read).slices
        image = raw[cut].astype(np.float32)
        z, y, x = seen.start
        table = find_sites(
            -image if self.bright_stain else image, nucleus[cut], shape=self.shape,
            snap=self.snap, at_nm=None if self.at is None else at_nm, start=(z, y, x),
            spacing=self.spacing,
        )
        if self.at is not None:
            return {**table, "index": index} if len(table["z_um"]) else no_sites()
        places = np.stack([table[f"{a}_um"] for a in "zyx"], axis=1) * 1000
        mine = _inside(places, block.write, self.spacing)
        found = {name: column[mine] for name, column in table.items()}
        return {**found, "index": np.zeros(int(mine.sum()), np.int64)}

    def _near_border(self, nucleus: NDArray[Any], block: Block) -> Box:
        """The part of the write box near the border of the nucleus; empty if there is none."""
        far_nm = self.shape.from_border_nm if self.at is None else FARTHEST_NM
        far = halo_voxels(far_nm, self.spacing)
        around = block.write.grow(far).intersect(block.read)
        border = border_box(nucleus[around.relative_to(block.read).slices])
        return border.shift(around.start).grow(far if border.size else (0, 0, 0)).intersect(
            block.write
        )

    def _given(self, box: Box) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Given places in a box, and which of all they are."""
        if self.at is None:
            return np.zeros(0, np.int64), np.zeros((0, 3))
        places = np.load(self.at)
        index = np.flatnonzero(_inside(places, box, self.spacing))
        return index.astype(np.int64), places[index]


def pore_sites(
    raw: Array, nucleus: Array, *, shape: PoreShape, bright_stain: bool = False,
    snap: bool = True, at: Path | None = None, block_shape: Sequence[int] | None = None,
    runner: Runner | None = None, scratch: Path | None = None, inputs: str = "",
    spacing: Spacing,
) -> Table:
    """Candidates of a whole volume, in the order of their places (z, y, x).

    Parameters
    ----------
    raw, nucleus
        Arrays of one shape.
    bright_stain
        Whether stain is bright in the raw.
    at
        File of places (n, 3), nm, whose feet on the envelope are told of instead, in their order,
        with the column ``index``; those with none within `FARTHEST_NM` are left out.
    block_shape
        Of the work; cubes of `BLOCK_SIDE` voxels if left out.
    runner, scratch, inputs
        As of `fibseg.blocks.reduce_blocks`.

    Raises
    ------
    RoomError
        If the workers would need more memory than is free: what is looked at around a block grows
        with the fineness of the voxels.
    UsageError
        If voxels are too coarse.
    """
    require_fine(spacing)
    function = SiteBlocks(shape, spacing, bright_stain, snap, at)
    size = tuple(block_shape or (BLOCK_SIDE,) * 3)
    _refuse_without_room(function, tuple(raw.shape), size, runner or Serial())
    key = layout_key(inputs=inputs, step="places" if at is None else "feet")
    found: Table | None = reduce_blocks(
        function, [raw, nucleus], appended, block_shape=size, runner=runner, scratch=scratch,
        fingerprint=key, label="pores: places" if at is None else "pores: feet",
    )
    table = found or no_sites()
    keys = [table[f"{axis}_um"] for axis in "xyz"] if at is None else [table["index"]]
    order = np.lexsort(keys)
    return {
        name: column[order] for name, column in table.items() if name != "index" or at is not None
    }


def _refuse_without_room(
    function: SiteBlocks, shape: tuple[int, ...], block_shape: tuple[int, ...], runner: Runner
) -> None:
    """Nothing, if the memory of this machine holds what its workers look at."""
    grid = Grid.over(shape, block_shape)
    n = min(runner.at_once(1), len(grid))
    if not n:
        return
    most = function.read_box(grid.box(len(grid) // 2), shape).size
    needed, free = n * worker_bytes(most), free_memory()
    if needed > free:
        size = " x ".join(f"{s:g}" for s in function.spacing)
        raise RoomError(
            f"pores: {n} blocks at once, {most / 1e6:.3g} million voxels of {size} nm each with "
            f"all that places depend on, take {needed / 1e9:.3g} GB of memory, "
            f"{free / 1e9:.3g} GB are free. Use fewer workers (blocks.n_workers=1), or coarser "
            "voxels: 20 nm show pores well."
        )


def worker_bytes(n_voxels: int) -> float:
    """Memory of a worker that looks at so many voxels, beside what every process takes."""
    return 3.5e8 + BYTES_PER_VOXEL * float(n_voxels)


def no_sites() -> Table:
    """A table without a row."""
    return {name: np.zeros(0) for name in COLUMNS} | {"index": np.zeros(0, np.int64)}


def border_box(mask: NDArray[Any]) -> Box:
    """Box of all voxels that have a neighbour of the other side, inside or outside of a mask.

    >>> border_box(np.array([[[0, 0, 1, 1, 1, 0]]]))
    Box(start=(0, 0, 1), stop=(1, 1, 6))
    """
    inside = mask != 0
    found = []
    for axis in range(inside.ndim):
        low, high = ([slice(None)] * inside.ndim for _ in range(2))
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        differs = inside[tuple(low)] != inside[tuple(high)]
        for a in range(inside.ndim):
            rows = np.flatnonzero(differs.any(axis=tuple(o for o in range(3) if o != a)))
            if len(rows):
                found.append((a, int(rows[0]), int(rows[-1]) + 1 + (a == axis)))
    if not found:
        return Box((0,) * inside.ndim, (0,) * inside.ndim)
    axes = range(inside.ndim)
    return Box(
        tuple(min(low for a, low, _ in found if a == axis) for axis in axes),
        tuple(max(high for a, _, high in found if a == axis) for axis in axes),
    )


def _inside(places_nm: NDArray[np.float64], box: Box, spacing: Spacing) -> NDArray[np.bool_]:
    """Which places lie in a voxel of a box."""
    voxel = np.floor(places_nm / np.array(spacing, float) + 0.5)
    found: NDArray[np.bool_] = ((voxel >= box.start) & (voxel < box.stop)).all(axis=1)
    return found
