"""Size, place and bounding box of every object, from integer sums that add over blocks.

The sums are exact, so the table is the same for any blocks, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cc3d
import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.types import Labels, Shape, Spacing, Table

AXES = "zyx"


def partial(labels: Labels, *, start: Sequence[int]) -> Table:
    """Integer sums of every object in one block: voxels, coordinates, bounding box.

    Parameters
    ----------
    labels
        Numbered objects of the block, shape (z, y, x).
    start
        Where the block begins in the volume, in voxels (z, y, x).

    Returns
    -------
    Table
        ``label``, ``n_voxels``, ``sum_…``, ``start_…``, ``stop_…`` (half-open) per axis, all
        int64 (``label`` as in `labels`), rows sorted by label.
    """
    ids = fastremap.unique(labels) if labels.size else np.zeros(0, dtype=labels.dtype)
    ids = ids[ids > 0]
    if not len(ids):
        return _nothing(labels.dtype)
    small, mapping = fastremap.renumber(np.ascontiguousarray(labels), in_place=False)
    found = cc3d.statistics(small, no_slice_conversion=True)
    row = np.array([mapping[value] for value in ids.tolist()], dtype=np.int64)
    n = found["voxel_counts"][row].astype(np.int64)
    sums: Table = {"label": ids, "n_voxels": n}
    for axis, name in enumerate(AXES):
        # cc3d divides an exact sum by the count; a block is far too small for the way back to
        # miss the integer.
        total = np.rint(found["centroids"][row, axis] * n).astype(np.int64)
        sums[f"sum_{name}"] = total + n * start[axis]
    for axis, name in enumerate(AXES):
        box = found["bounding_boxes"][row, 2 * axis : 2 * axis + 2].astype(np.int64) + start[axis]
        sums[f"start_{name}"], sums[f"stop_{name}"] = box[:, 0], box[:, 1] + 1
    return sums


def merge(first: Table, second: Table) -> Table:
    """Sums of both blocks together."""
    label, row = np.unique(
        np.concatenate([first["label"], second["label"]]), return_inverse=True
    )
    merged: Table = {"label": label}
    for name in first:
        if name != "label":
            values = np.concatenate([first[name], second[name]])
            merged[name] = _combined(name, values, row, len(label))
    return merged


def finish(sums: Table | None, *, shape: Shape, spacing: Spacing) -> Table:
    """Table of the objects of a volume, one row each, sorted by label.

    Parameters
    ----------
    sums
        Merged `partial` of all blocks; None for an empty volume.
    shape
        Shape of the volume in voxels (z, y, x), to tell which objects touch its border.
    spacing
        Size of a voxel in nm, (z, y, x).

    Returns
    -------
    Table
        ``label``, ``n_voxels``, ``volume_um3``, ``centroid_z_um`` … (of voxel centres, the first
        voxel of the volume at 0), ``bbox_z_start``, ``bbox_z_stop`` … (voxels, half-open),
        ``touches_border`` (a face of the volume).
    """
    sums = _nothing(np.dtype(np.uint32)) if sums is None else sums
    n = sums["n_voxels"]
    table: Table = {
        "label": sums["label"], "n_voxels": n, "volume_um3": n * (math.prod(spacing) * 1e-9),
    }
    touches = np.zeros(len(n), dtype=bool)
    for name, size_nm in zip(AXES, spacing, strict=True):
        table[f"centroid_{name}_um"] = sums[f"sum_{name}"] / n * (size_nm * 1e-3)
    for name, length in zip(AXES, shape, strict=True):
        start, stop = sums[f"start_{name}"], sums[f"stop_{name}"]
        table[f"bbox_{name}_start"], table[f"bbox_{name}_stop"] = start, stop
        touches |= (start == 0) | (stop == length)
    table["touches_border"] = touches
    return table


def measure(labels: Labels, *, spacing: Spacing) -> Table:
    """Table of all objects of a whole volume in memory; columns of `finish`."""
    z, y, x = labels.shape
    return finish(partial(labels, start=(0, 0, 0)), shape=(z, y, x), spacing=spacing)


def _combined(
    name: str, values: NDArray[np.int64], row: NDArray[np.intp], n: int
) -> NDArray[np.int64]:
    if name.startswith("start_"):
        out = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(out, row, values)
    elif name.startswith("stop_"):
        out = np.zeros(n, dtype=np.int64)
        np.maximum.at(out, row, values)
    else:
        out = np.zeros(n, dtype=np.int64)
        np.add.at(out, row, values)
    return out


def _nothing(dtype: np.dtype[np.generic]) -> Table:
    kinds = ["n_voxels", *(f"{kind}_{axis}" for kind in ("sum", "start", "stop") for axis in AXES)]
    empty = {name: np.zeros(0, dtype=np.int64) for name in kinds}
    return {"label": np.zeros(0, dtype=dtype), **empty}
