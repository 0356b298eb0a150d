"""Lattice directions for counting surfaces, and what a pair of voxels along each is worth.

Cauchy and Crofton: the mean size of a body's shadow, over all directions, is a quarter of its
surface. For a direction that steps from voxel to voxel by a vector v, the pairs (p inside, p + v
outside) times the volume of a voxel are |v| times that shadow. So a weighted sum of such counts
is a surface (Lang, Ohser and Hilfer, J Microsc 203:303, 2001): whole numbers that add over blocks,
for every object by itself even where objects touch.

The usual 13 directions, each weighted by its share of the sphere, read 0.93 of a flat face along
the grid, and 0.77 of a face along sections five times as thick as a pixel is wide. Here steps
reach farther, and their weights are fitted, none below 0, to planes in all directions and to a
ball of the smallest size that has to be right, as a long step takes a short cut past a curved
surface. `benchmarks/surface.py` compares this with other methods. What is thinner than a step
(`Directions.reach`) is read too small.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from fibseg.errors import UsageError
from fibseg.types import Spacing

Vector = tuple[int, int, int]
"""A step from voxel to voxel, (z, y, x)."""

_FARTHEST = 4
_NORMALS = 2000
_RESOLUTION = 2**20
"""The units that all directions of one voxel add up to: weights are right to some 1e-5."""


@dataclass(frozen=True)
class Directions:
    """Steps in all directions, grouped where symmetry gives them one weight.

    Attributes
    ----------
    groups
        Steps of equal weight; of v and -v only one, since both count the same pairs.
    units
        What one pair (inside, outside) counts for each group, a whole number.
    unit_nm2
        Surface in nm² that one unit stands for.
    """

    groups: tuple[tuple[Vector, ...], ...]
    units: tuple[int, ...]
    unit_nm2: float

    @classmethod
    def of(cls, spacing: Spacing) -> Directions:
        """Directions for voxels of `spacing` nm, (z, y, x).

        Raises
        ------
        UsageError
            If a size is not positive.
        """
        if not all(math.isfinite(s) and s > 0 for s in spacing):
            raise UsageError(f"spacing {spacing} is no size of a voxel. Give three positive nm.")
        sizes = np.array(spacing) / min(spacing)
        groups = _grouped(sizes)
        weights = _fitted(groups, sizes)
        per_voxel = sum(w * len(group) for w, group in zip(weights, groups, strict=True))
        units = [round(w / per_voxel * _RESOLUTION) for w in weights]
        kept = [(group, unit) for group, unit in zip(groups, units, strict=True) if unit]
        return cls(
            tuple(group for group, _ in kept), tuple(unit for _, unit in kept),
            float(per_voxel / _RESOLUTION * math.prod(spacing) / min(spacing)),
        )

    @property
    def reach(self) -> Vector:
        """How far a step goes at most along each axis, in voxels."""
        z, y, x = (
            max(abs(vector[axis]) for group in self.groups for vector in group)
            for axis in range(3)
        )
        return z, y, x

    def plane(self, normal: NDArray[np.float64], *, spacing: Spacing) -> NDArray[np.float64]:
        """What is counted of one unit of a flat surface with `normal` (unit vectors, (n, 3))."""
        counted = np.zeros(len(normal))
        for group, unit in zip(self.groups, self.units, strict=True):
            counted += unit * np.abs(normal @ (np.array(group) * spacing).T).sum(axis=1) / 2
        return counted * (self.unit_nm2 / math.prod(spacing))


def _grouped(sizes: NDArray[np.float64]) -> list[tuple[Vector, ...]]:
    """Steps without a common factor, those with one weight together.

    Mirroring an axis leaves the lattice as it is, and so does swapping axes of equal spacing.
    """
    groups: dict[tuple[tuple[float, int], ...], list[Vector]] = {}
    for vector in _steps(sizes):
        key = tuple(sorted((s, abs(v)) for s, v in zip(sizes, vector, strict=True)))
        groups.setdefault(key, []).append(vector)
    return [tuple(group) for _, group in sorted(groups.items())]


def _steps(sizes: NDArray[np.float64]) -> Iterator[Vector]:
    """One of v and -v; two voxels far, up to four along axes with shorter voxels than others."""
    reach = [min(_FARTHEST, 1 + int(max(sizes) / s)) for s in sizes]
    for z, y, x in itertools.product(*(range(-r, r + 1) for r in reach)):
        if (z, y, x) > (0, 0, 0) and math.gcd(z, y, x) == 1:
            yield z, y, x


def _fitted(
    groups: list[tuple[Vector, ...]], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weight of a pair of each group, so that counts times the volume of a voxel are surfaces.

    `sizes` of a voxel are multiples of the smallest.
    """
    normals = _even_normals(_NORMALS)
    radius = max(8.0, 3 * max(sizes))
    planes, ball = np.empty((_NORMALS, len(groups))), np.empty(len(groups))
    for i, group in enumerate(groups):
        steps = np.array(group) * sizes
        planes[:, i] = np.abs(normals @ steps.T).sum(axis=1) / 2
        length = np.linalg.norm(steps, axis=1)
        # A ball of radius R minus itself moved by d ≤ 2 R: π R² d (1 - d² / 12 R²).
        ball[i] = (length / 4 * (1 - length**2 / (12 * radius**2))).sum()
    # All planes together weigh as much as the ball.
    rows = np.vstack([planes / math.sqrt(_NORMALS), ball])
    wanted = np.append(np.full(_NORMALS, 1 / math.sqrt(_NORMALS)), 1.0)
    return np.asarray(nnls(rows, wanted)[0])


def _even_normals(n: int) -> NDArray[np.float64]:
    """Unit vectors evenly over the sphere (a golden spiral), shape (n, 3)."""
    along = np.arange(n) + 0.5
    z, turn = 1 - 2 * along / n, math.pi * (1 + math.sqrt(5)) * along
    width = np.sqrt(1 - z**2)
    return np.stack([z, width * np.cos(turn), width * np.sin(turn)], axis=1)
