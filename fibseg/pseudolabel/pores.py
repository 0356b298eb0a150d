"""From pockets to pores: which of them are sure, where their pores are, and what is background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fibseg.errors import UsageError
from fibseg.geometry import reach
from fibseg.postprocess import closing, grow_regions, signed_distance
from fibseg.pseudolabel.bodies import PoreBody, paint_pores
from fibseg.pseudolabel.envelope import border_depth
from fibseg.types import Labels, Mask, Spacing, Table

METHODS = ("normal", "closing")
"""Ways from a pocket to its pore."""
UNLABELLED, BACKGROUND, PORE = 0, 1, 2


@dataclass(frozen=True)
class Sureness:
    """What is painted as pore, what as background, and what is left unlabelled.

    Attributes
    ----------
    sure, unsure
        Least confidence of a pore, and of a place that is not certainly background.
    apart_nm
        Of two pores nearer to each other than that the less confident one is unsure.
    rim_nm
        Around what is unsure so much is unlabelled, too.
    near_nm, far_nm
        Background is painted up to `near_nm` from the border of the nucleus mask, where places
        were looked for, and from `far_nm` on, where no pore can be.
    """

    sure: float = 0.9
    unsure: float = 0.1
    apart_nm: float = 100.0
    rim_nm: float = 20.0
    near_nm: float = 150.0
    far_nm: float = 300.0

    def __post_init__(self) -> None:
        if not 0 <= self.unsure <= self.sure <= 1:
            raise UsageError(
                f"unsure={self.unsure:g} and sure={self.sure:g} have to go up, from 0 to 1."
            )
        if not 0 <= self.near_nm <= self.far_nm:
            raise UsageError(
                f"near_nm={self.near_nm:g} and far_nm={self.far_nm:g} have to go up, from 0 on."
            )
        if min(self.apart_nm, self.rim_nm) < 0:
            raise UsageError(
                f"apart_nm={self.apart_nm:g} and rim_nm={self.rim_nm:g} cannot be below 0."
            )


@dataclass(frozen=True)
class Bridge:
    """How the space between pocket and outer membrane is closed.

    Attributes
    ----------
    radius_nm
        Of the ball of the closing: gaps up to twice as wide are closed.
    dilate_nm
        How much is added around what was closed.
    depth_nm
        From where to where below the border of the nucleus mask it may be, outside negative.
    """

    radius_nm: float = 50.0
    dilate_nm: float = 20.0
    depth_nm: tuple[float, float] = (-40.0, 50.0)

    def __post_init__(self) -> None:
        low, high = self.depth_nm
        if not low < high:
            raise UsageError(f"depth_nm=[{low:g}, {high:g}] is no range from low to high.")
        if not self.radius_nm > 0 or self.dilate_nm < 0:
            raise UsageError(
                f"radius_nm={self.radius_nm:g} has to be above 0, dilate_nm={self.dilate_nm:g} "
                "not below."
            )

    @property
    def reach_nm(self) -> float:
        """How far a voxel of a bridge depends on pockets and mask."""
        return 4 * self.radius_nm + self.dilate_nm + max(map(abs, self.depth_nm))


@reach(lambda bridge: bridge.reach_nm)
def close_onto_membrane(
    pockets: Labels, nucleus: NDArray[Any], *, bridge: Bridge, spacing: Spacing
) -> Labels:
    """The space between each pocket and the outer membrane, uint32, by the number of the pocket.

    Pockets and all that is outside of the nucleus are closed together, as the case study did; what
    the closing adds belongs to the pocket nearest to it, and is dilated.

    Parameters
    ----------
    pockets, nucleus
        Shape (z, y, x); the mask ends at the outer membrane.
    """
    if not pockets.any():
        return np.zeros(pockets.shape, np.uint32)
    inside, low_high = nucleus != 0, bridge.depth_nm
    closed = closing((pockets > 0) | ~inside, radius_nm=bridge.radius_nm, spacing=spacing)
    depth, _ = border_depth(
        inside, max_nm=max(map(abs, low_high)) + max(spacing), spacing=spacing
    )
    layer = (depth >= low_high[0]) & (depth <= low_high[1])
    space = closed & inside & layer & (pockets == 0)
    near = grow_regions(
        pockets.astype(np.uint32), space, distance_nm=2 * bridge.radius_nm, spacing=spacing
    )
    found = np.where(space, near, np.uint32(0))
    return grow_regions(found, layer, distance_nm=bridge.dilate_nm, spacing=spacing)


def are_sure(
    sites: Table, *, rule: Sureness, body: PoreBody, shape: tuple[int, ...], spacing: Spacing
) -> tuple[Mask, Mask]:
    """Which sites are pores, and which neither pores nor background; (n,) each.

    What a face of the volume cuts, or would cut, is unsure, whatever its confidence; so is the less
    confident of two that are too near to each other.

    Parameters
    ----------
    sites
        ``z_um …, normal_z …, confidence`` and ``label``, the number of its pocket or 0.
    shape
        Of the volume, (z, y, x).
    """
    centres, normals = _columns(sites, "{}_um") * 1000, _columns(sites, "normal_{}")
    likely = sites["confidence"] >= rule.unsure
    sure = (sites["confidence"] >= rule.sure) & (sites["label"] > 0)
    half = abs(normals) * body.half_height_nm + body.radius_nm * np.sqrt(
        np.maximum(1 - normals**2, 0)
    )
    last = (np.array(shape) - 1) * np.array(spacing)
    sure &= ((centres - half >= 0) & (centres + half <= last)).all(axis=1)
    chosen = np.flatnonzero(sure)
    order = chosen[np.lexsort((chosen, -sites["confidence"][chosen]))]
    tree = cKDTree(centres)
    for site in order:
        if sure[site]:
            around = tree.query_ball_point(centres[site], rule.apart_nm)
            sure[[other for other in around if other != site]] = False
    return sure, likely & ~sure


def annotate(
    pores: Labels, nucleus: NDArray[Any], *, unsure: Table, rule: Sureness, body: PoreBody,
    start: tuple[int, int, int] = (0, 0, 0), spacing: Spacing,
) -> NDArray[np.uint8]:
    """Annotation of a box of the volume: `UNLABELLED`, `BACKGROUND` or `PORE`, (z, y, x).

    Parameters
    ----------
    pores, nucleus
        Numbered pores and the mask, (z, y, x).
    unsure
        Places that may be pores, as of `fibseg.pseudolabel.paint_pores`.
    start
        First voxel of the box.
    """
    away = abs(signed_distance(nucleus, max_nm=rule.far_nm + max(spacing), spacing=spacing))
    out = ((away <= rule.near_nm) | (away >= rule.far_nm)).astype(np.uint8)
    wide = PoreBody(body.radius_nm + rule.rim_nm, body.half_height_nm + rule.rim_nm)
    z, y, x = pores.shape
    doubtful = paint_pores(unsure, body=wide, shape=(z, y, x), start=start, spacing=spacing)
    out[doubtful > 0] = UNLABELLED
    out[pores > 0] = PORE
    return out


def _columns(table: Table, name: str) -> NDArray[np.float64]:
    return np.stack([np.asarray(table[name.format(a)], float) for a in "zyx"], axis=1)
