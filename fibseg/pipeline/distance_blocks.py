"""The two passes of a distance that no memory holds: within the planes of a block, then across.

A distance within a plane is certain if it is at most the way to every edge of what was read at
which the plane goes on: what lies beyond is farther. Where that fails, more of the plane is read.
The pass across planes reads slabs above and below until no farther plane can lower anything. A
block that lies farther than the cap from every cell with the other side is not read at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import Array
from fibseg.pipeline.distance_sides import INSIDE, OUTSIDE, Chosen, Sides
from fibseg.postprocess.distance import in_nm
from fibseg.postprocess.separable import (
    Squares,
    lower_across,
    of_one_side,
    squared_cap,
    squares_in_planes,
)
from fibseg.types import Spacing

FIRST_PART = 16
"""A block is first read with a halo that is the cap divided by this."""

WIDER = 4
"""So many times wider is the next halo, where the one before was too narrow."""

MOST_VOXELS = 2**27
"""Of no larger box a worker holds the mask at once: 128 MiB."""

ROWS = 128
"""Rows that are read, or worked on across planes, at once; a whole number of chunks."""

SLAB = 64
"""Planes that are read at once above and below a block."""

OUT_AND_IN = (1, -1)
"""Signs of the two sides."""

SIGN = dict(zip((OUTSIDE, INSIDE), OUT_AND_IN, strict=True))


@dataclass(frozen=True, kw_only=True)
class _Capped:
    """What both passes know.

    Attributes
    ----------
    sides
        Which cells have voxels inside and outside.
    max_nm
        No distance is larger.
    spacing
        Size of a voxel in nm, (z, y, x).
    """

    sides: Sides
    max_nm: float
    spacing: Spacing

    def _only_side(self, box: Box, halo: Sequence[int], shape: Sequence[int]) -> int | None:
        """Side of a box, 1 outside or -1, if nothing within a halo of it is on the other one."""
        return SIGN.get(self.sides.of(box.grow(halo).clip(shape)))


@dataclass(frozen=True)
class InPlanes(_Capped):
    """Block function: signed squares of the distances within planes.

    Attributes
    ----------
    labels, chosen
        What the blocks are read from, to read more of it, and which of it is the mask.
    """

    labels: Array
    chosen: Chosen

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` with the first halo within its planes; nothing where that is known to be far."""
        if self._side_of(write):
            return Box(write.start, write.start)
        return self._grown(write, self.max_nm / FIRST_PART)

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Squares:
        """Signed squares in the write box; infinite beyond the cap."""
        out = np.empty(block.write.shape, dtype=np.float32)
        side = self._side_of(block.write)
        if side:
            out.fill(side * np.inf)
        else:
            self._fill(
                out, block.write, self.chosen(labels), block.write, self.max_nm / FIRST_PART
            )
        return out

    def _fill(
        self, out: Squares, write: Box, mask: NDArray[np.bool_], part: Box, halo_nm: float
    ) -> None:
        """Put what is found in `part` into `out`, the array of `write`, looking ever farther.

        `mask` is that of `part` with the halo.
        """
        read = self._grown(part, halo_nm)
        found, inner = out[part.relative_to(write).slices], part.relative_to(read).slices[1:]
        for z, into in enumerate(found):  # the squares of all that was read would take much room
            squares = squares_in_planes(
                mask[z : z + 1], max_nm=self.max_nm, spacing=self.spacing
            )
            into[...] = squares[0][inner]
        uncertain = self._uncertain(found, part, read)
        if uncertain.any():
            rest, farther = bounding_box(uncertain).shift(part.start), WIDER * halo_nm
            farther = min(farther, self.max_nm)
            del mask, uncertain
            for piece in self._pieces(rest, farther):
                wider = self._mask_of(self._grown(piece, farther))
                self._fill(out, write, wider, piece, farther)

    def _mask_of(self, read: Box) -> NDArray[np.bool_]:
        """The mask in a box."""
        mask = np.empty(read.shape, dtype=bool)
        first = read.start[1] // ROWS * ROWS
        for y in range(first, read.stop[1], ROWS):  # so that no chunk is decoded twice
            rows = Box((read.start[0], y, read.start[2]), (read.stop[0], y + ROWS, read.stop[2]))
            rows = rows.intersect(read)
            mask[rows.relative_to(read).slices] = self.chosen(self.labels[rows.slices])
        return mask

    def _uncertain(self, found: Squares, part: Box, read: Box) -> NDArray[np.bool_]:
        """Where in `part` a voxel that was not read may be nearer than what was found."""
        needed = np.minimum(np.abs(found), squared_cap(self.max_nm, self.spacing))
        out = np.zeros(part.shape, dtype=bool)
        for axis in (1, 2):
            at = np.arange(part.start[axis], part.stop[axis], dtype=np.float32)
            unit, lines = self.spacing[axis] / min(self.spacing), (0, 3 - axis)
            if read.start[axis] > 0:
                way = (at - read.start[axis] + 1) * unit
                out |= needed > np.expand_dims(way**2, lines)
            if read.stop[axis] < self.labels.shape[axis]:
                way = (read.stop[axis] - at) * unit
                out |= needed > np.expand_dims(way**2, lines)
        return out

    def _pieces(self, part: Box, halo_nm: float) -> Iterator[Box]:
        """Runs of planes of `part` that with their halo have no more than `MOST_VOXELS`."""
        _, y, x = self._grown(part, halo_nm).shape
        n = max(1, MOST_VOXELS // (y * x))
        for z in range(part.start[0], part.stop[0], n):
            yield Box((z, *part.start[1:]), (min(z + n, part.stop[0]), *part.stop[1:]))

    def _grown(self, box: Box, halo_nm: float) -> Box:
        """`box` with a halo within its planes."""
        return box.grow(_in_plane(halo_nm, self.spacing)).clip(self.labels.shape)

    def _side_of(self, write: Box) -> int | None:
        """The only side within reach in the planes of a block."""
        return self._only_side(
            write, _in_plane(self.max_nm, self.spacing), self.labels.shape
        )


@dataclass(frozen=True)
class Across(_Capped):
    """Block function: distances in nm, from the squares of those within planes.

    Attributes
    ----------
    squares
        What the blocks are read from, to read the planes above and below.
    signed
        Whether distances inside are negative; else they are 0.
    """

    squares: Array
    signed: bool

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself; nothing where it is known to be far from the other side."""
        return Box(write.start, write.start) if self._side_of(write) else write

    def __call__(self, own: Squares, *, block: Block) -> NDArray[np.float32]:
        """Distances in the write box."""
        write = block.write
        out = np.empty(write.shape, dtype=np.float32)
        for y in range(write.start[1], write.stop[1], ROWS):
            rows = Box((write.start[0], y, write.start[2]),
                       (write.stop[0], y + ROWS, write.stop[2])).intersect(write)
            place = rows.relative_to(write).slices
            out[place] = self._found(own[place], rows)
        return out

    def _found(self, own: Squares, part: Box) -> NDArray[np.float32]:
        """Distances in a part of a block; its own squares are not looked at where it is far."""
        sides, far = (OUT_AND_IN if self.signed else OUT_AND_IN[:1]), self._side_of(part)
        if far:
            nm = far * self.max_nm if far in sides else 0
            return np.full(part.shape, nm, dtype=np.float32)
        out = np.zeros(part.shape, dtype=np.float32)
        best = {side: of_one_side(own, side) for side in sides}
        for first, planes in self._slabs(own, part, best):
            for side, squares in best.items():
                lower_across(
                    squares, of_one_side(planes, side), first=first, max_nm=self.max_nm,
                    spacing=self.spacing,
                )
        for side, squares in best.items():
            out += np.float32(side) * in_nm(squares, max_nm=self.max_nm, spacing=self.spacing)
        return out

    def _slabs(
        self, own: Squares, part: Box, best: Mapping[int, Squares]
    ) -> Iterator[tuple[int, Squares]]:
        """Yield what lies in `part` and in slabs above and below it, while they may lower `best`.

        With each comes where its first plane lies, counted from the first one of `part`.
        """
        yield 0, own
        n, limit = self.squares.shape[0], squared_cap(self.max_nm, self.spacing)
        step = self.spacing[0] / min(self.spacing)
        below, above, gap = part.start[0], part.stop[0], 1
        while below > 0 or above < n:
            farthest = min(max(float(squares.max()) for squares in best.values()), limit)
            if (gap * step) ** 2 >= farthest:
                return
            for start, stop in ((max(0, below - SLAB), below), (above, min(n, above + SLAB))):
                if start < stop:
                    box = Box((start, *part.start[1:]), (stop, *part.stop[1:]))
                    yield start - part.start[0], np.asarray(self.squares[box.slices])
            below, above, gap = max(0, below - SLAB), min(n, above + SLAB), gap + SLAB

    def _side_of(self, part: Box) -> int | None:
        """The only side within reach of a block, or a part of one."""
        return self._only_side(part, halo_voxels(self.max_nm, self.spacing), self.squares.shape)


def _in_plane(halo_nm: float, spacing: Spacing) -> tuple[int, int, int]:
    """A halo in voxels without planes above and below."""
    _, y, x = halo_voxels(halo_nm, spacing)
    return 0, y, x


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """The smallest box that holds all of a mask, which must not be empty.

    >>> bounding_box(np.array([[False, True, True]]))
    Box(start=(0, 1), stop=(1, 3))
    """
    axes = range(mask.ndim)
    along = [
        np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis)))
        for axis in axes
    ]
    return Box(tuple(int(a[0]) for a in along), tuple(int(a[-1]) + 1 for a in along))
