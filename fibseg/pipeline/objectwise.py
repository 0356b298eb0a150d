"""Work on numbered objects that no memory holds: growing, and splitting one object at a time.

Growing looks no farther than it grows, so it is a local operator. A watershed needs each object as
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
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fibseg import postprocess
from fibseg.blocks import Runner, layout_key, map_blocks, reduce_blocks
from fibseg.pipeline.bench import Array, Chosen, Sheet, Voxelwise, Work, word
from fibseg.pipeline.fused import in_sequence
from fibseg.pipeline.numbering import first_places, stored_table, write_numbered
from fibseg.pipeline.pieces import BATCH, Batch, PasteParts, PieceList, SplitPieces, number_parts
from fibseg.pipeline.region_sums import region_sums
from fibseg.postprocess.pieces import MAX_OBJECT_VOXELS, cut_objects
from fibseg.postprocess.seeds import Seeds
from fibseg.postprocess.size import most_voxels
from fibseg.postprocess.watershed import parts_or_rest
from fibseg.types import Spacing

_log = logging.getLogger("fibseg.pipeline")
_NAMED = 8


@dataclass(frozen=True)
class Split:
    """What came of a splitting: how many objects, and which were too large to be seen whole."""

    n_objects: int
    cut: list[int]


def watershed(
    labels: Array,
    target: Sheet,
    *,
    probs: Array | None = None,
    depth_nm: float,
    strict_level: float | None = None,
    min_seed_distance_nm: float = 0.0,
    min_angle_deg: float = 0.0,
    max_object_voxels: int = MAX_OBJECT_VOXELS,
    block_shape: Sequence[int],
    runner: Runner,
    spacing: Spacing,
    inputs: str = "",
) -> Split:
    """Write the parts of all objects into `target`, as `fibseg.postprocess.watershed` does.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    target
        Unsigned integers on the same grid; must not be `labels` itself.
    probs, depth_nm, strict_level, min_seed_distance_nm, min_angle_deg, max_object_voxels
        As in `fibseg.postprocess.watershed`. A worker holds about 80 bytes for every voxel in
        the bounding box of an object.
    block_shape, runner
        As in `fibseg.blocks.map_blocks`.
    spacing
        Size of a voxel in nm, (z, y, x).
    inputs
        Hash of what `labels` and `probs` are.

    Raises
    ------
    UsageError
        If a setting cannot be meant.
    DataError
        If there are more parts than `target` can number.
    """
    seeds = Seeds(depth_nm, strict_level, min_seed_distance_nm, min_angle_deg)
    key = layout_key(
        inputs=inputs, step="watershed", seeds=asdict(seeds),
        max_object_voxels=max_object_voxels, spacing=spacing,
    )
    folder = target.folder / f"pieces-{key[:16]}"
    sums = region_sums(
        labels, block_shape=block_shape, runner=runner, moments=False, label="watershed: boxes",
        scratch=folder / "boxes", inputs=key,
    )
    corners = (np.stack([sums[f"{end}_{a}"] for a in "zyx"], axis=1) for end in ("start", "stop"))
    rows, cut = cut_objects(
        sums["label"], *corners, shape=labels.shape, max_object_voxels=max_object_voxels
    )
    _report(cut, max_object_voxels)
    pieces = PieceList.store(folder, rows)
    work = SplitPieces(labels, None if strict_level is None else probs, folder, seeds, spacing)
    found = reduce_blocks(
        work, pieces, Batch.then, block_shape=(BATCH, rows.shape[1]), runner=runner,
        label="watershed: objects",
    )
    n = number_parts(found, folder, np.dtype(target.array.dtype))
    map_blocks(
        PasteParts(folder), labels, target.array, block_shape=block_shape, runner=runner,
        journal=target.journal, fingerprint=key, label="watershed: number",
    )
    return Split(n, cut)


def split_large(
    labels: Array, target: Sheet, name: str, inputs: str, work: Work, *, max_volume_um3: float,
    **seeds: Any,
) -> int:
    """Write all objects, the large ones in parts, into `target`; returns how many there are.

    As `fibseg.postprocess.split_large` does: the large ones alone are divided on an array of their
    own, and then all are numbered.
    """
    over: dict[str, Any] = {"block_shape": work.block_shape, "runner": work.runner}
    most = most_voxels(max_volume_um3=max_volume_um3, spacing=work.spacing)
    sums = region_sums(labels, moments=False, label=f"{word(name)}: sizes", **over)
    large = np.zeros(int(sums["label"].max(initial=0)) + 1, dtype=bool)
    large[sums["label"]] = sums["n_voxels"] > most
    sheet = work.bench.sheet(f"{name}-parts", dtype=np.uint32, inputs=inputs)
    n = watershed(
        Voxelwise(labels, Chosen(stored_table(sheet, large))), sheet, spacing=work.spacing,
        inputs=inputs, **seeds, **over,
    ).n_objects
    both = Voxelwise(sheet.array, functools.partial(parts_or_rest, n_parts=n), (labels,))
    places = first_places(both, label=f"{word(name)}: places", **over)
    return write_numbered(both, places, target, inputs=inputs, label=word(name), **over)


def grow_regions(
    labels: Array,
    target: Sheet,
    *,
    within: Array | None = None,
    image: Array | None = None,
    distance_nm: float,
    low: float | None = None,
    high: float | None = None,
    block_shape: Sequence[int],
    runner: Runner,
    spacing: Spacing,
    inputs: str = "",
) -> None:
    """Write `labels`, grown as by `fibseg.postprocess.grow_regions`, into `target`.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    target
        Unsigned integers on the same grid; must not be `labels` itself.
    within, image, distance_nm, low, high
        As in `fibseg.postprocess.grow_regions`.
    block_shape, runner
        As in `fibseg.blocks.map_blocks`.
    spacing
        Size of a voxel in nm, (z, y, x).
    inputs
        Hash of what `labels`, `within` and `image` are.

    Raises
    ------
    UsageError
        If a setting cannot be meant.
    """
    others = {"within": within, "image": image}
    given = {key: array for key, array in others.items() if array is not None}
    how: dict[str, Any] = {"distance_nm": distance_nm, "low": low, "high": high}
    step = functools.partial(postprocess.grow_regions, **how, spacing=spacing)
    map_blocks(
        functools.partial(in_sequence, steps=((step, tuple(given)),)), [labels, *given.values()],
        target.array, block_shape=block_shape, runner=runner, journal=target.journal,
        label="grow_regions", spacing=spacing,
        fingerprint=layout_key(
            inputs=inputs, step="grow_regions", given=sorted(given), spacing=spacing, **how
        ),
    )


def _report(cut: Sequence[int], max_object_voxels: int) -> None:
    if cut:
        named = ", ".join(map(str, cut[:_NAMED])) + (", …" if len(cut) > _NAMED else "")
        _log.warning(
            "the boxes of %d objects (%s) hold more than max_object_voxels=%d: they were cut along "
            "cubes of that size, and the parts stay apart", len(cut), named, max_object_voxels,
        )
