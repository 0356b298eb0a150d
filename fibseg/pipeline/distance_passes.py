"""Distances to a mask that no memory holds: two passes over blocks, each along few axes only.

::

    sides       which cells have voxels inside, outside, or both         (a byte per 64³ voxels)
    in planes   the nearest voxel of the other side in the same plane    (a scratch array)
    across      among the planes above and below, the nearest of these

A worker never holds a box grown by the cap along all three axes, which for 2 µm at 5 nm would
be 1.5 billion voxels: it holds planes of one (110 million), or the block and one slab.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fibseg.blocks import layout_key, map_blocks
from fibseg.errors import UsageError
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import Array, Sheet, Work
from fibseg.pipeline.distance_blocks import MOST_VOXELS, Across, InPlanes
from fibseg.pipeline.distance_sides import Chosen, Sides
from fibseg.postprocess.distance import check_cap
from fibseg.types import Spacing

IN_PLANES, ACROSS = "distance: in planes", "distance: across planes"
"""Names of the passes."""


def write_distances(
    labels: Array,
    target: Sheet,
    *,
    sides: Sides,
    chosen: Chosen,
    max_nm: float,
    signed: bool = False,
    work: Work,
    inputs: str = "",
) -> None:
    """Write the distance in nm to a mask as float32, as the kernels in `fibseg.postprocess` do.

    Parameters
    ----------
    labels
        Numbered objects, or a mask.
    target
        Array of float32 on the same grid.
    sides
        What `find_sides` found.
    chosen
        Which of the labels are the mask.
    max_nm
        Larger distances are written as this one; `check_reach` says which can be.
    signed
        `fibseg.postprocess.signed_distance`, negative inside, instead of
        `fibseg.postprocess.distance`.
    work
        Blocks, runner, spacing and the bench, where the distances within planes are kept.
    inputs
        Hash of what `labels` and `chosen` are.

    Raises
    ------
    UsageError
        If the cap cannot be.
    """
    check_reach(labels, max_nm=max_nm, block_shape=work.block_shape, spacing=work.spacing)
    key = layout_key(inputs=inputs, step="in planes", max_nm=max_nm, spacing=work.spacing)
    squares = work.bench.sheet("planes", dtype=np.float32, inputs=key)
    map_blocks(
        InPlanes(labels, chosen, sides=sides, max_nm=max_nm, spacing=work.spacing), labels,
        squares.array, block_shape=work.block_shape, runner=work.runner,
        journal=squares.journal, fingerprint=key, label=IN_PLANES,
    )
    map_blocks(
        Across(squares.array, signed, sides=sides, max_nm=max_nm, spacing=work.spacing),
        squares.array, target.array, block_shape=work.block_shape, runner=work.runner,
        journal=target.journal, fingerprint=layout_key(before=key, signed=signed),
        label=ACROSS,
    )


def most_read(
    shape: Sequence[int], *, max_nm: float, block_shape: Sequence[int], spacing: Spacing
) -> dict[str, int]:
    """Voxels that may have to be read for one block of a volume, one after the other, by pass."""
    block, (z, y, x) = Box((0, 0, 0), tuple(block_shape)), halo_voxels(max_nm, spacing)
    boxes = {IN_PLANES: block.grow((0, y, x)), ACROSS: block.grow((z, 0, 0))}
    return {
        label: math.prod(min(a, b) for a, b in zip(box.shape, shape, strict=True))
        for label, box in boxes.items()
    }


def worker_bytes(most: Mapping[str, int], block_shape: Sequence[int]) -> float:
    """Memory of a worker, roughly, from what `most_read` says of the volume.

    Beside what every process takes, 24 bytes for a voxel of a block (labels read ahead, squares,
    blocks on their way to the disk), and a byte for a voxel of the mask.
    """
    return 3.5e8 + 24 * math.prod(block_shape) + min(MOST_VOXELS, most[IN_PLANES])


def check_reach(
    labels: Array, *, max_nm: float, block_shape: Sequence[int], spacing: Spacing
) -> None:
    """Nothing, if a distance can be that long, and a worker can look as far within a plane.

    Raises
    ------
    UsageError
        If it is no number above 0, or too large.
    """
    check_cap(max_nm)
    plane = (1, *block_shape[1:])
    held = most_read(labels.shape, max_nm=max_nm, block_shape=plane, spacing=spacing)[IN_PLANES]
    if held > MOST_VOXELS:
        raise UsageError(
            f"max_nm={max_nm:g} is {max_nm / min(spacing):.0f} voxels far. A worker would have to "
            f"hold {held / 1e6:.0f} million voxels of one plane at once. Give a smaller max_nm."
        )
