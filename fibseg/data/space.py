"""Parts of a volume for training, validation and test: apart in space, each with every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.types import Shape, Spacing

CELL_NM = 160.0
"""Labelled voxels are counted in cells of about this size, and parts are cut between cells."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SpaceSplit:
    """Three boxes of one volume, in voxels of level 0.

    Attributes
    ----------
    train, validation, test
        Where patches come from, thresholds are chosen, and scores are taken; the latter two are
        None if nothing is held out.
    """

    train: Box
    validation: Box | None = None
    test: Box | None = None

    def record(self) -> dict[str, list[int] | None]:
        """Corners [z0, y0, x0, z1, y1, x1] by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {k: None if b is None else [*b.start, *b.stop] for k, b in parts.items()}


@dataclass(frozen=True, eq=False)
class LabelledCells:
    """How many voxels of background and of each class lie in the cells of a coarse grid.

    Attributes
    ----------
    counts
        (c, z, y, x), cells.
    cell
        Voxels of a cell.
    shape
        Voxels of the volume.
    """

    counts: Counts
    cell: Shape
    shape: Shape

    def within(self, box: Box) -> Counts:
        """Voxels of each channel in the cells of a box, (c,)."""
        cut = (slice(a // c, -(-b // c)) for a, b, c in
               zip(box.start, box.stop, self.cell, strict=True))
        return np.asarray(self.counts[(slice(None), *cut)].sum((1, 2, 3)), np.int64)

    def bounds(self) -> Box | None:
        """The smallest box of cells that holds all classes; None if there are none."""
        classes = self.counts[1:].sum(0) > 0
        if not classes.any():
            return None
        at = [np.flatnonzero(classes.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        start = tuple(int(a[0]) * c for a, c in zip(at, self.cell, strict=True))
        stop = tuple((int(a[-1]) + 1) * c for a, c in zip(at, self.cell, strict=True))
        return Box(start, stop).clip(self.shape)


def labelled_cells(
    labels: Any, n_channels: int, *, objects: bool, spacing: Spacing, runner: Runner | None = None
) -> LabelledCells:
    """Count the voxels of an annotation, or of numbered objects, in cells of `CELL_NM`.

    Parameters
    ----------
    labels
        (z, y, x).
    n_channels
        Background and classes.
    objects
        Whether these are objects: 0 is background, anything else is the one class.
    """
    cell = _cell(spacing)
    stored = getattr(labels, "shards", None) or getattr(labels, "chunks", None) or labels.shape
    block = tuple(-(-s // c) * c for s, c in zip(stored, cell, strict=True))
    found = reduce_blocks(
        _Counting(n_channels, objects, cell), labels, _joined, block_shape=block, runner=runner,
        label="labelled voxels",
    )
    grid = tuple(-(-n // c) for n, c in zip(labels.shape, cell, strict=True))
    counts = np.zeros((n_channels, *grid), np.int64)
    for start, part in found or ():
        counts[(slice(None), *(slice(a, a + n) for a, n in
                               zip(start, part.shape[1:], strict=True)))] = part
    z, y, x = labels.shape
    return LabelledCells(counts, cell, (z, y, x))


def split_space(
    cells: LabelledCells, *, names: Sequence[str], folds: int, gap_nm: float,
    region: Box | None = None, where: str = "", spacing: Spacing,
) -> SpaceSplit:
    """Cut a volume in three along its labelled part.

    Without a region the box of all that is labelled is cut across its longest axis: 1 / folds of
    the voxels of all classes go to the validation, as many to the test, the rest to training. With
    a region this is trained on, and the larger of what lies beside it is cut in two.

    Parameters
    ----------
    cells
        Of the volume.
    names
        Background and classes, for errors.
    gap_nm
        Between two parts, at least.
    region
        What to train on.
    where
        Name of the volume, for errors.

    Raises
    ------
    DataError
        If a part lacks background or a class.
    """
    bounds = cells.bounds()
    if bounds is None:
        raise DataError(f"{where} has no voxel of {', '.join(names[1:])}. Label some first.")
    if region is None:
        axis = _longest(bounds, spacing)
        parts = _cut(cells, bounds, axis, (1 - 2 / folds, 1 / folds, 1 / folds), gap_nm, spacing)
    else:
        beside = _beside(cells, bounds, region, gap_nm, spacing)
        axis = _longest(beside, spacing)
        parts = [region, *_cut(cells, beside, axis, (0.5, 0.5), gap_nm, spacing)]
    for part, use in zip(parts, ("training", "validation", "test"), strict=True):
        short = [n for n, count in zip(names, cells.within(part), strict=True) if not count]
        if part.size == 0 or short:
            raise DataError(
                f"The labels of {where} cannot be cut into parts for training, validation and "
                f"test {gap_nm:g} nm apart: the {use} lacks {', '.join(short or names)}. Label "
                "more, give another data.region, or hold nothing out with data.split=none."
            )
    return SpaceSplit(*parts)


def _cut(
    cells: LabelledCells, box: Box, axis: int, shares: Sequence[float], gap_nm: float,
    spacing: Spacing,
) -> list[Box]:
    """Slabs of a box across an axis with these shares of the labelled voxels, and gaps between."""
    cell = cells.cell[axis]
    positions = range(box.start[axis] // cell * cell, box.stop[axis], cell)
    counts = [cells.within(_slab(box, axis, p, p + cell))[1:].sum() for p in positions]
    so_far = np.cumsum(counts) / max(1, np.sum(counts))
    gap = int(np.ceil(gap_nm / spacing[axis]))
    edges = [box.start[axis]]
    for share in np.cumsum(shares)[:-1]:
        edges.append(positions[min(int(np.searchsorted(so_far, share)) + 1, len(positions) - 1)])
    edges.append(box.stop[axis])
    starts = [edges[0], *(e + gap for e in edges[1:-1])]
    return [_slab(box, axis, a, b) for a, b in zip(starts, edges[1:], strict=True)]


def _beside(
    cells: LabelledCells, bounds: Box, region: Box, gap_nm: float, spacing: Spacing
) -> Box:
    """The slab of the bounds beside a region that holds most voxels of all classes."""
    slabs = []
    for axis in range(3):
        gap = int(np.ceil(gap_nm / spacing[axis]))
        slabs += [
            _slab(bounds, axis, bounds.start[axis], region.start[axis] - gap),
            _slab(bounds, axis, region.stop[axis] + gap, bounds.stop[axis]),
        ]
    return max(slabs, key=lambda slab: int(cells.within(slab)[1:].sum()) if slab.size else -1)


def _slab(box: Box, axis: int, start: int, stop: int) -> Box:
    """The part of a box between two places on an axis; empty where there is none."""
    low, high = list(box.start), list(box.stop)
    low[axis] = min(max(start, box.start[axis]), box.stop[axis])
    high[axis] = max(min(stop, box.stop[axis]), low[axis])
    return Box(tuple(low), tuple(high))


def _longest(box: Box, spacing: Spacing) -> int:
    """The axis along which a box is longest; the first of equals."""
    return int(np.argmax([n * s for n, s in zip(box.shape, spacing, strict=True)]))


def _cell(spacing: Spacing) -> Shape:
    z, y, x = (max(1, round(CELL_NM / s)) for s in spacing)
    return z, y, x


@dataclass(frozen=True)
class _Counting:
    """Block function: voxels of each channel in every cell of a block."""

    n_channels: int
    objects: bool
    cell: Shape

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write

    def __call__(
        self, labels: NDArray[Any], *, block: Block
    ) -> list[tuple[tuple[int, ...], Counts]]:
        """Where the cells begin, and their counts (c, z, y, x)."""
        starts = [np.arange(0, n, c) for n, c in zip(labels.shape, self.cell, strict=True)]
        parts = []
        for value in range(1, self.n_channels + 1):
            mask = ((labels > 0) == (value == 2)) if self.objects else labels == value
            count = mask.astype(np.int64)
            for axis, at in enumerate(starts):
                count = np.add.reduceat(count, at, axis=axis)
            parts.append(count)
        first = tuple(a // c for a, c in zip(block.write.start, self.cell, strict=True))
        return [(first, np.stack(parts))]


def _joined(left: list[Any], right: list[Any]) -> list[Any]:
    return left + right
