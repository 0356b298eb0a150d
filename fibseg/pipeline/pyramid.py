"""The last step of every image: its coarser levels, block by block, then the record of all of it.

Level n is made of level n - 1 by `map_blocks`, with a journal of its own in the image: a run that
was killed goes on in the level where it was. Digests are noted as blocks are committed, so that
nothing that was written is read again but for the next level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, layout_key, map_blocks, reduce_blocks
from fibseg.geometry import Box
from fibseg.pipeline.bench import OwnBox
from fibseg.types import Shape
from fibseg.volume import Product, ProductInfo, Volume
from fibseg.volume.digests import Facts, box_facts
from fibseg.volume.intensity import no_counts, tally
from fibseg.volume.layout import BLOCK, stored_bytes
from fibseg.volume.levels import Pyramid
from fibseg.volume.metadata import Colors
from fibseg.volume.pyramid import KERNELS

BAND_BYTES = 2**25
BAND_ROWS = 32
"""Rows of a band are a multiple of this: half a chunk, so that no chunk is decoded twice."""


def finish_product(
    product: Product, *, runner: Runner | None = None, colors: Colors | None = None
) -> ProductInfo:
    """Record of a product whose voxels are all written; doing it again changes nothing.

    Parameters
    ----------
    product
        The product; its level 0 is complete.
    runner
        Where blocks are computed; in this process if left out.
    colors
        As in `fibseg.volume.Product.finish`.

    Raises
    ------
    DataError
        If blocks were never written.
    PartlyDoneError, InterruptedRunError
        As in `map_blocks`; calling it again goes on there.
    """
    if not product.complete:
        note_finest(product.pyramid, runner=runner)
        build(product.pyramid, runner=runner)
    return product.finish(colors=colors)


def finish_raw(
    volume: Volume, *, histogram: NDArray[np.int64] | None = None, runner: Runner | None = None
) -> None:
    """Finish a volume whose raw image is all written; doing it again changes nothing.

    Parameters
    ----------
    volume
        The volume; level 0 of its raw image is complete.
    histogram
        Number of voxels of every value of the type, where they were counted while they were
        written. Otherwise all voxels are read for it.
    runner
        Where blocks are computed; in this process if left out.

    Raises
    ------
    DataError
        If blocks were never written.
    UsageError
        If the histogram is of more or fewer voxels.
    PartlyDoneError, InterruptedRunError
        As in `map_blocks`; calling it again goes on there.
    """
    if volume.complete:
        return
    counted = note_finest(volume.pyramid, count=histogram is None, runner=runner)
    histogram = counted if histogram is None else histogram
    assert histogram is not None
    build(volume.pyramid, runner=runner)
    volume.finish_raw(histogram=histogram)


def note_finest(
    pyramid: Pyramid, *, count: bool = False, runner: Runner | None = None
) -> NDArray[np.int64] | None:
    """Histogram of level 0 if `count`; notes of it are taken if some was written past the engine.

    Raises
    ------
    DataError
        If blocks were never written.
    """
    finest = pyramid.array(0)
    stored_bytes(pyramid.group / "0", finest)
    noted = pyramid.noted(0)
    if noted and not count:
        return None
    seen = reduce_blocks(
        Look(pyramid.levels[0].shape, digest=not noted, count=count), finest, Seen.__add__,
        block_shape=BLOCK, runner=runner, label=f"look at {pyramid.group.name}",
    )
    if not noted:
        finest.keep(seen.facts)
    histogram: NDArray[np.int64] | None = seen.histogram
    return histogram


def build(pyramid: Pyramid, *, runner: Runner | None = None) -> None:
    """Fill the coarser levels of an image, each from the level before it.

    Parameters
    ----------
    pyramid
        The levels; every box of the finest one is noted.
    runner
        Where blocks are computed; in this process if left out.

    Raises
    ------
    PartlyDoneError, InterruptedRunError
        As in `map_blocks`; calling it again goes on there.
    """
    for number, level in enumerate(pyramid.levels[1:], start=1):
        reduced = Reduced(pyramid.array(number - 1), KERNELS[pyramid.kind], level.factors)
        map_blocks(
            reduced, [], pyramid.array(number), block_shape=pyramid.block_shape(number),
            runner=runner, journal=pyramid.journal_path(number),
            fingerprint=layout_key(
                finer=pyramid.digest(number - 1), kind=pyramid.kind, factors=level.factors
            ),
            label=f"pyramid level {number}",
        )


def most_bytes(pyramid: Pyramid) -> int:
    """Bytes that a worker takes for one block of a coarser level."""
    itemsize = int(pyramid.array(0).dtype.itemsize)
    shape = pyramid.block_shape(min(1, len(pyramid.levels) - 1))
    # The block, its chunks and the shard of them; a band, its votes, and what numpy.pad copies.
    return 3 * itemsize * math.prod(shape) + 3 * BAND_BYTES * max(1, itemsize // 4)


@dataclass(frozen=True)
class Reduced:
    """Block function: what a kernel makes of the finer level.

    The finer voxels of a block are eight times as many: a gigabyte of uint64. So it reads them
    itself, in bands of rows.

    Attributes
    ----------
    finer
        The finer level.
    kernel
        `fibseg.geometry.downsample_mean`, `downsample_mode` or `downsample_annotation`.
    factors
        Finer voxels per voxel, (z, y, x).
    """

    finer: Any
    kernel: Callable[..., NDArray[Any]]
    factors: tuple[int, int, int]

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Nothing."""
        return Box(write.start, write.start)

    def own_bytes(self, write: Box) -> int:
        """Bytes of the finer voxels of a box."""
        fine = finer_box(write, self.factors).clip(self.finer.shape)
        return fine.size * int(self.finer.dtype.itemsize)

    def __call__(self, *, block: Block) -> NDArray[Any]:
        """Voxels of the write box."""
        result = np.empty(block.write.shape, dtype=self.finer.dtype)
        n_rows = self._rows(block.write.shape)
        for row in range(0, result.shape[1], n_rows):
            band = Box((0, row, 0), (result.shape[0], row + n_rows, result.shape[2]))
            band = band.clip(result.shape)
            fine = finer_box(band.shift(block.write.start), self.factors).clip(self.finer.shape)
            result[band.slices] = self.kernel(
                np.asarray(self.finer[fine.slices]), factors=self.factors
            )
        return result

    def _rows(self, shape: Sequence[int]) -> int:
        """Rows of a band whose finer voxels are at most `BAND_BYTES`, but at least `BAND_ROWS`."""
        row = shape[0] * shape[2] * math.prod(self.factors) * int(self.finer.dtype.itemsize)
        return max(1, BAND_BYTES // row // BAND_ROWS) * BAND_ROWS


def finer_box(box: Box, factors: Sequence[int]) -> Box:
    """Voxels of the finer level that a box is made of; beyond the border where that is odd.

    >>> finer_box(Box((0, 2, 4), (1, 3, 6)), (1, 2, 2))
    Box(start=(0, 4, 8), stop=(1, 6, 12))
    """
    return Box(
        tuple(a * f for a, f in zip(box.start, factors, strict=True)),
        tuple(b * f for b, f in zip(box.stop, factors, strict=True)),
    )


@dataclass(frozen=True)
class Seen:
    """What was found in some boxes: their facts and, where it was asked for, their histogram."""

    facts: tuple[Facts, ...] = ()
    histogram: NDArray[np.int64] | None = None

    def __add__(self, other: Seen) -> Seen:
        """Both, in order."""
        if self.histogram is None or other.histogram is None:
            return Seen(self.facts + other.facts)
        return Seen(self.facts + other.facts, self.histogram + other.histogram)


@dataclass(frozen=True)
class Look(OwnBox):
    """Block function: facts of a box of level 0 if `digest`, its histogram if `count`."""

    shape: Shape
    digest: bool
    count: bool

    def __call__(self, voxels: NDArray[Any], *, block: Block) -> Seen:
        """What is found in the box."""
        counts = None
        if self.count:
            counts = no_counts(voxels.dtype)
            tally(counts, voxels)
        facts = box_facts(voxels, block.write, self.shape) if self.digest else ()
        return Seen(tuple(facts), counts)
