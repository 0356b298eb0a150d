"""The nuclear envelope as a surface to stand on: depth, normals, and what lies along them.

A nuclear pore looks the same from wherever one stands on the envelope: a gap in two membranes, a
pocket behind it. So the image is read along the normals of the envelope, not along the axes of the
volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.errors import DataError
from fibseg.postprocess import signed_distance
from fibseg.types import Mask, Spacing

Floats = NDArray[np.float64]

SMOOTHING_NM = 40.0
"""Standard deviation by which the depth is smoothed before its slope is taken for the normal."""
SEARCH_NM, MEMBRANES_NM, ALIKE_NM = 60.0, 50.0, 60.0
"""How far membranes are looked for, how thick both are together, and over how much neighbours go
together, when an envelope is snapped to them."""
_STEPS, _RELAXATION, _LONGEST_NM = 12, 0.7, 40.0


@dataclass(frozen=True, eq=False)
class EnvelopeDepth:
    """The border of a nucleus mask.

    Attributes
    ----------
    depth_nm
        (z, y, x), how far inside of the border each voxel lies, negative outside, up to a cap.
    slope
        (3, z, y, x), change of the smoothed depth per nm along z, y and x: points inwards.
    spacing
        nm.
    start
        First voxel of the arrays in the volume. Places are those in the volume: the same to the
        last bit whatever part of it is looked at.
    """

    depth_nm: NDArray[np.float32]
    slope: NDArray[np.float32]
    spacing: Spacing
    start: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def of(
        cls, nucleus: NDArray[Any], *, reach_nm: float, start: tuple[int, int, int] = (0, 0, 0),
        spacing: Spacing,
    ) -> EnvelopeDepth:
        """Envelope of a mask, known within `reach_nm` of its border.

        Raises
        ------
        DataError
            If the mask is full or empty: it has no border.
        """
        inside = nucleus != 0
        if not inside.any() or inside.all():
            raise DataError(
                f"the nucleus mask of shape {inside.shape} is {'full' if inside.any() else 'empty'}"
                ", so there is no envelope. Give a mask with a border."
            )
        depth, _ = border_depth(inside, max_nm=reach_nm, spacing=spacing)
        return cls(depth, _slope(depth, spacing), spacing, start)

    def snapped(
        self, image: NDArray[Any], *, middle_nm: float, search_nm: float = SEARCH_NM,
        membranes_nm: float = MEMBRANES_NM, smooth_nm: float = ALIKE_NM,
    ) -> EnvelopeDepth:
        """The envelope with its membranes where the image is darkest, at a depth of `middle_nm`.

        A mask is seldom right to the voxel. Along every normal the darkest stretch of
        `membranes_nm` within `search_nm` is looked for, in the mean over neighbours (`smooth_nm`),
        so that pores, which are gaps, do not lead astray; the depth is shifted to fit.

        Parameters
        ----------
        image
            Stain dark, (z, y, x).
        middle_nm
            Depth that the middle between both membranes is to have.
        """
        where = self.shell(middle_nm, max(15.0, 0.55 * max(self.spacing)))
        points, normals = self.foot(self.places(where), depth_nm=middle_nm)
        step = min(self.spacing) / 2
        n_half, n_shifts = (round(v / step) for v in (membranes_nm / 2, search_nm))
        profile = np.stack([
            mean_along(
                image, points, normals, offsets_nm=[i * step], start=self.start,
                spacing=self.spacing,
            )
            for i in range(-n_shifts - n_half, n_shifts + n_half + 1)
        ])
        stretches = np.lib.stride_tricks.sliding_window_view(profile, 2 * n_half + 1, axis=0)
        mean = MeanWithin(where, sigma_nm=smooth_nm, spacing=self.spacing)
        dark = np.stack([mean(stretch.mean(axis=-1)) for stretch in stretches])
        best = (np.argmin(dark, axis=0) - n_shifts) * step
        return self._moved(best.astype(np.float32), where, smooth_nm)

    def _moved(
        self, shift_nm: NDArray[np.float32], where: Mask, smooth_nm: float
    ) -> EnvelopeDepth:
        """The envelope moved inwards by `shift_nm`, which is known on a shell."""
        sigma = [smooth_nm / s for s in self.spacing]
        volume = np.zeros(where.shape, np.float32)
        volume[where] = shift_nm
        share = ndimage.gaussian_filter(where.astype(np.float32), sigma, truncate=3)
        total = ndimage.gaussian_filter(volume, sigma, truncate=3)
        shift = total / np.maximum(share, np.float32(1e-9))
        depth = self.depth_nm - np.where(share > 1e-6, shift, 0)
        return EnvelopeDepth(
            depth.astype(np.float32), _slope(depth, self.spacing), self.spacing, self.start
        )

    def places(self, where: Mask) -> Floats:
        """Centres of the voxels of a mask, (n, 3), (z, y, x) in nm of the volume."""
        found: Floats = (np.argwhere(where) + self.start) * np.array(self.spacing, float)
        return found

    def shell(self, depth_nm: float, half_nm: float) -> Mask:
        """Voxels within `half_nm` of the surface at a depth."""
        found: Mask = np.abs(self.depth_nm - np.float32(depth_nm)) <= np.float32(half_nm)
        return found

    def at(self, points_nm: Floats) -> tuple[Floats, Floats]:
        """Depth (n,) and inward unit normals (n, 3) at points (n, 3), (z, y, x) in nm."""
        # What a whole number is taken from loses no bit.
        places = (points_nm / self.spacing - self.start).T
        depth = ndimage.map_coordinates(self.depth_nm, places, np.float64, order=1, mode="nearest")
        normal = np.stack([
            ndimage.map_coordinates(part, places, np.float64, order=1, mode="nearest")
            for part in self.slope
        ], axis=1)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        return depth, normal / np.maximum(length, 1e-9)

    def foot(self, points_nm: Floats, *, depth_nm: float) -> tuple[Floats, Floats]:
        """Points (n, 3) moved along the normals to a depth, and the normals there."""
        moved = np.array(points_nm, float)
        for _ in range(_STEPS):
            depth, normal = self.at(moved)
            step = np.clip(depth_nm - depth, -_LONGEST_NM, _LONGEST_NM)
            moved += _RELAXATION * step[:, None] * normal
        return moved, self.at(moved)[1]


NORMAL_NM = 100.0
"""How far around a voxel the direction of the border depends on, with coarse voxels at most."""


def border_depth(
    inside: NDArray[Any], *, max_nm: float, spacing: Spacing
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How far inside of the border of a mask each voxel lies, and half a voxel across the border.

    Distances go from centre to centre; the border is the face between, half a voxel nearer: half
    its depth where the border faces z, half its width where it faces x, and between in between.

    Parameters
    ----------
    inside
        Mask, (z, y, x).
    max_nm
        Largest depth, negative outside.
    """
    signed = -signed_distance(inside, max_nm=max_nm, spacing=spacing)
    normal = [
        np.gradient(signed, s, axis=axis) if inside.shape[axis] > 1 else np.zeros_like(signed)
        for axis, s in enumerate(spacing)
    ]
    length = np.sqrt(sum(n * n for n in normal))
    across = np.sqrt(sum((n * s) ** 2 for n, s in zip(normal, spacing, strict=True)))
    # Where the depth does not change it is too far from the border to tell.
    step = np.where(length > 1e-3, across / np.maximum(length, 1e-3), min(spacing))
    half = (step / 2).astype(np.float32)
    return (signed - np.sign(signed) * half).astype(np.float32), half


