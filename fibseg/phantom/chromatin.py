"""Inside the nucleus: heterochromatin at the rim and in clumps, and a nucleolus."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.phantom.body import Body
from fibseg.phantom.grid import FAR_NM, Field, Grid
from fibseg.phantom.noise import smooth_noise


@dataclass
class Chromatin:
    """What is dense in the nucleus."""

    hetero: Field
    """Density of heterochromatin, 0 to 1."""
    nucleolus: Field
    """Signed distance in nm to the nucleolus, negative inside; at most 1000."""


def fold_chromatin(
    grid: Grid, body: Body, pockets: NDArray[np.uint16], rng: np.random.Generator
) -> Chromatin:
    """Chromatin that lines the envelope, leaves the pockets free and rings the nucleolus."""
    inside = np.ascontiguousarray(body.nucleus < 0)
    deep = edt.edt(inside, anisotropy=grid.spacing, black_border=False, parallel=1)
    deep = np.minimum(deep, np.float32(2000))
    clumps = smooth_noise(grid, wavelength_nm=380, rng=rng)
    clumps += np.float32(0.6) * smooth_noise(grid, wavelength_nm=170, rng=rng)
    nucleolus = _nucleolus(grid, inside & (pockets == 0), deep, rng)
    rim = np.exp(-np.maximum(deep - 80, 0) / 80)
    ring = np.exp(-np.abs(nucleolus) / 60)
    tendency = clumps + 2.1 * rim + 1.3 * ring - 1.45
    hetero = np.clip(0.5 + 1.6 * tendency, 0, 1) * inside
    hetero[pockets > 0] = 0
    return Chromatin(np.asarray(hetero, np.float32), nucleolus)


def _nucleolus(
    grid: Grid, free: NDArray[np.bool_], deep: Field, rng: np.random.Generator
) -> Field:
    """A lumpy body in the deepest part of the nucleus."""
    if not free.any() or float(deep.max()) < 120:
        return np.full(grid.shape, FAR_NM, np.float32)
    centre = np.array(np.unravel_index(int(deep.argmax()), grid.shape)) * np.array(grid.spacing)
    radius = float(min(0.52 * deep.max(), 650.0))
    centre = centre + rng.uniform(-0.2, 0.2, 3) * radius
    z, y, x = (a - np.float32(c) for a, c in zip(grid.axes(), centre, strict=True))
    lumps = 0.16 * radius * smooth_noise(grid, wavelength_nm=1.3 * radius, rng=rng)
    distance = np.sqrt(z * z + y * y + x * x) - np.float32(radius) + lumps.astype(np.float32)
    keep_off = np.where(free, np.float32(90) - deep, np.float32(30))
    return np.asarray(np.minimum(np.maximum(distance, keep_off), FAR_NM), np.float32)
