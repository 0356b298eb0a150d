"""Objects that touch, split at their necks: a watershed of the distance to their surface.

This operator is object-wise: a bounding box at a time here, and through the engine in
`fibseg.pipeline.objectwise`, with the same result.
"""

from __future__ import annotations

from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from fibseg.errors import UsageError
from fibseg.geometry import connected
from fibseg.postprocess.distance import distance
from fibseg.postprocess.pieces import MAX_OBJECT_VOXELS, Piece, cut_objects
from fibseg.types import Labels, Mask, Spacing


def split_objects(
    labels: Labels,
    *,
    depth_nm: float,
    max_object_voxels: int = MAX_OBJECT_VOXELS,
    spacing: Spacing,
) -> Labels:
    """Parts of objects (uint32), numbered 1 … N by their first voxel in C order.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none; shape (z, y, x). Separate components of one number become
        separate objects.
    depth_nm
        A neck divides an object if the largest ball inside of either part has a radius of more
        than so many nm above that of the neck.
    max_object_voxels
        Objects whose bounding box holds more voxels are cut along a fixed grid of cubes of at
        most so many voxels, and the parts stay apart.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If the depth is negative or the largest size is below 1.
    """
    check_depth(depth_nm)
    ids, start, stop = _boxes(labels)
    rows, _ = cut_objects(
        ids, start, stop, shape=labels.shape, max_object_voxels=max_object_voxels
    )
    out = np.zeros(labels.shape, dtype=np.uint32)
    n = 0
    for row in rows:
        piece = Piece.of_row(row)
        parts = split_piece(labels[piece.read.slices], piece, depth_nm=depth_nm, spacing=spacing)
        np.copyto(out[piece.box.slices], parts + np.uint32(n), where=parts > 0)
        n += int(parts.max(initial=0))
    values, first = first_voxels(out)
    lookup = np.zeros(n + 1, dtype=np.uint32)
    lookup[values] = ranks(first)
    return lookup[out]


def split_piece(
    labels: Labels, piece: Piece, *, depth_nm: float, spacing: Spacing
) -> Labels:
    """Parts 1 … N (uint32) of the voxels in the box of `piece`; `labels` are of its read box."""
    parts = split_mask(labels == piece.label, depth_nm=depth_nm, spacing=spacing)
    return parts[piece.box.relative_to(piece.read).slices]


def split_mask(mask: Mask, *, depth_nm: float, spacing: Spacing) -> Labels:
    """Parts of a mask between its necks, numbered from 1, in any order (uint32).

    Seeds are the maxima of the distance to the surface that rise more than `depth_nm` above
    every way to a higher one [1]_; from them the watershed floods the mask [2]_. The faces of the
    array are no surface.

    References
    ----------
    .. [1] Soille, Morphological image analysis, 2nd edition, Springer 2003, section 6.3.5.
    .. [2] Beucher and Meyer, The morphological approach to segmentation: the watershed
       transformation, in Mathematical morphology in image processing, Dekker 1993.
    """
    widest = float(np.linalg.norm(np.multiply(mask.shape, spacing))) or 1.0
    inner = distance(~mask, max_nm=widest, spacing=spacing)
    # Without a surface in sight there is no neck; a part as thin as that has none deep enough.
    if mask.all() or inner.max() <= depth_nm:
        return connected(mask, connectivity=26)[0]
    lowered = np.where(mask, inner - np.float32(depth_nm), np.float32(-depth_nm))
    ceiling = np.where(mask, inner, np.float32(-depth_nm))
    peaks = local_maxima(reconstruction(lowered, ceiling), connectivity=3)
    seeds, _ = connected(peaks & mask, connectivity=26)
    basins = watershed(-inner, seeds.astype(np.int32), connectivity=3, mask=mask)
    return np.asarray(basins, dtype=np.uint32)


def first_voxels(labels: Labels) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Numbers in `labels`, ascending, and where in C order each one comes first."""
    if not labels.size:
        return np.zeros(0, dtype=labels.dtype), np.zeros(0, dtype=np.int64)
    values, first = fastremap.unique(np.ascontiguousarray(labels), return_index=True)
    return values[values > 0], first[values > 0].astype(np.int64)


def ranks(first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each part when they are counted from 1 in the order of their first voxels."""
    found = np.empty(len(first), dtype=np.int64)
    found[np.argsort(first)] = np.arange(1, len(first) + 1)
    return found


def check_depth(depth_nm: float) -> None:
    """Refuse a depth that cannot be meant."""
    if depth_nm < 0:
        raise UsageError(f"depth_nm={depth_nm:g} is negative. Give 0 or more.")


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
