"""Where in a volume the border of a mask can be, cell by cell: what is far from it is not read."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, layout_key, reduce_blocks
from fibseg.blocks.grid import Grid
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.pipeline.bench import Array, OwnBox, Work
from fibseg.volume.files import write_bytes

CELL = 64
"""Voxels of an edge of a cell, where that divides the blocks; it must be small beside them."""

OUTSIDE, INSIDE = 1, 2
"""Bits of a cell: it has voxels on that side."""


@dataclass(frozen=True)
class Chosen:
    """The mask of a label image: voxels of the chosen objects, of any if none is named.

    >>> Chosen((7,))(np.array([[0, 7, 8]]))
    array([[False,  True, False]])
    """

    numbers: tuple[int, ...] | None = None

    def __call__(self, labels: NDArray[Any]) -> NDArray[np.bool_]:
        """True inside."""
        if self.numbers is None:
            return np.asarray(labels != 0)
        return np.isin(labels, self.numbers)


@dataclass(frozen=True)
class Seen:
    """What was seen of one block, or of several one after the other.

    Attributes
    ----------
    sides
        A byte per cell, in C order within each block.
    numbers
        Those of the chosen objects that are there; none if all objects are chosen.
    """

    sides: bytes
    numbers: frozenset[int]

    def __add__(self, other: Seen) -> Seen:
        """Both, in order."""
        return Seen(self.sides + other.sides, self.numbers | other.numbers)


@dataclass(frozen=True)
class LookAtSides(OwnBox):
    """Block function: on which sides each cell of a block has voxels."""

    chosen: Chosen
    cell: tuple[int, ...]

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Seen:
        """Bits of all cells in the block, and the chosen objects found there."""
        inside = self.chosen(labels)
        chosen = labels[:0] if self.chosen.numbers is None else np.unique(labels[inside])
        some, whole = inside.view(np.uint8), inside.view(np.uint8)
        for axis, (n, edge) in enumerate(zip(inside.shape, self.cell, strict=True)):
            starts = np.arange(0, n, edge)
            some = np.maximum.reduceat(some, starts, axis=axis)
            whole = np.minimum.reduceat(whole, starts, axis=axis)
        sides = np.uint8(INSIDE) * some + np.uint8(OUTSIDE) * (1 - whole)
        return Seen(sides.tobytes(), frozenset(map(int, chosen.flat)))


@dataclass(frozen=True)
class Sides:
    """Cells of a volume, in a file of NumPy that workers open.

    Attributes
    ----------
    path
        File of an array of bytes, one per cell.
    cell
        Voxels of a cell, (z, y, x).
    """

    path: Path
    cell: tuple[int, ...]

    def of(self, box: Box) -> int:
        """Bits of all cells that reach into a box: `OUTSIDE`, `INSIDE`, or their sum."""
        cells = tuple(
            slice(a // c, -(-b // c))
            for a, b, c in zip(box.start, box.stop, self.cell, strict=True)
        )
        return int(np.bitwise_or.reduce(_opened(self.path)[cells], axis=None))


@functools.lru_cache(maxsize=4)
def _opened(path: Path) -> NDArray[np.uint8]:
    """The cells of a file, kept from block to block."""
    cells: NDArray[np.uint8] = np.load(path)
    return cells


def cell_shape(block_shape: Sequence[int]) -> tuple[int, ...]:
    """Voxels of a cell: of whole cells a block must be made.

    >>> cell_shape((64, 512, 90))
    (64, 64, 90)
    """
    return tuple(CELL if b % CELL == 0 else int(b) for b in block_shape)


def find_sides(
    labels: Array, *, chosen: Chosen, signed: bool, folder: Path, work: Work, inputs: str = "",
    named: str = "the labels",
) -> Sides:
    """The cells of a volume with what lies in them; an interrupted run looks at them only once.

    Parameters
    ----------
    labels
        Numbered objects, or a mask.
    chosen
        Which of the labels are the mask.
    signed
        Whether there must be something outside, too.
    folder
        Where the file of them is kept.
    work
        Blocks and runner.
    inputs
        Hash of what `labels` and `chosen` are.
    named
        Name of the labels, for messages.

    Raises
    ------
    DataError
        If the mask is empty or, for signed distances, fills the volume, or if one of the chosen
        objects is not there.
    """
    key = layout_key(inputs=inputs, step="sides", signed=signed, block_shape=work.block_shape)
    found = Sides(folder / f"sides-{key[:16]}.npy", cell_shape(work.block_shape))
    if not found.path.exists():
        cells, numbers = look_at_sides(
            labels, chosen, block_shape=work.block_shape, runner=work.runner
        )
        check_objects(chosen, numbers, named=named)
        _check_border(int(np.bitwise_or.reduce(cells, axis=None)), signed=signed, named=named)
        content = BytesIO()
        np.save(content, cells)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(found.path, content.getvalue())
    return found


def check_objects(chosen: Chosen, there: Collection[int], *, named: str) -> None:
    """Nothing, if all of the chosen objects are among the numbers that are there.

    Raises
    ------
    DataError
        If one is not.
    """
    missing = sorted(set(chosen.numbers or ()).difference(there))
    if missing:
        some = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
        raise DataError(
            f"There is no object {some} in {named}. Name objects that are there, or leave label= "
            "out for all of them."
        )


def _check_border(sides: int, *, signed: bool, named: str) -> None:
    if not sides & INSIDE:
        raise DataError(
            f"There is no object in {named}, all voxels are 0, and so no distance to one. Choose "
            "other labels."
        )
    if signed and not sides & OUTSIDE:
        raise DataError(
            f"The objects in {named} fill the whole volume: there is no border, and so no distance "
            "to it. Choose other labels, or one object with label=…"
        )


def look_at_sides(
    labels: Array, chosen: Chosen, *, block_shape: Sequence[int], runner: Runner
) -> tuple[NDArray[np.uint8], frozenset[int]]:
    """Bits of all cells of a volume, and which of the chosen objects are in it."""
    grid, cell = Grid.over(labels.shape, block_shape), cell_shape(block_shape)
    seen: Seen | None = reduce_blocks(
        LookAtSides(chosen, cell), labels, Seen.__add__, block_shape=block_shape, runner=runner,
        label="distance: sides",
    )
    cells = np.zeros(Grid.over(labels.shape, cell).counts, dtype=np.uint8)
    if seen is None:
        return cells, frozenset()
    flat, at = np.frombuffer(seen.sides, np.uint8), 0
    for index in range(len(grid)):
        box = grid.box(index)
        place = tuple(
            slice(a // c, -(-b // c)) for a, b, c in zip(box.start, box.stop, cell, strict=True)
        )
        part = cells[place]
        part[...] = flat[at : at + part.size].reshape(part.shape)
        at += part.size
    return cells, seen.numbers