def snapping_reach_nm() -> float:
    """How far the snapped envelope depends on image and mask, beside the depth itself."""
    return SEARCH_NM + MEMBRANES_NM / 2 + 6 * ALIKE_NM + 3 * SMOOTHING_NM


def mean_along(
    image: NDArray[Any], points_nm: Floats, normals: Floats, *, offsets_nm: Sequence[float],
    start: Sequence[int] = (0, 0, 0), spacing: Spacing,
) -> NDArray[np.float32]:
    """Mean of an image at points shifted along their normals by each of the offsets, (n,).

    Parameters
    ----------
    image
        (z, y, x).
    points_nm, normals
        (n, 3), as of `EnvelopeDepth.foot`.
    offsets_nm
        Inwards is positive.
    start
        First voxel of the image in the volume.
    """
    total = np.zeros(len(points_nm), np.float64)
    for offset in offsets_nm:
        places = ((points_nm + offset * normals) / spacing - start).T
        total += ndimage.map_coordinates(image, places, np.float64, order=1, mode="nearest")
    mean: NDArray[np.float32] = (total / len(offsets_nm)).astype(np.float32)
    return mean


def contrast_within(
    values: NDArray[np.float32], where: Mask, *, spot_nm: float, around_nm: float,
    spacing: Spacing,
) -> NDArray[np.float32]:
    """How far values lie above their surroundings on a thin shell, (n,).

    The difference of two normalised Gaussian means, which see voxels of the shell alone (normalised
    convolution, Knutsson and Westin, CVPR 1993), so that what is off the shell has no part.

    Parameters
    ----------
    values
        (n,), of the n voxels of `where` in C order.
    where
        Shell, (z, y, x).
    spot_nm, around_nm
        Standard deviations of both Gaussians.
    """
    near, around = (
        MeanWithin(where, sigma_nm=sigma, spacing=spacing)(values)
        for sigma in (spot_nm, around_nm)
    )
    return near - around


class MeanWithin:
    """Gaussian mean around each voxel of a shell over voxels of the shell alone.

    Parameters as of `contrast_within`; called with values (n,) it returns their means (n,).
    """

    def __init__(self, where: Mask, *, sigma_nm: float, spacing: Spacing) -> None:
        self._where = where
        self._sigma = [sigma_nm / s for s in spacing]
        share = ndimage.gaussian_filter(where.astype(np.float32), self._sigma, truncate=3)
        self._share = np.maximum(share[where], np.float32(1e-6))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Means, (n,)."""
        volume = np.zeros(self._where.shape, np.float32)
        volume[self._where] = values
        total = ndimage.gaussian_filter(volume, self._sigma, truncate=3)[self._where]
        return np.asarray(total / self._share, np.float32)


def _slope(depth: NDArray[np.floating], spacing: Spacing) -> NDArray[np.float32]:
    """Change of the smoothed depth per nm along each axis, (3, z, y, x); 0 along a single voxel."""
    smooth = ndimage.gaussian_filter(depth, [SMOOTHING_NM / s for s in spacing], truncate=3)
    found: NDArray[np.float32] = np.stack([
        np.gradient(smooth, s, axis=axis) if depth.shape[axis] > 1 else np.zeros_like(smooth)
        for axis, s in enumerate(spacing)
    ]).astype(np.float32)
    return found
