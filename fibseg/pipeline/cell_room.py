"""What the spatial null needs of a volume that no memory holds: the cell, and objects as points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, appended, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import clouds
from fibseg.measure.clouds import Clouds
from fibseg.measure.cytoplasm import Cell
from fibseg.measure.working_grid import WorkingGrid, majority
from fibseg.pipeline.bench import Array, OwnBox
from fibseg.types import Mask, Table


@dataclass(frozen=True)
class CoarseMasks:
    """Block function: both masks on the working voxels that begin in the block, as bits."""

    grid: WorkingGrid

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the rest of its last working voxels."""
        ends = zip(write.stop, self._own(write).stop, self.grid.factors, strict=True)
        return Box(write.start, tuple(max(stop, n * f) for stop, n, f in ends)).clip(shape)

    def __call__(self, cell: NDArray[Any], nucleus: NDArray[Any], *, block: Block) -> Table:
        """``box`` in working voxels, a row, and ``cell`` and ``nucleus`` packed in bytes.

        Of a tie the room has the voxel: objects keep a part of one off the membranes anyway.
        """
        own, factors = self._own(block.write), self.grid.factors
        table: Table = {"box": np.array([own.start + own.stop], dtype=np.int64)}
        voxels = Box(
            tuple(a * f for a, f in zip(own.start, factors, strict=True)),
            tuple(b * f for b, f in zip(own.stop, factors, strict=True)),
        ).intersect(block.read).relative_to(block.read)
        for name, mask, ties in (("cell", cell, True), ("nucleus", nucleus, False)):
            coarse = majority(mask[voxels.slices], factors=factors, ties=ties)
            table[name] = np.packbits(coarse) if own.size else np.zeros(0, dtype=np.uint8)
        return table

    def _own(self, write: Box) -> Box:
        """Working voxels whose first voxel is in `write`."""
        factors = self.grid.factors
        start = tuple(-(-a // f) for a, f in zip(write.start, factors, strict=True))
        stop = tuple(-(-b // f) for b, f in zip(write.stop, factors, strict=True))
        return Box(start, stop).clip(self.grid.shape)


def coarse_cell(
    cell: Array,
    nucleus: Array,
    grid: WorkingGrid,
    *,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    scratch: Path | None = None,
    inputs: str = "",
) -> Cell:
    """Cell and nucleus on a working grid, by majority; cut to the part that the cell is in.

    Parameters
    ----------
    cell, nucleus
        Label images, anything but 0 is inside.
    grid
        Of the same volume.
    block_shape, runner, scratch
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what both are, for `scratch`.
    """
    key = layout_key(inputs=inputs, step="room", factors=list(grid.factors))
    found: Table | None = reduce_blocks(
        CoarseMasks(grid), [cell, nucleus], appended, block_shape=block_shape, runner=runner,
        scratch=scratch, fingerprint=key, label="room",
    )
    masks = {name: np.zeros(grid.shape, dtype=bool) for name in ("cell", "nucleus")}
    for name, mask in masks.items():
        for box, part in _unpacked(found, name):
            mask[box.slices] = part
    return Cell(masks["cell"], masks["nucleus"], grid.spacing, grid.first_um).cropped()


def _unpacked(found: Table | None, name: str) -> Iterator[tuple[Box, Mask]]:
    """Every box, and what is in it."""
    start = 0
    for row in [] if found is None else found["box"].tolist():
        box = Box(tuple(row[:3]), tuple(row[3:]))
        n_bytes = -(-box.size // 8)
        bits = np.unpackbits(found[name][start : start + n_bytes], count=box.size)  # type: ignore[index]
        yield box, bits.reshape(box.shape).astype(bool)
        start += n_bytes


@dataclass(frozen=True)
class CloudSums(OwnBox):
    """Block function: `fibseg.measure.clouds.partial` of the objects in the block."""

    cell: tuple[int, int, int]

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Table:
        """Sums of every object in every cell."""
        return clouds.partial(labels, start=block.write.start, cell=self.cell)


def object_clouds(
    labels: Array,
    grid: WorkingGrid,
    *,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    scratch: Path | None = None,
    inputs: str = "",
) -> Clouds:
    """All objects as points that fit a working grid; arguments as in `coarse_cell`."""
    key = layout_key(inputs=inputs, step="clouds", cell=list(grid.cell))
    sums: Table | None = reduce_blocks(
        CloudSums(grid.cell), labels, clouds.merge, block_shape=block_shape, runner=runner,
        scratch=scratch, fingerprint=key, label="clouds",
    )
    if sums is None:
        sums = clouds.partial(
            np.zeros((0, 0, 0), dtype=labels.dtype), start=(0, 0, 0), cell=grid.cell
        )
    found = clouds.finish(sums, cell=grid.cell, spacing=grid.volume_spacing)
    return found if max(grid.finer) == 1 else found.finer(grid.finer)
