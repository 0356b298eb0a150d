"""From places on the envelope to voxels: a cylinder for each pore, a drop behind it for its pocket.

Each voxel belongs to the pore whose axis it lies nearest to, so that the labels of a part of a
volume are those of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.errors import UsageError
from fibseg.pseudolabel.envelope import Floats
from fibseg.types import Labels, Spacing, Table

_SIDES = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True)
class PoreBody:
    """Size of a pore: the cylinder that its scaffold fills (von Appen 2015, Nature 526:140)."""

    radius_nm: float = 60.0
    half_height_nm: float = 40.0

    def __post_init__(self) -> None:
        if min(self.radius_nm, self.half_height_nm) <= 0:
            raise UsageError(
                f"radius_nm={self.radius_nm:g} and half_height_nm={self.half_height_nm:g} of a "
                "pore have to be above 0."
            )


@dataclass(frozen=True)
class PocketBody:
    """What voxels a pocket may take, seen from the middle of the envelope above it.

    Attributes
    ----------
    from_nm, to_nm
        How deep it may begin and end.
    radius_nm
        How far from the axis of its pore it may reach.
    share
        A voxel has to be brighter than the pocket's mean less (1 - share) times its contrast.
    smooth_nm
        Standard deviation of the Gaussian that the image is smoothed by before that.
    """

    from_nm: float = 25.0
    to_nm: float = 260.0
    radius_nm: float = 90.0
    share: float = 0.0
    smooth_nm: float = 20.0

    def __post_init__(self) -> None:
        if not self.from_nm < self.to_nm:
            raise UsageError(
                f"from_nm={self.from_nm:g} and to_nm={self.to_nm:g} of a pocket are no range "
                "from low to high."
            )
        if not (self.radius_nm > 0 and self.smooth_nm >= 0):
            raise UsageError(
                f"radius_nm={self.radius_nm:g} of a pocket has to be above 0, "
                f"smooth_nm={self.smooth_nm:g} not below."
            )

    @property
    def extent_nm(self) -> float:
        """How far from its site a pocket may reach."""
        return float(np.hypot(self.radius_nm, max(abs(self.from_nm), abs(self.to_nm))))

    @property
    def reach_nm(self) -> float:
        """How far from a voxel of a pocket all of it may lie, and what that depends on."""
        return 2 * self.extent_nm + 5 * self.smooth_nm


def paint_pores(
    table: Table, *, body: PoreBody, shape: tuple[int, int, int],
    start: tuple[int, int, int] = (0, 0, 0), spacing: Spacing,
) -> Labels:
    """Pores as numbered objects, uint32 (z, y, x), of a box of the volume.

    Parameters
    ----------
    table
        ``label``, centres ``z_um …`` and outward normals ``normal_z …``.
    shape, start
        Of the box, voxels.
    """
    out = np.zeros(shape, np.uint32)
    best = np.full(shape, np.inf, np.float32)
    reach = float(np.hypot(body.radius_nm, body.half_height_nm))
    for label, cut, along, across in _sites(table, reach, shape, start, spacing):
        inside = (abs(along) <= body.half_height_nm) & (across <= body.radius_nm)
        mine = inside & (across < best[cut])
        out[cut][mine], best[cut][mine] = label, across[mine]
    return out


def grow_pockets(
    image: NDArray[Any], table: Table, *, body: PocketBody,
    start: tuple[int, int, int] = (0, 0, 0), spacing: Spacing,
) -> Labels:
    """Pockets as numbered objects, uint32 (z, y, x): what is as bright as a pocket behind a pore.

    Parameters
    ----------
    image
        Stain dark, (z, y, x): a box of the volume with room for all of a pocket beside it.
    table
        As of `paint_pores`, with ``pocket_level`` and ``pocket_contrast``.
    start
        First voxel of the box.
    """
    sigma = [body.smooth_nm / s for s in spacing]
    smooth = ndimage.gaussian_filter(image.astype(np.float32), sigma)
    out = np.zeros(image.shape, np.uint32)
    best = np.full(image.shape, np.inf, np.float32)
    least = table["pocket_level"] - (1 - body.share) * table["pocket_contrast"]
    wanted = dict(zip(table["label"].tolist(), least.tolist(), strict=True))
    reach = body.extent_nm
    shape = (image.shape[0], image.shape[1], image.shape[2])
    for label, cut, along, across in _sites(table, reach, shape, start, spacing):
        inside = (-along >= body.from_nm) & (-along <= body.to_nm) & (across <= body.radius_nm)
        bright = inside & (smooth[cut] >= wanted[label])
        axis = bright & (across <= 1.5 * max(spacing))
        grown = ndimage.binary_propagation(axis, mask=bright, structure=_SIDES)
        mine = grown & (across < best[cut])
        out[cut][mine], best[cut][mine] = label, across[mine]
    return out


def _sites(
    table: Table, reach_nm: float, shape: tuple[int, int, int], start: tuple[int, int, int],
    spacing: Spacing,
) -> Iterator[tuple[int, tuple[slice, ...], Floats, Floats]]:
    """Label, part of the box, and of its voxels height above the middle and distance to the axis.

    Heights are along the outward normal; both in nm.
    """
    centres = np.stack([table[f"{axis}_um"] for axis in "zyx"], axis=1) * 1000
    normals = np.stack([table[f"normal_{axis}"] for axis in "zyx"], axis=1)
    size, first = np.array(spacing, float), np.array(start)
    for label, centre, normal in zip(table["label"].tolist(), centres, normals, strict=True):
        low = np.maximum(np.ceil((centre - reach_nm) / size).astype(int) - first, 0)
        high = np.minimum(np.floor((centre + reach_nm) / size).astype(int) + 1 - first, shape)
        if (high <= low).any():
            continue
        cut = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        z, y, x = (
            (np.arange(a, b) + f) * s - c
            for a, b, f, s, c in zip(low, high, first, size, centre, strict=True)
        )
        offset = z[:, None, None], y[None, :, None], x[None, None, :]
        along = sum(o * n for o, n in zip(offset, normal, strict=True))
        square = sum(o * o for o in offset)
        across = np.sqrt(np.maximum(square - along**2, 0))
        yield int(label), cut, along, across
