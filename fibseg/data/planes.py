"""The annotated planes of a store, and their neighbours, loaded once on working pixels."""

from __future__ import annotations

import logging
import operator
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.data.normalise import Normalisation
from fibseg.data.resample import SAME, resample, resample_annotation, resampled_shape
from fibseg.data.sparse import SparseData
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.types import Spacing

if TYPE_CHECKING:
    from fibseg.volume import Volume

logger = logging.getLogger("fibseg.data")
BAND_BYTES = 256e6
"""Bytes of a slab of planes that are read at a time."""


@dataclass(frozen=True)
class PlaneStack:
    """Annotated planes of one store, on working pixels.

    Parameters
    ----------
    name
        Name of the store.
    z
        Plane numbers in the store, ascending, one per row of `annotation`.
    image
        Planes in the raw's own units, shape (n, y, x): the annotated ones and their neighbours.
    rows
        Rows of `image` that are the channels of each annotated plane, shape (m, 2 context + 1).
    annotation
        Shape (m, y, x), uint8; held-out parts are set to 0 by the split.
    normalisation
        That of the whole volume.
    shape
        Shape of the store on level 0.
    spacing, working
        Spacing of the store and of the planes here, nm.
    """

    name: str
    z: tuple[int, ...]
    image: NDArray[Any]
    rows: NDArray[np.int64]
    annotation: NDArray[np.uint8]
    normalisation: Normalisation
    shape: tuple[int, int, int]
    spacing: Spacing
    working: Spacing


def working_spacing(spacing: Spacing, data: SparseData) -> Spacing:
    """Spacing (z, y, x) in nm that the network works at, for the first store's `spacing`."""
    if data.spacing is not None:
        return data.spacing
    if data.pixel_nm is None:
        return spacing
    y, x = (s * max(1, int(data.pixel_nm / s + 1e-6)) for s in spacing[1:])
    return spacing[0], y, x


def load_planes(
    volumes: Sequence[Volume], annotations: Sequence[str], *, data: SparseData, context: int = 0,
    folder: Path | None = None, runner: Runner | None = None,
) -> list[PlaneStack]:
    """Return the annotated planes of every store, all on the same working pixels.

    Parameters
    ----------
    volumes, annotations
        Stores, and the name of the annotation in each.
    data
        Settings: working spacing, patch, memory.
    context
        Neighbouring planes on each side; beyond the first and last plane they are mirrored.
    folder
        Where planes that do not fit in memory go; a temporary folder if None.
    runner
        Where painted planes are looked for; in this process if None.

    Raises
    ------
    DataError
        If nothing is painted, a plane is smaller than a patch, or with context the distance of
        planes differs by more than 10 % (pixels within the plane are resampled, and it is said).
    """
    working = working_spacing(volumes[0].spacing, data)
    stacks = []
    for volume, name in zip(volumes, annotations, strict=True):
        _check_spacing(volume, working, context)
        z = _painted(volume, name, runner)
        stacks.append(_load(volume, name, z, working, data, context, folder))
        if min(stacks[-1].annotation.shape[1:]) < data.patch:
            y, x = stacks[-1].annotation.shape[1:]
            raise DataError(
                f"A plane of {volume.name} has {y} x {x} pixels of {working[1]:g} x "
                f"{working[2]:g} nm, less than a patch of {data.patch}. Set data.patch="
                f"{max(16, min(y, x) // 16 * 16)} or less."
            )
    return stacks


def _check_spacing(volume: Volume, working: Spacing, context: int) -> None:
    """Log resampling; refuse to mix plane distances where neighbours are channels."""
    own = volume.spacing
    if any(abs(a / b - 1) > SAME for a, b in zip(own[1:], working[1:], strict=True)):
        logger.info(
            "%s has pixels of %g x %g nm; its planes are resampled to %g x %g nm.",
            volume.name, own[1], own[2], working[1], working[2],
        )
    if abs(own[0] / working[0] - 1) > SAME:
        if context:
            raise DataError(
                f"{volume.name} has planes {own[0]:g} nm apart, the working spacing is "
                f"{working[0]:g} nm: neighbouring planes would mean different things. "
                "Set network.context=0, or train on volumes of one plane distance."
            )
        logger.info("%s has planes %g nm apart, not %g nm.", volume.name, own[0], working[0])


