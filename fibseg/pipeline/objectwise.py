"""Work on numbered objects that no memory holds: growing, and splitting one object at a time.

Growing looks no farther than it grows, so it is a local operator. Splitting needs each object as
a whole:

1. *Boxes*: a pass over the labels gives the bounding box of every object; those too large for the
   memory are cut into tiles.
2. *Parts*: each piece is read by its box, wherever blocks run, and split. Where it falls apart,
   its parts go into a file of the scratch folder; of most pieces nothing has to be kept.
3. *Numbers*: parts are ranked by their first voxels, and a second pass writes each block from the
   pieces that reach into it, so that every shard has one writer.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fibseg import postprocess
from fibseg.blocks import Runner, layout_key, map_blocks, reduce_blocks
from fibseg.pipeline.bench import Array, Sheet
from fibseg.pipeline.pieces import BATCH, Batch, PasteParts, PieceList, SplitPieces, number_parts
from fibseg.pipeline.region_sums import region_sums
from fibseg.postprocess.pieces import MAX_OBJECT_VOXELS, cut_objects
from fibseg.postprocess.watershed import check_depth
from fibseg.types import Spacing

_log = logging.getLogger("fibseg.pipeline")
_NAMED = 8


@dataclass(frozen=True)
class Split:
    """What came of a splitting: how many objects, and which were too large to be seen whole."""

    n_objects: int
    cut: list[int]


def split_objects(
    labels: Array,
    target: Sheet,
    *,
    depth_nm: float,
    max_object_voxels: int = MAX_OBJECT_VOXELS,
    block_shape: Sequence[int],
    runner: Runner,
    spacing: Spacing,
    inputs: str = "",
) -> Split:
    """Write the parts of all objects into `target`, as `fibseg.postprocess.split_objects` does.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    target
        Unsigned integers on the same grid; must not be `labels` itself.
    depth_nm, max_object_voxels
        As in `fibseg.postprocess.split_objects`. A worker holds about 80 bytes for every voxel in
        the bounding box of an object.
    block_shape, runner
        As in `fibseg.blocks.map_blocks`.
    spacing
        Size of a voxel in nm, (z, y, x).
    inputs
        Hash of what `labels` are.

    Raises
    ------
    UsageError
        If a setting cannot be meant.
    DataError
        If there are more parts than `target` can number.
    """
    check_depth(depth_nm)
    key = layout_key(
        inputs=inputs, step="split_objects", depth_nm=depth_nm,
        max_object_voxels=max_object_voxels, spacing=spacing,
    )
    folder = target.folder / f"pieces-{key[:16]}"
    sums = region_sums(
        labels, block_shape=block_shape, runner=runner, moments=False, label="split: boxes",
        scratch=folder / "boxes", inputs=key,
    )
    corners = (np.stack([sums[f"{end}_{a}"] for a in "zyx"], axis=1) for end in ("start", "stop"))
    rows, cut = cut_objects(
        sums["label"], *corners, shape=labels.shape, max_object_voxels=max_object_voxels
    )
    _report(cut, max_object_voxels)
    pieces = PieceList.store(folder, rows)
    found = reduce_blocks(
        SplitPieces(labels, folder, depth_nm, spacing), pieces, Batch.then,
        block_shape=(BATCH, rows.shape[1]), runner=runner, label="split: objects",
    )
    n = number_parts(found, folder, np.dtype(target.array.dtype))
    map_blocks(
        PasteParts(folder), labels, target.array, block_shape=block_shape, runner=runner,
        journal=target.journal, fingerprint=key, label="split: number",
    )
    return Split(n, cut)


def grow(
    labels: Array,
    target: Sheet,
    *,
    distance_nm: float,
    within: Array | None = None,
    block_shape: Sequence[int],
    runner: Runner,
    spacing: Spacing,
    inputs: str = "",
) -> None:
    """Write `labels`, grown as by `fibseg.postprocess.grow`, into `target`.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    target
        Unsigned integers on the same grid; must not be `labels` itself.
    distance_nm, within
        As in `fibseg.postprocess.grow`.
    block_shape, runner
        As in `fibseg.blocks.map_blocks`.
    spacing
        Size of a voxel in nm, (z, y, x).
    inputs
        Hash of what `labels` and `within` are.

    Raises
    ------
    UsageError
        If the distance is negative.
    """
    map_blocks(
        functools.partial(postprocess.grow, distance_nm=distance_nm, spacing=spacing),
        [labels] if within is None else [labels, within], target.array, block_shape=block_shape,
        runner=runner, journal=target.journal, label="grow",
        fingerprint=layout_key(
            inputs=inputs, step="grow", distance_nm=distance_nm, within=within is not None,
            spacing=spacing,
        ),
    )


def _report(cut: Sequence[int], max_object_voxels: int) -> None:
    if cut:
        named = ", ".join(map(str, cut[:_NAMED])) + (", …" if len(cut) > _NAMED else "")
        _log.warning(
            "the boxes of %d objects (%s) hold more than max_object_voxels=%d: they were cut along "
            "cubes of that size, and the parts stay apart", len(cut), named, max_object_voxels,
        )
