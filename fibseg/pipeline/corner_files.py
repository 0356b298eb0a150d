"""Corners of all objects in a file, found block by block: what nearest surfaces are looked up in.

Each block writes its corners, sorted by object, and tells how many each object has there. From
these numbers everybody's place in one large file follows, so that no more than a block of them is
in memory. There, those of an object are sorted: the file is the same for any blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, appended, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import corners
from fibseg.measure.corners import Corners
from fibseg.measure.nearest_objects import centre_neighbours, surface_neighbours
from fibseg.measure.runs import first_of_equal
from fibseg.pipeline.bench import Array
from fibseg.types import Spacing, Table
from fibseg.volume.files import room_for, write_bytes


@dataclass(frozen=True)
class FindCorners:
    """Block function: writes the corners of all objects in a block, returns how many there are."""

    folder: Path
    shape: tuple[int, ...]

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the voxel before it along every axis."""
        return Box(tuple(start - 1 for start in write.start), write.stop).clip(shape)

    def __call__(self, labels: NDArray[Any], *, block: Block) -> Table:
        """``block``, ``label`` and ``n`` of every object in the block."""
        table = corners.partial(
            labels, inside=block.write.relative_to(block.read), start=block.write.start,
            shape=self.shape,
        )
        first = first_of_equal(table["label"])
        if len(first):
            content = BytesIO()
            np.save(content, np.stack([table[axis] for axis in "zyx"], axis=1))
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(_file_of(self.folder, block.index), content.getvalue())
        return {
            "block": np.full(len(first), block.index, dtype=np.int64),
            "label": table["label"][first], "n": np.diff(first, append=len(table["label"])),
        }


def find_corners(
    labels: Array,
    *,
    folder: Path,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    inputs: str = "",
) -> Corners:
    """Corners of all objects of a label image that no memory holds; an interrupted run goes on.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    folder
        Where corners are kept; the caller removes it.
    block_shape, runner
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what `labels` are.
    """
    key = layout_key(inputs=inputs, step="corners", block_shape=list(block_shape))
    place = folder / f"corners-{key[:16]}"
    shape = tuple(labels.shape)
    found: Table | None = reduce_blocks(
        FindCorners(place, shape), labels, appended, block_shape=block_shape, runner=runner,
        scratch=place / "found", fingerprint=key, label="corners",
    )
    if found is None or not len(found["n"]):
        return Corners(np.zeros(0, labels.dtype), np.zeros(1, np.intp), np.zeros((0, 3), np.int32))
    names, row = np.unique(found["label"], return_inverse=True)
    n = np.bincount(row, weights=found["n"]).astype(np.intp)
    first = np.append(0, np.cumsum(n))
    path = place / "all.npy"
    if not path.exists():
        _put_together(path, found, row, first)
    return Corners(names, first, np.load(path, mmap_mode="r"))


def neighbour_table(
    table: Table, corners: Corners, *, k: int, spacing: Spacing
) -> Table:
    """Columns of the `k` nearest others, by centres and by surfaces, of the objects of a table.

    Parameters
    ----------
    table
        ``label`` (sorted) and ``centroid_z_um`` … of the objects.
    corners
        Of the same objects. One that fills the volume has none, and no neighbours.
    k
        How many, at least 1.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    by_surface = surface_neighbours(corners, k=k, spacing=spacing)
    there = np.isin(table["label"], by_surface.pop("label"))
    found = centre_neighbours(table, k=k)
    del found["label"]
    for name, values in by_surface.items():
        missing = np.nan if name.endswith("_um") else 0
        found[name] = np.full(len(there), missing, dtype=values.dtype)
        found[name][there] = values
    return found


def _put_together(
    path: Path, found: Table, row: NDArray[np.intp], first: NDArray[np.intp]
) -> None:
    """Write the corners of all blocks to one file, object by object."""
    partial = path.with_name(f".{path.name}")
    with room_for(path, int(first[-1]) * 12):
        places = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.int32, shape=(int(first[-1]), 3)
        )
        free, n_blocks = first[:-1].copy(), np.zeros(len(first) - 1, dtype=np.intp)
        begins = first_of_equal(found["block"])
        for begin, end in zip(begins, np.append(begins[1:], len(row)), strict=True):
            rows, n = row[begin:end], found["n"][begin:end]
            here = np.load(_file_of(path.parent, int(found["block"][begin])))
            within = np.arange(len(here)) - np.repeat(np.cumsum(n) - n, n)
            places[np.repeat(free[rows], n) + within] = here
            free[rows] += n
            n_blocks[rows] += 1
        for several in np.flatnonzero(n_blocks > 1):
            own = slice(first[several], first[several + 1])
            places[own] = places[own][np.lexsort(places[own].T[::-1])]
        places.flush()
    del places
    partial.replace(path)


def _file_of(folder: Path, index: int) -> Path:
    return folder / f"corners-{index}.npy"
