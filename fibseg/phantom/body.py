"""The large surfaces: plasma membrane with blebs and filopodia, and a nucleus of two lobes."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.phantom.grid import Field, Grid, soft_max, soft_min, to_distance
from fibseg.phantom.noise import smooth_noise

SMALL_LOBE = 2
BIG_LOBE = 1


@dataclass(frozen=True)
class Body:
    """Signed distances in nm (negative inside), exact near their surface."""

    cell: Field
    """To the plasma membrane."""
    nucleus: Field
    """To the outer membrane of the nuclear envelope."""
    gap: Field
    """Distance in nm between the two membranes of the envelope, 30 to 50."""
    across: Field
    """Position in nm along the line of the two lobes, 0 at the furrow, positive on the small."""

    @property
    def cytoplasm(self) -> NDArray[np.bool_]:
        """Inside the cell and outside the nucleus."""
        return np.asarray((self.cell < 0) & (self.nucleus >= 0))

    def depth(self, grid: Grid) -> Field:
        """Distance in nm of each voxel of the cytoplasm from the nearest of the two surfaces."""
        mask = np.ascontiguousarray(self.cytoplasm)
        distance = edt.edt(mask, anisotropy=grid.spacing, black_border=False, parallel=1)
        # edt gives infinity where no surface is in sight.
        return np.asarray(np.minimum(distance, np.float32(max(grid.extent))))


def make_body(grid: Grid, rng: np.random.Generator) -> Body:
    """Cell and nucleus of a size that fits `grid`; a flat volume shows a slab of the cell."""
    longest = max(grid.extent)
    half = np.array([max(0.49 * e, 0.34 * longest) for e in grid.extent])
    scaled = [
        (a - c) / h for a, c, h in zip(grid.axes(), grid.centre, half, strict=True)
    ]  # three broadcastable axes, the cell surface is at radius 1
    cell = to_distance(_cell_field(grid, scaled, half, rng), spacing=grid.spacing)
    field, across = _nucleus_field(grid, scaled, half, rng)
    nucleus = to_distance(field, spacing=grid.spacing)
    # The nucleus keeps away from the plasma membrane whatever the roughness of both.
    nucleus = np.maximum(nucleus, cell + np.float32(180 * grid.scale))
    cell, nucleus = _one_piece(cell), _one_piece(nucleus)
    gap = np.clip(40 + 5 * smooth_noise(grid, wavelength_nm=500, rng=rng), 30, 50)
    return Body(cell, nucleus, gap, across)


def _one_piece(distance: Field) -> Field:
    """`distance` with specks that came off the largest piece pushed outside."""
    inside = distance < 0
    specks = inside & (cc3d.largest_k(inside, k=1, connectivity=6) == 0)
    return np.where(specks, np.float32(40) - distance, distance)


def _cell_field(
    grid: Grid, scaled: list[Field], half: NDArray[np.float64], rng: np.random.Generator
) -> Field:
    """Ellipsoid with swellings and roughness; filopodia are joined to it."""
    power = 2.5  # between a ball and a box
    radius = sum(np.abs(s) ** np.float32(power) for s in scaled) ** np.float32(1 / power)
    field = (radius - np.float32(0.96)) * np.float32(half.mean())
    field += np.float32(95 * grid.scale) * smooth_noise(grid, wavelength_nm=900, rng=rng)
    field += np.float32(32 * grid.scale) * smooth_noise(grid, wavelength_nm=320, rng=rng)
    field += np.float32(7) * smooth_noise(grid, wavelength_nm=110, rng=rng)
    for _ in range(int(rng.integers(30, 42))):
        field = _add_filopodium(field, grid, half, rng)
    return np.asarray(field, dtype=np.float32)


def _add_filopodium(
    field: Field, grid: Grid, half: NDArray[np.float64], rng: np.random.Generator
) -> Field:
    """`field` joined with a curved finger that leaves the cell surface, changed in place."""
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    point = grid.centre + 0.9 * direction * half
    heading = direction + 0.8 * rng.standard_normal(3)
    thickness = rng.uniform(45, 85) * max(grid.scale, 0.4)
    for _ in range(int(rng.integers(5, 16))):
        heading = heading / np.linalg.norm(heading) + 0.35 * rng.standard_normal(3)
        point = point + 45 * heading / np.linalg.norm(heading)
        box = grid.box(point - 3 * thickness, point + 3 * thickness)
        z, y, x = (a - p for a, p in zip(grid.axes(box), point, strict=True))
        ball = np.sqrt(z * z + y * y + x * x) - np.float32(thickness)
        if ball.size:
            field[box] = soft_min(field[box], ball.astype(np.float32), width=30.0)
    return field


def _nucleus_field(
    grid: Grid, scaled: list[Field], half: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Field, Field]:
    """Union of a big and a small ball in scaled space, cut by a furrow; and the lobe coordinate."""
    angle = rng.uniform(0, 2 * np.pi)
    along = np.array([0.15 * rng.uniform(-1, 1), np.sin(angle), np.cos(angle)])
    along /= np.linalg.norm(along)
    side = np.cross(along, np.array([1.0, 0.0, 0.0]))
    shift = 0.07 * rng.uniform(-1, 1, size=3)
    big, small = -0.23 * along + shift, 0.37 * along + shift
    size = np.float32(half.mean())
    lobes = soft_min(
        _ball(scaled, big, 0.54) * size, _ball(scaled, small, 0.40) * size, width=0.05 * float(size)
    )
    lobes += np.float32(45 * grid.scale) * smooth_noise(grid, wavelength_nm=800, rng=rng)
    lobes += np.float32(14 * grid.scale) * smooth_noise(grid, wavelength_nm=300, rng=rng)
    neck = float(shift @ along) + 0.135
    across = (_dot(scaled, along) - np.float32(neck)) * size
    across = across + np.float32(85 * grid.scale) * smooth_noise(grid, wavelength_nm=900, rng=rng)
    across = across + np.float32(22 * grid.scale) * smooth_noise(grid, wavelength_nm=350, rng=rng)
    depth = _dot(scaled, side) * size - np.float32(0.02 * size)
    width = 78 * (1 + 0.3 * smooth_noise(grid, wavelength_nm=500, rng=rng)) * max(grid.scale, 0.4)
    slit = np.hypot(across, np.minimum(depth, 0)) - np.clip(width, 30, 150).astype(np.float32)
    return soft_max(lobes, -slit, width=0.03 * float(size)), np.asarray(across, np.float32)


def _ball(scaled: list[Field], centre: NDArray[np.float64], radius: float) -> Field:
    z, y, x = (a - np.float32(c) for a, c in zip(scaled, centre, strict=True))
    return np.asarray(np.sqrt(z * z + y * y + x * x) - np.float32(radius), dtype=np.float32)


def _dot(scaled: list[Field], vector: NDArray[np.float64]) -> Field:
    z, y, x = (a * np.float32(v) for a, v in zip(scaled, vector, strict=True))
    return np.asarray(z + y + x, dtype=np.float32)
