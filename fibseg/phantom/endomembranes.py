"""Round bodies, the Golgi stacks, and the endoplasmic reticulum between everything else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.phantom.crowd import Crowd, Point
from fibseg.phantom.grid import FAR_NM, Field, Grid, to_distance
from fibseg.phantom.noise import smooth_noise


@dataclass
class Balls:
    """Numbered round bodies and their signed distance in nm."""

    labels: NDArray[np.uint16]
    distance: Field


def scatter_balls(
    grid: Grid,
    crowd: Crowd,
    *,
    per_um3: float,
    radius_nm: tuple[float, float],
    rng: np.random.Generator,
    gap_nm: float = 15.0,
) -> Balls:
    """Slightly oval bodies at random places with room, `per_um3` of cytoplasm, radii in nm."""
    out = Balls(np.zeros(grid.shape, np.uint16), np.full(grid.shape, FAR_NM, np.float32))
    spots = np.flatnonzero(crowd.depth > radius_nm[0] + gap_nm)
    n = round(per_um3 * np.count_nonzero(crowd.depth > 0) * grid.voxel_nm3 / 1e9)
    number = 0
    for _ in range(8 * n if spots.size else 0):
        if number == n:
            break
        spot = int(spots[rng.integers(spots.size)])
        centre = np.array(np.unravel_index(spot, grid.shape)) * np.array(grid.spacing)
        centre = centre + rng.uniform(-0.5, 0.5, 3) * np.array(grid.spacing)
        radius = float(rng.uniform(*radius_nm))
        squash = rng.uniform(0.75, 1.0, 3)
        if crowd.clearance(centre[None])[0] < radius + max(gap_nm, 1.8 * max(grid.spacing)):
            continue
        box = grid.box(centre - radius - 90, centre + radius + 90)
        z, y, x = (
            (a - np.float32(c)) / np.float32(q)
            for a, c, q in zip(grid.axes(box), centre, squash, strict=True)
        )
        near: Field = np.sqrt(z * z + y * y + x * x) - np.float32(radius)
        near *= np.float32(squash.mean())
        if not (near < 0).any():
            continue
        number += 1
        crowd.add(centre, radius)
        out.distance[box] = np.minimum(out.distance[box], near)
        out.labels[box][near < 0] = number
    return out


def stack_golgi(grid: Grid, crowd: Crowd, *, n: int, rng: np.random.Generator) -> Field:
    """Signed distance in nm to the cisternae of up to `n` Golgi stacks, where there is room."""
    out = np.full(grid.shape, FAR_NM, np.float32)
    spots = np.flatnonzero(crowd.depth > 190)
    for _ in range(n if spots.size else 0):
        tries = spots[rng.integers(spots.size, size=60)]
        centres = np.stack(np.unravel_index(tries, grid.shape), axis=1) * np.array(grid.spacing)
        room = crowd.clearance(centres)
        centre, size = centres[room.argmax()], min(float(room.max()) - 20, 380.0)
        if size >= 170:
            crowd.add(centre, size)
            _stack(out, grid, centre, size, rng)
    return np.asarray(np.maximum(out, np.float32(70) - crowd.depth), dtype=np.float32)


def _stack(
    out: Field, grid: Grid, centre: Point, size: float, rng: np.random.Generator
) -> None:
    """One stack of bent cisternae 70 nm apart within `size` nm of `centre`; in place."""
    box = grid.box(centre - size - 60, centre + size + 60)
    normal = rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    bend = 1.6 * size
    middle = centre - bend * normal
    to_middle = [a - np.float32(c) for a, c in zip(grid.axes(box), middle, strict=True)]
    away = np.sqrt(sum(o * o for o in to_middle)) - np.float32(bend)
    z, y, x = (a - np.float32(c) for a, c in zip(grid.axes(box), centre, strict=True))
    wave = smooth_noise(grid, wavelength_nm=240, rng=rng)[box]
    height = away + 9 * wave
    rim = np.sqrt(z * z + y * y + x * x) - np.float32(0.85 * size) + 12 * np.clip(wave, -2, 2)
    layer = np.abs((height + 35) % 70 - 35) - 14
    flat = np.maximum(np.abs(height) - 175, rim)
    out[box] = np.minimum(out[box], np.maximum(layer, flat))


def weave_er(
    grid: Grid, *, depth: Field, nucleus: Field, others: Field, rng: np.random.Generator
) -> Field:
    """Signed distance in nm to sheets and tubules of endoplasmic reticulum, negative inside.

    Sheets are level surfaces of a slow field that leans on the distance to the nucleus, so that
    most of them lie around it; tubules are where two such surfaces cross.
    """
    lean = np.float32(1 / 300) * np.clip(nucleus, 0, 2000)
    first = to_distance(
        smooth_noise(grid, wavelength_nm=650, rng=rng) + 2 * np.cos(2 * lean),
        spacing=grid.spacing,
    )
    second = to_distance(smooth_noise(grid, wavelength_nm=420, rng=rng), spacing=grid.spacing)
    gate = 160 * smooth_noise(grid, wavelength_nm=700, rng=rng)
    third = to_distance(smooth_noise(grid, wavelength_nm=520, rng=rng), spacing=grid.spacing)
    sheets = np.maximum(np.abs(first) - np.float32(24), gate - 60)
    tubules = np.sqrt(first * first + second * second) - np.float32(32)
    thin = np.sqrt(second * second + third * third) - np.float32(30)
    both = np.minimum(np.minimum(sheets, tubules), thin)
    # Two membranes never share a voxel: stay clear of every other surface.
    both = np.maximum(both, np.float32(50) - others)
    return np.asarray(np.maximum(both, np.float32(75) - depth), dtype=np.float32)
