"""Voxels of a level as TIFF: one file, or a folder with a file for each plane."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.blocks.room import free_memory
from fibseg.pipeline.bench import Array, OwnBox, Voxelwise
from fibseg.pipeline.travel_plan import Journey
from fibseg.progress import track
from fibseg.volume.files import built, remove_tree
from fibseg.volume.tiff_volume import OME, style_of, write_volume

EXACT = 2**24
"""Fiji turns 32-bit integers into float32, which holds whole numbers exactly up to here."""
_SHARE = 0.25
_TYPES = (np.uint8, np.uint16, np.uint32)
_log = logging.getLogger("fibseg.export")


@dataclass(frozen=True)
class Largest(OwnBox):
    """Block function: the largest number in the block."""

    def __call__(self, labels: NDArray[Any], *, block: Block) -> int:
        """A plain whole number."""
        return int(labels.max(initial=0))


def write_tiffs(journey: Journey, *, runner: Runner) -> str:
    """Write what is to be exported; returns what it is.

    Labels get the smallest of uint8, uint16 and uint32 that holds the largest of them.
    """
    array = journey.array
    dtype = np.dtype(array.dtype)
    if journey.what.startswith("labels/"):
        dtype = _dtype_of(journey, runner)
    planes = (plane.astype(dtype, copy=False) for plane in _planes(array))
    shape = (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
    tracked = track(planes, total=shape[0], label="export", unit="plane")
    told = f"{dtype.name}, {shape[0]} planes of {shape[1]} × {shape[2]}, spacing in nm"
    one: dict[str, Any] = {"dtype": dtype, "note": journey.note, "spacing": journey.spacing}
    if journey.separate:
        with built(journey.path) as folder:
            folder.mkdir()
            for z, plane in enumerate(tracked):
                path = folder / f"{journey.name}_{z:05d}.tif"
                write_volume(path, [plane], shape=(1, *shape[1:]), **one)
            remove_tree(journey.path)
        return told
    write_volume(journey.path, tracked, shape=shape, **one)
    if style_of(journey.path, shape=shape, dtype=dtype) == OME:
        told += ", OME-TIFF: Fiji opens it with Bio-Formats"
    return told


def _dtype_of(journey: Journey, runner: Runner) -> np.dtype[Any]:
    """The smallest type that holds all labels."""
    highest = reduce_blocks(
        Largest(), journey.array, max, block_shape=journey.block_shape, runner=runner,
        label="labels",
    )
    highest = highest or 0
    if highest > EXACT:
        _log.warning(
            "%s has numbers up to %s. Fiji shows 32-bit numbers as float32, which are exact only "
            "up to %s: do not tell objects apart by them there.",
            journey.what, f"{highest:,}", f"{EXACT:,}",
        )
    return np.dtype(next(t for t in _TYPES if highest <= np.iinfo(t).max))


def _planes(array: Array) -> Iterator[NDArray[Any]]:
    """All planes, read as many at once as chunks are thick and a quarter of the memory holds."""
    n, y, x = array.shape
    n_bytes = max(1, y * x * np.dtype(array.dtype).itemsize)
    stored = array.array if isinstance(array, Voxelwise) else array
    most = max(1, int(_SHARE * free_memory() // n_bytes))
    depth = min(int(stored.chunks[0]), most)
    for z in range(0, n, depth):
        yield from np.asarray(array[z : z + depth])