def _painted(volume: Volume, name: str, runner: Runner | None) -> list[int]:
    """Numbers of the painted planes of one store, of which there is one at least."""
    z = painted_planes(volume.labels(volume.annotation_name(name)), runner=runner)
    if not z:
        raise DataError(
            f"{volume.annotation_name(name)} of {volume.name} is unlabelled (0) everywhere. "
            "Paint background (1) and classes (2…) on a few planes and import it again."
        )
    return z


def _load(
    volume: Volume, name: str, z: Sequence[int], working: Spacing, data: SparseData, context: int,
    folder: Path | None,
) -> PlaneStack:
    """Planes `z` of one store."""
    array = volume.labels(volume.annotation_name(name))
    neighbours = [[mirrored(p + d, volume.shape[0]) for d in range(-context, context + 1)]
                  for p in z]
    needed = sorted({p for row in neighbours for p in row})
    own_yx, new_yx = volume.spacing[1:], working[1:]
    shape = resampled_shape(volume.shape[1:], own_yx, new_yx)
    raw = volume.raw()
    image = allocate((len(needed), *shape), raw.dtype, data.memory_gb, folder)
    for row, plane in enumerate(read_planes(raw, needed)):
        image[row] = plane if shape == plane.shape else _rounded(
            resample(plane, own_yx, new_yx), raw.dtype
        )
    annotation = allocate((len(z), *shape), np.dtype(np.uint8), data.memory_gb, folder)
    for row, plane in enumerate(read_planes(array, z)):
        annotation[row] = resample_annotation(plane, own_yx, new_yx)
    rows = np.array([[needed.index(p) for p in row] for row in neighbours], np.int64)
    return PlaneStack(
        volume.name, tuple(z), image, rows, annotation, Normalisation.of(volume), volume.shape,
        volume.spacing, (volume.spacing[0], *new_yx),
    )


def mirrored(z: int, n: int) -> int:
    """Plane number reflected into 0 to n - 1, without repeating the border plane.

    >>> [mirrored(z, 4) for z in (-2, -1, 3, 4, 5)]
    [2, 1, 3, 2, 1]
    """
    if n == 1:
        return 0
    z = abs(z) % (2 * n - 2)
    return z if z < n else 2 * n - 2 - z


def painted_planes(array: Any, *, runner: Runner | None = None) -> list[int]:
    """Numbers of the planes with any label, ascending; reads every block of the array once.

    Parameters
    ----------
    array
        Annotation, shape (z, y, x).
    runner
        Where blocks are read; in this process if left out.
    """
    stored = getattr(array, "shards", None) or getattr(array, "chunks", None)
    found: set[int] | None = reduce_blocks(
        _Painted(), array, operator.or_, block_shape=stored or array.shape, runner=runner,
        label="painted planes",
    )
    return sorted(found or ())


class _Painted:
    """Block function: the planes of a block with any label."""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write

    def __call__(self, annotation: NDArray[Any], *, block: Block) -> set[int]:
        """Numbers of the planes."""
        return {block.write.start[0] + int(k) for k in np.flatnonzero(annotation.any((1, 2)))}


def read_planes(array: Any, z: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield planes `z` (ascending) of an array (z, y, x), each chunk being read once."""
    depth = (getattr(array, "chunks", None) or (16,))[0]
    for slab in sorted({p // depth for p in z}):
        wanted = [p for p in z if p // depth == slab]
        start, stop = wanted[0], wanted[-1] + 1
        planes = np.empty((len(wanted), *array.shape[1:]), array.dtype)
        for band in _bands(array, stop - start):
            planes[:, band] = np.asarray(array[start:stop, band])[[p - start for p in wanted]]
        yield from planes


def _bands(array: Any, depth: int) -> Iterator[slice]:
    """Bands of rows, multiples of the chunks, of which a slab takes a bounded memory."""
    chunk = (getattr(array, "chunks", None) or (1, 64))[1]
    row_bytes = depth * array.shape[2] * array.dtype.itemsize
    step = max(chunk, int(BAND_BYTES / row_bytes) // chunk * chunk)
    for start in range(0, array.shape[1], step):
        yield slice(start, min(start + step, array.shape[1]))


def allocate(
    shape: tuple[int, ...], dtype: np.dtype[Any], memory_gb: float, folder: Path | None
) -> NDArray[Any]:
    """An array in memory, or a file that vanishes with the process where it is too large."""
    if np.prod(shape, dtype=float) * dtype.itemsize <= memory_gb * 1e9:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def _rounded(plane: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Means in the raw's own integers again."""
    return np.rint(plane).astype(dtype) if np.issubdtype(dtype, np.integer) else plane
