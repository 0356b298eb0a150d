"""The two passes of an import over its source, block by block: look at it, then store it."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, map_blocks, reduce_blocks
from fibseg.blocks.task import IN_FLIGHT
from fibseg.errors import DataError, PartlyDoneError
from fibseg.pipeline.bench import OwnBox
from fibseg.pipeline.ingest_memory import Memory
from fibseg.types import Shape
from fibseg.volume.files import partial_path
from fibseg.volume.sources import (
    Part,
    Source,
    Survey,
    UnpackedPlanes,
    part_of,
    reading_blocks,
    writing_blocks,
)

Convert = Callable[[NDArray[Any]], NDArray[Any]]
_DATA_ERROR = f"{DataError.__name__}: "


@dataclass(frozen=True)
class SurveyBlock(OwnBox):
    """Block function: what is in a block of whole rows of a source."""

    count: bool = False
    histogram: bool = False

    def __call__(self, voxels: NDArray[Any], *, block: Block) -> Part:
        """Range, values, NaN and hashes of the block."""
        return part_of(voxels, block.write.start, count=self.count, histogram=self.histogram)


@dataclass(frozen=True)
class ConvertBlock(OwnBox):
    """Block function: voxels of a source as they are stored."""

    convert: Convert

    def __call__(self, voxels: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """The block, converted."""
        return self.convert(voxels)


def survey(
    source: Source, *, memory: Memory, count: bool = False, histogram: bool = False
) -> Survey:
    """Survey of every voxel of `source`; nothing is written.

    Parameters
    ----------
    count, histogram
        Whether `Survey.counts` and `Survey.histogram` are asked for.

    Raises
    ------
    DataError
        If parts of the source cannot be read.
    """
    # a block and its copy; counting needs 8 bytes a voxel besides
    per_voxel = source.dtype.itemsize * 2 + 8
    runner, room = memory.shared(per_voxel * math.prod(source.unit))
    shape = reading_blocks(source.shape, source.unit, voxels=room / per_voxel)
    try:
        whole: Part = reduce_blocks(
            SurveyBlock(count, histogram), source, operator.add, block_shape=shape, runner=runner,
            label="survey",
        )
    except PartlyDoneError as error:
        said = _said_of_data(error)
        if said is None:
            raise
        raise DataError(said) from error
    return whole.finish(source.shape, source.dtype)


def copy(
    source: Source, target: Any, *, unit: Shape, convert: Convert, memory: Memory,
    journal: Path, fingerprint: str, scratch: Path, label: str,
) -> None:
    """Write every voxel of `source`, converted, into `target`; goes on where it was stopped.

    Parameters
    ----------
    unit
        Voxels (z, y, x) that one block writes at least: a shard.
    convert
        A picklable function of voxels.
    journal, fingerprint, label
        As in `map_blocks`.
    scratch
        Path beside which planes may be unpacked, under a hidden name.

    Raises
    ------
    PartlyDoneError, InterruptedRunError, DiskFullError
        As in `map_blocks`.
    """
    # source voxels and their converted copy, plus zarr's chunks and the encoded shard
    per_voxel = source.dtype.itemsize * 1.5 + np.dtype(target.dtype).itemsize * 3
    plane = math.prod(source.shape[1:]) * source.dtype.itemsize if source.plane_wise else 0
    runner, room = memory.shared(per_voxel * math.prod(map(min, unit, source.shape)) + plane)
    shape = writing_blocks(source.shape, unit, voxels=(room - plane) / per_voxel)
    with cheap_to_cut(source, shape, runner, scratch) as readable:
        map_blocks(
            ConvertBlock(convert), readable, target, block_shape=shape, runner=runner,
            journal=journal, fingerprint=fingerprint, label=label,
        )


@contextlib.contextmanager
def cheap_to_cut(
    source: Source, shape: Shape, runner: Runner, scratch: Path
) -> Iterator[Source]:
    """The source, such that no plane is decoded again for every block that it lies in.

    Parameters
    ----------
    shape
        Of the blocks (z, y, x) in which it is read by `runner`, in C order.
    scratch
        Path beside which planes may be unpacked, under a hidden name.
    """
    folder = partial_path(scratch)  # also removes what a killed import left
    blocks_per_slab = math.prod(
        math.ceil(n / b) for n, b in zip(source.shape[1:], shape[1:], strict=True)
    )
    if blocks_per_slab == 1 or not source.plane_wise:
        yield source
        return
    in_flight = IN_FLIGHT * getattr(runner, "workers", 1)
    keep = shape[0] * math.ceil(in_flight / blocks_per_slab)
    with UnpackedPlanes(source, folder, keep=keep) as planes:
        yield planes


def _said_of_data(error: PartlyDoneError) -> str | None:
    """What its readers say is wrong with a source; None if something else went wrong."""
    if not error.reasons or not all(text.startswith(_DATA_ERROR) for text in error.reasons):
        return None
    first, *others = dict.fromkeys(text.removeprefix(_DATA_ERROR) for text in error.reasons)
    more = f" {len(others)} more of its blocks cannot be read; the log says what ails them."
    return first + (more if others else "")
