"""Objects of a volume that no memory holds, numbered anew: 1 … N by their first voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, map_blocks, reduce_blocks
from fibseg.geometry import Box
from fibseg.pipeline.bench import Array, LookedUp, OwnBox, Sheet
from fibseg.postprocess.numbers import first_voxels, ranks
from fibseg.volume.files import room_for

Places = NDArray[np.int64]
"""Shape (2, n): numbers of objects, ascending, and the first voxel of each, in C order."""


@dataclass(frozen=True)
class FirstVoxels(OwnBox):
    """Block function: where in a volume of `shape` the objects of the block come first."""

    shape: tuple[int, ...]

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Places:
        """Numbers and places."""
        values, first = first_voxels(labels)
        return np.stack([values.astype(np.int64), in_volume(first, block.write, self.shape)])


def in_volume(voxels: NDArray[np.int64], box: Box, shape: Sequence[int]) -> NDArray[np.int64]:
    """Places in C order in a volume, of places in C order in a box of it.

    >>> in_volume(np.array([0, 3]), Box((1, 1), (3, 3)), (4, 10))
    array([11, 22])
    """
    place = np.unravel_index(voxels, box.shape)
    moved = tuple(p + a for p, a in zip(place, box.start, strict=True))
    return np.asarray(np.ravel_multi_index(moved, tuple(shape)), dtype=np.int64)


def sooner(one: Places, other: Places) -> Places:
    """The objects of both, each where it comes first."""
    both = np.concatenate([one, other], axis=1)
    both = both[:, np.lexsort((both[1], both[0]))]
    return both[:, np.concatenate([[True], np.diff(both[0]) > 0])] if both.size else both


def first_places(
    labels: Array, *, block_shape: Sequence[int], runner: Runner, label: str
) -> Places:
    """All objects and where each comes first."""
    found: Places | None = reduce_blocks(
        FirstVoxels(tuple(labels.shape)), labels, sooner, block_shape=block_shape, runner=runner,
        label=label,
    )
    return np.zeros((2, 0), dtype=np.int64) if found is None else found


def write_numbered(
    labels: Array, places: Places, target: Sheet, *, stays: NDArray[np.bool_] | None = None,
    block_shape: Sequence[int], runner: Runner, inputs: str, label: str,
) -> int:
    """Write objects, numbered anew, into `target`; returns how many there are.

    Parameters
    ----------
    labels
        Numbered objects.
    places
        All of them.
    stays
        Which of them are written; None: all.
    """
    numbers, first = places if stays is None else places[:, stays]
    table = np.zeros(int(places[0].max(initial=0)) + 1, dtype=target.array.dtype)
    table[numbers] = ranks(first)
    map_blocks(
        LookedUp(stored_table(target, table)), labels, target.array, block_shape=block_shape,
        runner=runner, journal=target.journal, fingerprint=inputs, label=label,
    )
    return len(numbers)


def stored_table(sheet: Sheet, entries: NDArray[Any]) -> Path:
    """File of the entries by number, which workers open."""
    sheet.folder.mkdir(parents=True, exist_ok=True)
    with room_for(sheet.folder, entries.nbytes):
        np.save(sheet.folder / "table.npy", entries)
    return sheet.folder / "table.npy"
