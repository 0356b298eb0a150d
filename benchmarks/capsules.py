"""Capsules at random in a round cell with a nucleus: exact geometry, no voxels until asked for.

Made to test the spatial null, and so by other means: objects come in any order, their walls are
formulas, and where there is no room for one, another place is drawn until there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.types import Labels, Mask

Points = NDArray[np.float64]

SIDE_UM = 5.2
CELL_UM, NUCLEUS_UM = 2.5, 1.1
"""Radii; the cell is in the middle of the volume."""
NUCLEUS_AT = np.array([0.1, 0.3, -0.4])
"""Centre of the nucleus from that of the cell, µm."""
_RADII, _LENGTHS = (0.12, 0.45), (0.2, 1.2)
_ALONG = np.linspace(-0.5, 0.5, 15)


@dataclass(frozen=True)
class Capsules:
    """Capsules in µm from the centre of the cell.

    Attributes
    ----------
    centre, axis
        Shape (n, 3); `axis` goes from end to end of the middle line.
    radius
        Of each.
    """

    centre: Points
    axis: Points
    radius: Points

    @property
    def surface_to_volume_per_um(self) -> Points:
        """Exact."""
        length, r = np.linalg.norm(self.axis, axis=1), self.radius
        return (2 * length + 4 * r) / (r * length + 4 / 3 * r**2)

    @property
    def distances_um(self) -> tuple[Points, Points, Points]:
        """Of the centres to the nucleus, to the plasma membrane, to the nearer of both."""
        nucleus = np.abs(np.linalg.norm(self.centre - NUCLEUS_AT, axis=1) - NUCLEUS_UM)
        cell = CELL_UM - np.linalg.norm(self.centre, axis=1)
        return nucleus, cell, np.minimum(nucleus, cell)

    def labels(self, voxel_um: float) -> Labels:
        """Numbered in their order, on a grid of cubes."""
        places = _places(voxel_um)
        labels = np.zeros((len(places),) * 3, np.uint16)
        for number, (centre, axis, r) in enumerate(
            zip(self.centre, self.axis, self.radius, strict=True), start=1
        ):
            reach = np.abs(axis) / 2 + r
            low, high = (np.searchsorted(places, centre + d) for d in (-reach, reach))
            box = tuple(map(slice, low, high))
            away = np.stack(np.meshgrid(*(places[b] for b in box), indexing="ij"), -1) - centre
            along = np.clip(away @ axis / (axis @ axis), -0.5, 0.5)
            inside = np.linalg.norm(away - along[..., None] * axis, axis=-1) <= r
            labels[box][inside] = number
        return labels


def masks(voxel_um: float) -> tuple[Mask, Mask]:
    """The cell, nucleus included, and the nucleus on a grid of cubes."""
    at = np.stack(np.meshgrid(*[_places(voxel_um)] * 3, indexing="ij"), -1)
    return (
        np.linalg.norm(at, axis=-1) <= CELL_UM,
        np.linalg.norm(at - NUCLEUS_AT, axis=-1) <= NUCLEUS_UM,
    )


def random_capsules(n: int, rng: np.random.Generator, *, choice: int = 1) -> Capsules:
    """Capsules of random sizes, wholly inside the cytoplasm and without overlap.

    Each takes the best of `choice` random places: thin ones near the nucleus, thick ones far from
    it. With one place there is no correlation but that of geometry.
    """
    radii = np.exp(rng.uniform(*np.log(_RADII), n))
    lengths = rng.uniform(*_LENGTHS, n)
    lines = np.zeros((0, 3))
    widths = np.zeros(0)
    centres, axes = [], []
    for r, length in zip(radii, lengths, strict=True):
        found: list[tuple[Points, Points]] = []
        while len(found) < choice:
            found += _fitting(r, length, lines, widths, rng)
        near = [np.linalg.norm(centre - NUCLEUS_AT) for centre, _ in found[:choice]]
        best = np.argmin(near) if r < np.sqrt(np.prod(_RADII)) else np.argmax(near)
        centre, axis = found[best]
        centres.append(centre)
        axes.append(axis)
        lines = np.concatenate([lines, centre + _ALONG[:, None] * axis])
        widths = np.append(widths, np.full(len(_ALONG), r))
    return Capsules(np.array(centres), np.array(axes), radii)


def _fitting(
    r: float, length: float, lines: Points, widths: Points, rng: np.random.Generator
) -> list[tuple[Points, Points]]:
    """Those of 32 random centres and axes where a capsule has room among others."""
    centre = rng.uniform(-CELL_UM, CELL_UM, (32, 3))
    axis = rng.normal(size=(32, 3))
    axis *= length / np.linalg.norm(axis, axis=1, keepdims=True)
    line = centre[:, None] + _ALONG[:, None] * axis[:, None]  # (32, points, 3)
    good = (np.linalg.norm(line, axis=-1) + r <= CELL_UM).all(axis=1)
    good &= (np.linalg.norm(line - NUCLEUS_AT, axis=-1) - r >= NUCLEUS_UM).all(axis=1)
    kept = np.flatnonzero(good)
    if len(lines):
        away = np.linalg.norm(line[kept][:, :, None] - lines, axis=-1)
        kept = kept[(away >= r + widths).all(axis=(1, 2))]
    return list(zip(centre[kept], axis[kept], strict=True))


def _places(voxel_um: float) -> Points:
    """Centres of voxels along an axis, from the middle of the volume."""
    n = round(SIDE_UM / voxel_um)
    return (np.arange(n) - (n - 1) / 2) * voxel_um
