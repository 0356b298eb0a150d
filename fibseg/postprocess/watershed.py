"""Objects that touch, split at their necks: a watershed of the distance to their surface.

These operators are object-wise: a bounding box at a time here, and through the engine in
`fibseg.pipeline.objectwise`, with the same result.
"""

from __future__ import annotations

from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.errors import UsageError
from fibseg.postprocess.masking import require_same_shape
from fibseg.postprocess.numbers import numbered_anew
from fibseg.postprocess.pieces import MAX_OBJECT_VOXELS, Piece, cut_objects
from fibseg.postprocess.seeds import Seeds
from fibseg.postprocess.size import most_voxels
from fibseg.types import Labels, Spacing


def watershed(
    labels: Labels,
    probs: NDArray[Any] | None = None,
    *,
    depth_nm: float,
    strict_level: float | None = None,
    min_seed_distance_nm: float = 0.0,
    min_angle_deg: float = 0.0,
    max_object_voxels: int = MAX_OBJECT_VOXELS,
    spacing: Spacing,
) -> Labels:
    """Parts of objects (uint32), numbered 1 … N by their first voxel in C order.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none; shape (z, y, x). Separate components of one number become
        separate objects.
    probs
        Probabilities on the same grid, for `strict_level`.
    depth_nm
        A neck divides an object if the largest ball inside of either part has a radius of more
        than so many nm above that of the neck.
    strict_level
        Parts are looked for where the probability is at least that, where objects that touch are
        often apart; they share the rest of the object. A component that is nowhere so probable
        stays whole. None: looked for in the whole object.
    min_seed_distance_nm
        Of two parts whose thickest places are nearer to each other than that, one takes both.
    min_angle_deg
        From a neck both parts open at least so steeply: angle between axis and wall in degrees.
        Of mitochondria of phantoms, those that touch open by 17 to 45, and one that is thick here
        and thin there by up to 14. 0: every neck divides.
    max_object_voxels
        Objects whose bounding box holds more voxels are cut along a fixed grid of cubes of at
        most so many voxels, and the parts stay apart.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If a setting cannot be meant, or `strict_level` lacks probabilities.
    DataError
        If the arrays differ in shape.
    """
    seeds = Seeds(depth_nm, strict_level, min_seed_distance_nm, min_angle_deg)
    if strict_level is None:
        probs = None
    elif probs is None:
        raise UsageError(f"strict_level={strict_level:g} needs probabilities. Give probs too.")
    else:
        require_same_shape(labels, probs)
    ids, start, stop = _boxes(labels)
    rows, _ = cut_objects(
        ids, start, stop, shape=labels.shape, max_object_voxels=max_object_voxels
    )
    out = np.zeros(labels.shape, dtype=np.uint32)
    n = 0
    for row in rows:
        piece = Piece.of_row(row)
        cut = piece.read.slices
        parts = split_piece(
            labels[cut], None if probs is None else probs[cut], piece, seeds=seeds, spacing=spacing
        )
        np.copyto(out[piece.box.slices], parts + np.uint32(n), where=parts > 0)
        n += int(parts.max(initial=0))
    return numbered_anew(out)


def split_large(
    labels: Labels,
    probs: NDArray[Any] | None = None,
    *,
    max_volume_um3: float,
    depth_nm: float,
    strict_level: float | None = None,
    min_seed_distance_nm: float = 0.0,
    min_angle_deg: float = 0.0,
    max_object_voxels: int = MAX_OBJECT_VOXELS,
    spacing: Spacing,
) -> Labels:
    """`watershed` of those objects only that are larger than one of them should be.

    Parameters
    ----------
    max_volume_um3
        Objects up to that volume stay as they are. A larger one that has no neck does too.

    Raises
    ------
    UsageError
        If a setting cannot be meant, or `strict_level` lacks probabilities.
    DataError
        If the arrays differ in shape.
    """
    most = most_voxels(max_volume_um3=max_volume_um3, spacing=spacing)
    there, counts = fastremap.unique(labels, return_counts=True) if labels.size else ([], [])
    large = fastremap.mask_except(labels, [int(i) for i, n in zip(there, counts, strict=True)
                                           if i > 0 and n > most])
    parts = watershed(
        large, probs, depth_nm=depth_nm, strict_level=strict_level,
        min_seed_distance_nm=min_seed_distance_nm, min_angle_deg=min_angle_deg,
        max_object_voxels=max_object_voxels, spacing=spacing,
    )
    return numbered_anew(parts_or_rest(parts, labels, n_parts=int(parts.max(initial=0))))


def parts_or_rest(parts: Labels, labels: Labels, *, n_parts: int) -> NDArray[np.uint64]:
    """The parts where there are some, else the objects with numbers above those of all parts."""
    rest = np.where(labels > 0, labels.astype(np.uint64) + np.uint64(n_parts), np.uint64(0))
    return np.where(parts > 0, parts.astype(np.uint64), rest)


def split_piece(
    labels: Labels, probs: NDArray[Any] | None, piece: Piece, *, seeds: Seeds, spacing: Spacing
) -> Labels:
    """Parts 1 … N (uint32) of the voxels in the box of `piece`; the arrays are of its read box."""
    parts = seeds.parts(labels == piece.label, probs, spacing=spacing)
    return parts[piece.box.relative_to(piece.read).slices]


def _boxes(labels: Labels) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of all objects and their bounding boxes."""
    if not labels.any():
        empty = np.zeros((0, 3), dtype=np.int64)
        return np.zeros(0, dtype=labels.dtype), empty, empty
    small, mapping = fastremap.renumber(np.ascontiguousarray(labels), in_place=False)
    ids = np.array([label for label in mapping if label], dtype=labels.dtype)
    ids = ids[np.argsort([mapping[label] for label in ids.tolist()])]
    cuts = ndimage.find_objects(small)
    start = np.array([[s.start for s in cut] for cut in cuts], dtype=np.int64)
    stop = np.array([[s.stop for s in cut] for cut in cuts], dtype=np.int64)
    return ids, start, stop
