"""Where nuclear pores are, from the image and a nucleus mask alone, nothing painted.

Along the envelope's normal a pore is a gap in two dark membranes, and behind it lies a pocket free
of chromatin. Both are measured everywhere on the middle of the envelope, as contrast with what is
beside them on the same surface; local maxima are candidates, and a mixture of two normal
distributions tells pores from chance, with a probability for each and no threshold to choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from fibseg.errors import DataError, UsageError
from fibseg.pseudolabel.envelope import (
    SEARCH_NM,
    SMOOTHING_NM,
    EnvelopeDepth,
    Floats,
    contrast_within,
    mean_along,
    snapping_reach_nm,
)
from fibseg.types import Mask, Spacing, Table

COARSEST_NM = 30.0
"""Voxels coarser than this on any axis show no pores of 120 nm."""
PORE_NM = 120.0
"""Diameter of a pore."""
COLUMNS = (
    "z_um", "y_um", "x_um", "normal_z", "normal_y", "normal_x", "gap_contrast",
    "pocket_contrast", "pocket_level",
)


@dataclass(frozen=True)
class PoreShape:
    """What a pore looks like along the normal of the envelope; depths in nm from the mask's border.

    The mask ends at the outer membrane (as `fibseg.phantom` and most painters have it).
    """

    middle_nm: float = 28.0
    """Depth of the middle between both membranes."""
    shell_nm: float = 15.0
    """Half thickness of the shell on which maxima are looked for."""
    gap_nm: tuple[float, float] = (-40.0, 20.0)
    """From where to where, seen from the middle, inwards positive, a pore interrupts membranes."""
    pocket_nm: tuple[float, float] = (50.0, 220.0)
    """From where to where a pocket reaches."""
    gap_spot_nm: float = 22.0
    gap_around_nm: float = 75.0
    pocket_spot_nm: float = 40.0
    pocket_around_nm: float = 115.0
    """Standard deviations of the Gaussians that a contrast is the difference of."""
    pocket_share: float = 0.5
    """Weight of the pocket's contrast beside the gap's, where candidates are looked for."""
    apart_nm: float = 70.0
    """Candidates are the highest within this distance."""

    def __post_init__(self) -> None:
        for name in ("gap_nm", "pocket_nm"):
            low, high = getattr(self, name)
            if not low < high:
                raise UsageError(f"{name}=[{low:g}, {high:g}] is no range from low to high.")
        for kind in ("gap", "pocket"):
            spot, around = (getattr(self, f"{kind}_{what}_nm") for what in ("spot", "around"))
            if not 0 < spot < around:
                raise UsageError(
                    f"{kind}_spot_nm={spot:g} has to lie between 0 and {kind}_around_nm={around:g}."
                )

    @property
    def depth_nm(self) -> float:
        """How far from the border of the mask its depth has to be known."""
        return 2 * self.middle_nm + SMOOTHING_NM * 3 + self.shell_nm + 100

    @property
    def from_border_nm(self) -> float:
        """How far from the border of the mask a candidate may lie, snapping included."""
        return abs(self.middle_nm) + SEARCH_NM + 4 * self.shell_nm

    @property
    def reach_nm(self) -> float:
        """How far a candidate depends on the image and the mask around it, snapping included."""
        along = max(abs(v) for v in (*self.gap_nm, *self.pocket_nm))
        around = 3 * max(self.gap_around_nm, self.pocket_around_nm) + self.apart_nm
        return self.depth_nm + along + around + snapping_reach_nm()


def candidates(
    image: NDArray[Any], envelope: EnvelopeDepth, *, shape: PoreShape, spacing: Spacing
) -> Table:
    """Local maxima of gap and pocket on the envelope: a table, in the order of their voxels.

    Parameters
    ----------
    image
        Stain dark: pockets and gaps are bright; (z, y, x).
    envelope
        Of the nucleus in it, known at least within ``shape.depth_nm``.

    Returns
    -------
    Table
        ``z_um, y_um, x_um`` in the middle of the envelope, ``normal_z, normal_y, normal_x``
        outwards; in units of the image ``gap_contrast``, ``pocket_contrast`` and ``pocket_level``,
        the mean of the image in the pocket.

    Raises
    ------
    UsageError
        If voxels are too coarse to show pores.
    """
    seen = _Seen.on(image, envelope, shape=shape, spacing=spacing)
    score = seen.gap + np.float32(shape.pocket_share) * seen.pocket
    return seen.rows(_highest(score, seen.shell, apart_nm=shape.apart_nm, spacing=spacing))


def sites_at(
    image: NDArray[Any], envelope: EnvelopeDepth, places_nm: Floats, *, shape: PoreShape,
    spacing: Spacing,
) -> Table:
    """What `candidates` tells, of the places of the envelope nearest to given ones, a row for each.

    Parameters
    ----------
    places_nm
        (n, 3), (z, y, x), such as centres of pockets. Each is moved along the normals of the
        envelope onto the middle of it.
    """
    seen = _Seen.on(image, envelope, shape=shape, spacing=spacing)
    feet, normals = envelope.foot(places_nm, depth_nm=shape.middle_nm)
    if not len(places_nm) or not seen.shell.any():
        return {name: np.zeros(0) for name in COLUMNS}
    nearest = np.asarray(cKDTree(envelope.places(seen.shell)).query(feet)[1], np.intp)
    return {**seen.rows(nearest), **_placed(feet, normals)}


@dataclass(frozen=True)
class _Seen:
    """What is seen from every voxel of the middle of the envelope along its normal."""

    shell: Mask
    points: Floats
    normals: Floats
    gap: NDArray[np.float32]
    pocket: NDArray[np.float32]
    pocket_level: NDArray[np.float32]

    @classmethod
    def on(
        cls, image: NDArray[Any], envelope: EnvelopeDepth, *, shape: PoreShape, spacing: Spacing
    ) -> _Seen:
        """Contrasts everywhere; parameters as of `candidates`."""
        require_fine(spacing)
        shell = envelope.shell(shape.middle_nm, max(shape.shell_nm, 0.55 * max(spacing)))
        points, normals = envelope.foot(envelope.places(shell), depth_nm=shape.middle_nm)
        step = min(spacing) / 2
        gap_level, pocket_level = (
            mean_along(
                image, points, normals, offsets_nm=_offsets(along, step), start=envelope.start,
                spacing=spacing,
            )
            for along in (shape.gap_nm, shape.pocket_nm)
        )
        gap = contrast_within(
            gap_level, shell, spot_nm=shape.gap_spot_nm, around_nm=shape.gap_around_nm,
            spacing=spacing,
        )
        pocket = contrast_within(
            pocket_level, shell, spot_nm=shape.pocket_spot_nm,
            around_nm=shape.pocket_around_nm, spacing=spacing,
        )
        return cls(shell, points, normals, gap, pocket, pocket_level)

    def rows(self, chosen: NDArray[np.intp]) -> Table:
        """Table of some of the voxels of the shell."""
        return {
            **_placed(self.points[chosen], self.normals[chosen]),
            "gap_contrast": self.gap[chosen].astype(float),
            "pocket_contrast": self.pocket[chosen].astype(float),
            "pocket_level": self.pocket_level[chosen].astype(float),
        }


def _placed(points_nm: Floats, inwards: Floats) -> Table:
    """Columns of places and outward normals."""
    z, y, x = points_nm.T / 1000
    out_z, out_y, out_x = -inwards.T
    return {
        "z_um": z, "y_um": y, "x_um": x,
        "normal_z": out_z, "normal_y": out_y, "normal_x": out_x,
    }


def find_sites(
    image: NDArray[Any], nucleus: NDArray[Any], *, shape: PoreShape, snap: bool = True,
    at_nm: Floats | None = None, start: tuple[int, int, int] = (0, 0, 0), spacing: Spacing,
) -> Table:
    """As `candidates`, from a mask; none where it has no border.

    Parameters
    ----------
    nucleus
        Mask, (z, y, x); anything but 0 is inside.
    snap
        Whether the envelope is moved to where the image is darkest near the border of the mask.
    at_nm
        Places, (n, 3), to look at as `sites_at` does, instead of for candidates.
    start
        First voxel of both arrays in the volume.
    """
    require_fine(spacing)
    inside = nucleus != 0
    if not inside.any() or inside.all():
        return {name: np.zeros(0) for name in COLUMNS}
    envelope = EnvelopeDepth.of(inside, reach_nm=shape.depth_nm, start=start, spacing=spacing)
    if snap:
        envelope = envelope.snapped(image, middle_nm=shape.middle_nm)
    if at_nm is not None:
        return sites_at(image, envelope, at_nm, shape=shape, spacing=spacing)
    return candidates(image, envelope, shape=shape, spacing=spacing)


def require_fine(spacing: Spacing) -> None:
    """Nothing, if voxels are fine enough.

    Raises
    ------
    UsageError
        If an axis is coarser than `COARSEST_NM`.
    """
    if max(spacing) > COARSEST_NM:
        raise UsageError(
            f"voxels of {' x '.join(f'{s:g}' for s in spacing)} nm are too coarse for nuclear "
            f"pores, which are {PORE_NM:g} nm across: use voxels of at most {COARSEST_NM:g} nm on "
            "each axis."
        )


def require_thick(shape: Sequence[int], *, spacing: Spacing) -> None:
    """Nothing, if a volume can hold a pore.

    Raises
    ------
    DataError
        If it is thinner than a pore on an axis, as a single plane is.
    """
    size_nm = [n * s for n, s in zip(shape, spacing, strict=True)]
    if min(size_nm) < PORE_NM:
        raise DataError(
            f"a volume of {' x '.join(f'{s:g}' for s in size_nm)} nm is thinner than a nuclear "
            f"pore, which is {PORE_NM:g} nm across and turned any way: give a volume, not planes."
        )


def isolation_um(table: Table) -> NDArray[np.float64]:
    """Distance of each candidate to the nearest other one, (n,); infinite where it is alone."""
    centres = np.stack([table[f"{axis}_um"] for axis in "zyx"], axis=1)
    if len(centres) < 2:
        return np.full(len(centres), np.inf)
    away, _ = cKDTree(centres).query(centres, k=2)
    return np.asarray(away, np.float64)[:, 1]


def _offsets(along_nm: tuple[float, float], step_nm: float) -> list[float]:
    """Evenly spaced places from end to end, no farther apart than a step."""
    low, high = along_nm
    n = int(np.ceil((high - low) / step_nm)) + 1
    return [float(v) for v in np.linspace(low, high, n)]


def _highest(
    score: NDArray[np.float32], shell: Mask, *, apart_nm: float, spacing: Spacing
) -> NDArray[np.intp]:
    """Places in `score` (of the voxels of `shell`) that are the highest within a ball."""
    volume = np.full(shell.shape, -np.inf, np.float32)
    volume[shell] = score
    radii = [int(apart_nm / s) for s in spacing]
    steps = np.meshgrid(*(np.arange(-r, r + 1) * s for r, s in zip(radii, spacing, strict=True)),
                        indexing="ij")
    ball = sum(step**2 for step in steps) <= apart_nm**2
    highest = ndimage.maximum_filter(volume, footprint=ball, mode="constant", cval=-np.inf)
    found: NDArray[np.intp] = np.flatnonzero((volume == highest)[shell] & (score > 0))
    return found
