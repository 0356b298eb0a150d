"""Corners of all objects in a file, found block by block: what nearest surfaces are looked up in.

In the one large file of `row_files` those of an object are sorted: it is the same for any blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, appended, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import corners
from fibseg.measure.corners import Corners
from fibseg.measure.nearest_objects import centre_neighbours, surface_neighbours
from fibseg.pipeline.bench import Array
from fibseg.pipeline.row_files import rows_of_objects, write_rows
from fibseg.types import Spacing, Table


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
        places = np.stack([table[axis] for axis in "zyx"], axis=1)
        return write_rows(self.folder, block.index, table["label"], places)


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
    return Corners(*rows_of_objects(place, found, in_order=_sorted))


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


def _sorted(places: NDArray[np.int32]) -> NDArray[np.int32]:
    """Corners of one object, by place."""
    return places[np.lexsort(places.T[::-1])]
