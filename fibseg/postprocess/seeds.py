"""One object divided between its necks: seeds in its thick parts, and a watershed from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from fibseg.errors import UsageError
from fibseg.geometry import connected
from fibseg.postprocess.distance import distance
from fibseg.postprocess.filters import threshold
from fibseg.postprocess.necks import join_over_no_neck
from fibseg.types import Labels, Mask, Probs, Spacing

MOST_LEVELS = 32
"""So many times half a depth an object may be thick to be looked at level by level."""

_NEARLY = 0.98


@dataclass(frozen=True)
class Seeds:
    """Which thick parts of an object become objects.

    Parameters
    ----------
    depth_nm
        The largest ball inside of a part has a radius of more than so many nm above that of the
        neck to any thicker part.
    strict_level
        Parts are looked for where the probability is at least that; None: in the whole object.
    min_seed_distance_nm
        Of two seeds nearer to each other than that, the one in the thinner part goes.
    min_angle_deg
        Least angle between axis and wall at which both parts open from a neck, in degrees.

    Raises
    ------
    UsageError
        If a setting cannot be meant.
    """

    depth_nm: float
    strict_level: float | None = None
    min_seed_distance_nm: float = 0.0
    min_angle_deg: float = 0.0

    def __post_init__(self) -> None:
        for name in ("depth_nm", "min_seed_distance_nm"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise UsageError(f"{name}={value:g} is negative or no number. Give 0 or more.")
        if not 0 <= self.min_angle_deg < 90:
            raise UsageError(
                f"min_angle_deg={self.min_angle_deg:g} is no angle between axis and wall. Give "
                "degrees from 0, which takes every neck, to below 90."
            )
        if self.strict_level is not None:
            threshold(np.zeros(0, dtype=np.uint8), level=self.strict_level)

    def parts(
        self, mask: Mask, probs: NDArray[Any] | None = None, *, spacing: Spacing
    ) -> Labels:
        """Parts of a mask between its necks, numbered from 1, in any order (uint32).

        Seeds are the maxima of the distance to the surface that rise more than `depth_nm` above
        every way to a higher one [1]_; from them the watershed floods the mask [2]_. Parts that
        touch without a neck between them are joined again (`fibseg.postprocess.necks`). The faces
        of the array are no surface. A component without a seed is a part of its own.

        References
        ----------
        .. [1] Soille, Morphological image analysis, 2nd edition, Springer 2003, section 6.3.5.
        .. [2] Beucher and Meyer, The morphological approach to segmentation: the watershed
           transformation, in Mathematical morphology in image processing, Dekker 1993.
        """
        core = mask if probs is None or self.strict_level is None else (
            mask & threshold(probs, level=self.strict_level)
        )
        widest = float(np.linalg.norm(np.multiply(mask.shape, spacing))) or 1.0
        inner = distance(~core, max_nm=widest, spacing=spacing)
        pieces, n_pieces = connected(mask, connectivity=26)
        # Without a surface in sight there is no neck.
        if core.all() or (core is mask and n_pieces < 2 and undivided(inner, self.depth_nm)):
            return pieces
        seeds, n = connected(_peaks(inner, core, self.depth_nm), connectivity=26)
        if self.min_seed_distance_nm > 0 and n > 1:
            seeds = _far_apart(seeds, inner, pieces, self.min_seed_distance_nm, spacing)
        if core is not mask:
            # Around the core the flood rises with the distance from it.
            inner -= distance(core, max_nm=widest, spacing=spacing)
            bare = _without(seeds, pieces, n_pieces)[pieces]
            seeds = np.where(bare, pieces + np.uint32(n), seeds)
        basins = watershed(-inner, seeds.astype(np.int32), connectivity=3, mask=mask)
        if self.min_angle_deg > 0 and n > n_pieces:
            basins = join_over_no_neck(
                basins, inner, min_slope=math.sin(math.radians(self.min_angle_deg)),
                depth_nm=self.depth_nm, spacing=spacing,
            )
        return np.asarray(fastremap.renumber(basins, in_place=True)[0], dtype=np.uint32)


def undivided(inner: Probs, depth_nm: float) -> bool:
    """Whether a connected object surely has no neck so deep; that it has one is not sure.

    Two seeds rise more than the depth above every way from one to the other. So at one of the
    levels that are half a depth apart, they lie in components of their own, and rise by nearly half
    a depth above it. To look for such components is much faster than to look for seeds.
    """
    step, top = depth_nm / 2, float(inner.max(initial=0))
    if top > MOST_LEVELS * step:
        return top == 0
    for level in np.arange(1, MOST_LEVELS) * step:
        high = inner > level + _NEARLY * step
        if not high.any():
            break
        numbers = connected(inner > level, connectivity=26)[0][high]
        if numbers.min() < numbers.max():
            return False
    return True


def _peaks(inner: Probs, core: Mask, depth_nm: float) -> Mask:
    """Maxima of the distance that rise by more than the depth."""
    lowered = np.where(core, inner - np.float32(depth_nm), np.float32(-depth_nm))
    ceiling = np.where(core, inner, np.float32(-depth_nm))
    return np.asarray(local_maxima(reconstruction(lowered, ceiling), connectivity=3) & core)


def _without(seeds: Labels, pieces: Labels, n_pieces: int) -> NDArray[np.bool_]:
    """Which components, by number, hold no seed."""
    found = np.ones(n_pieces + 1, dtype=bool)
    found[pieces[seeds > 0]] = False
    found[0] = False
    return found


def _far_apart(
    seeds: Labels, inner: Probs, pieces: Labels, min_nm: float, spacing: Spacing
) -> Labels:
    """The seeds without those too near to one in a thicker part of the same component."""
    voxels = np.flatnonzero(seeds)
    voxels = voxels[np.argsort(-inner.ravel()[voxels], kind="stable")]
    numbers, first = np.unique(seeds.ravel()[voxels], return_index=True)
    order = np.argsort(first)  # thickest first, of equals that which comes first
    numbers, peaks = numbers[order], voxels[first[order]]
    places = np.stack(np.unravel_index(peaks, seeds.shape), axis=1) * np.array(spacing)
    piece, stays = pieces.ravel()[peaks], np.zeros(len(numbers), dtype=bool)
    for i in range(len(numbers)):
        rivals = places[:i][stays[:i] & (piece[:i] == piece[i])]
        stays[i] = not (np.linalg.norm(rivals - places[i], axis=1) < min_nm * (1 - 1e-9)).any()
    kept = np.zeros(int(numbers.max()) + 1, dtype=bool)
    kept[numbers[stays]] = True
    return np.where(kept[seeds], seeds, 0).astype(np.uint32)
