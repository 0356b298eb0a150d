"""Two sections of a nucleus, on either side of its furrow or of a plane that is given.

Areas of parallel cuts through a convex body rise to one maximum and fall again (Brunn's theorem).
So where they have two, with less between them, the body has a furrow; and the cut with the least
area, compared to the larger ones on both sides, is where it parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from fibseg.errors import UsageError
from fibseg.measure.envelope_faces import OCCUPANCY
from fibseg.types import Spacing, Table

Floats = NDArray[np.float64]

NECK = 0.975
"""A furrow leaves at most so much of the cuts on both sides of it."""
SMALLEST = 0.08
"""A section holds at least this share of the nucleus."""
_DIRECTIONS, _FINER, _STEPS = 500, 60, 3
_BINS_PER_CELL = 4


@dataclass(frozen=True)
class Plane:
    """Where a nucleus is parted.

    Attributes
    ----------
    point_um, normal
        (z, y, x); the normal is a unit vector.
    neck
        Area of the cut as a share of the larger cuts on both sides, the smaller of the two; NaN of
        a plane that was given.
    """

    point_um: tuple[float, float, float]
    normal: tuple[float, float, float]
    neck: float = float("nan")

    @classmethod
    def given(cls, point_um: Sequence[float], normal: Sequence[float]) -> Plane:
        """A plane that the user gives.

        Raises
        ------
        UsageError
            If these are no three numbers each, or the normal has no direction.
        """
        point, direction = np.asarray(point_um, float), np.asarray(normal, float)
        good = point.shape == direction.shape == (3,) and np.isfinite([*point, *direction]).all()
        if not good or not np.linalg.norm(direction) > 0:
            raise UsageError(
                f"point_um={list(point_um)} and normal={list(normal)} are no plane. Give three "
                "numbers each, (z, y, x), the normal of any length above 0."
            )
        return cls(_three(point), _three(direction / np.linalg.norm(direction)))

    def height_um(self, points_um: Floats) -> Floats:
        """How far points (n, 3) lie in front of the plane, negative behind it."""
        return np.asarray((points_um - np.array(self.point_um)) @ np.array(self.normal))


def furrow_of(
    table: Table, *, spacing: Spacing, first_um: tuple[float, float, float] = (0, 0, 0)
) -> Plane | None:
    """The plane in the deepest furrow of the largest piece of a nucleus; None where it has none.

    Parameters
    ----------
    table
        Of `fibseg.measure.envelope_faces.partial`, all blocks together.
    spacing
        Of the working grid, nm.
    first_um
        Where the centre of its first voxel lies.
    """
    points, weight = _cells(table, spacing, first_um)
    if len(points) < 8:
        return None
    width = float(np.prod(spacing) ** (1 / 3)) * OCCUPANCY * 1e-3
    best = _best(points, weight, _half_sphere(_DIRECTIONS), width)
    for step in range(_STEPS):
        if best is None:
            return None
        spread = 0.12 / 2**step
        normal = np.array(best.normal)
        near = normal + spread * np.random.default_rng(step).standard_normal((_FINER, 3))
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        best = _best(points, weight, np.concatenate([normal[None], near]), width)
    return best if best is not None and best.neck <= NECK else None


def _cells(
    table: Table, spacing: Spacing, first_um: tuple[float, float, float]
) -> tuple[Floats, Floats]:
    """Middles of the coarse cells of the largest piece, µm, and how full they are."""
    cell, count = np.asarray(table["cell"]), np.asarray(table["n_inside"], np.float64)
    if not len(cell):
        return np.zeros((0, 3)), np.zeros(0)
    low = cell.min(axis=0)
    full = np.zeros(cell.max(axis=0) - low + 1)
    np.add.at(full, tuple((cell - low).T), count)
    pieces = cc3d.connected_components(2 * full >= OCCUPANCY**3, connectivity=6)
    sizes = np.bincount(pieces.ravel(), full.ravel())
    if len(sizes) < 2:
        return np.zeros((0, 3)), np.zeros(0)
    largest = pieces == 1 + int(np.argmax(sizes[1:]))
    # With the cells at its border, which are less than half full.
    edge = np.zeros_like(largest)
    for axis in range(3):
        for shift in (-1, 1):
            moved = np.roll(largest, shift, axis)
            index = [slice(None)] * 3
            index[axis] = slice(-1, None) if shift < 0 else slice(0, 1)
            moved[tuple(index)] = False
            edge |= moved
    chosen = (largest | (edge & (pieces == 0))) & (full > 0)
    unit = np.asarray(spacing) * 1e-3
    middle = (np.argwhere(chosen) + low) * OCCUPANCY + (OCCUPANCY - 1) / 2
    return middle * unit + np.asarray(first_um), full[chosen]


def _best(points: Floats, weight: Floats, normals: Floats, width_um: float) -> Plane | None:
    """The cut with the least neck over these directions."""
    found: tuple[float, float, Floats] | None = None
    for normal in normals:
        along = points @ normal
        neck, where = _narrowest(along, weight, width_um)
        if found is None or neck < found[0]:
            found = (neck, where, normal)
    if found is None or not found[0] < 1:
        return None
    neck, where, normal = found
    middle = np.average(points, axis=0, weights=weight)
    point = middle + (where - middle @ normal) * normal
    return Plane(_three(point), _three(normal), neck)


def _narrowest(along: Floats, weight: Floats, width_um: float) -> tuple[float, float]:
    """Least share that a cut has of the larger cuts on both sides, and where along the line."""
    step = width_um / _BINS_PER_CELL
    place = (along - along.min()) / step
    first = place.astype(np.int64)
    part = place - first
    n = int(first.max()) + 2
    area = np.bincount(first, weight * (1 - part), n) + np.bincount(first + 1, weight * part, n)
    smooth = gaussian_filter1d(area, 0.75 * _BINS_PER_CELL, mode="constant")
    left, right = np.maximum.accumulate(smooth), np.maximum.accumulate(smooth[::-1])[::-1]
    behind = np.cumsum(area) / area.sum()
    inside = (behind >= SMALLEST) & (behind <= 1 - SMALLEST)
    share = np.where(inside, smooth / np.maximum(np.minimum(left, right), 1e-300), 1.0)
    k = int(np.argmin(share))
    return float(share[k]), float(along.min() + k * step)


def _half_sphere(n: int) -> Floats:
    """Directions that cover a half sphere evenly: a spiral."""
    k = np.arange(n)
    z = 1 - (k + 0.5) / n
    turn, ring = k * np.pi * (3 - 5**0.5), np.sqrt(1 - z * z)
    return np.stack([z, ring * np.cos(turn), ring * np.sin(turn)], axis=1)


def _three(numbers: Floats) -> tuple[float, float, float]:
    z, y, x = (float(n) for n in numbers)
    return z, y, x
