"""Coarser levels of an image or label image, built block by block in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from fibseg.geometry import (
    Box,
    downsample_annotation,
    downsample_mean,
    downsample_mode,
    halving_factors,
)
from fibseg.types import Shape, Spacing
from fibseg.volume.digests import Records, box_facts, note, to_records
from fibseg.volume.files import remove_tree
from fibseg.volume.layout import block_shape, boxes, create_array, watched

SMALL_ENOUGH = 128
MAX_LEVELS = 10
ROWS = 128
KERNELS: dict[str, Callable[..., NDArray[Any]]] = {
    "image": downsample_mean,
    "probabilities": downsample_mean,
    "distances": downsample_mean,
    "labels": downsample_mode,
    "annotation": downsample_annotation,
}


@dataclass(frozen=True)
class Level:
    """Shape, spacing in nm, and factors against the level before."""

    shape: Shape
    spacing: Spacing
    factors: tuple[int, int, int] = (1, 1, 1)


def plan_levels(shape: Shape, spacing: Spacing) -> list[Level]:
    """Levels of a pyramid, finest first, until no axis is longer than 128 voxels.

    >>> [level.shape for level in plan_levels((60, 500, 500), (30.0, 10.0, 10.0))]
    [(60, 500, 500), (60, 250, 250), (60, 125, 125)]
    """
    levels = [Level(shape, spacing)]
    while max(levels[-1].shape) > SMALL_ENOUGH and len(levels) < MAX_LEVELS:
        last = levels[-1]
        factors = halving_factors(last.shape, last.spacing)
        if factors == (1, 1, 1):
            break
        z, y, x = (-(-n // f) for n, f in zip(last.shape, factors, strict=True))
        sz, sy, sx = (s * f for s, f in zip(last.spacing, factors, strict=True))
        levels.append(Level((z, y, x), (sz, sy, sx), factors))
    return levels


def build_levels(
    group: Path, finest: zarr.Array[Any], levels: list[Level], *, kind: str, ome_version: str
) -> list[Records]:
    """Write levels 1, 2 … of `levels` into `group`, each from the level before it.

    Returns the records of the boxes of each of them.
    """
    source, written = finest, list[Records]()
    for number, level in enumerate(levels[1:], start=1):
        path = group / str(number)
        remove_tree(path)
        target = create_array(
            path, shape=level.shape, dtype=finest.dtype, ome_version=ome_version
        )
        kernel = partial(KERNELS[kind], factors=level.factors)
        block = block_shape(level.shape, ome_version=ome_version)
        records = to_records((), level.shape)
        for box in watched(boxes(level.shape, block), label=f"pyramid level {number}"):
            voxels = _reduce(source, box, kernel, level.factors)
            target[box.slices] = voxels
            note(records, box_facts(voxels, box, level.shape))
        source = target
        written.append(records)
    return written


def _reduce(
    source: zarr.Array[Any],
    box: Box,
    kernel: Callable[..., NDArray[Any]],
    factors: tuple[int, int, int],
) -> NDArray[Any]:
    """Voxels of one coarse block, from bands of rows of the finer level."""
    result = np.empty(box.shape, dtype=source.dtype)
    # A whole fine block would be eight times the coarse one: half a gigabyte of uint32.
    for band in boxes(box.shape, (box.shape[0], ROWS, box.shape[2])):
        there = band.shift(box.start)
        fine = Box(
            tuple(a * f for a, f in zip(there.start, factors, strict=True)),
            tuple(b * f for b, f in zip(there.stop, factors, strict=True)),
        ).clip(source.shape)
        result[band.slices] = kernel(source[fine.slices])
    return result
