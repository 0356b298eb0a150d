"""Random fields: slow ones from B-splines on a coarse lattice, fine ones from filtered noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.phantom.grid import Field, Grid


def smooth_noise(grid: Grid, *, wavelength_nm: float, rng: np.random.Generator) -> Field:
    """Field of mean 0 and deviation about 1 that varies over `wavelength_nm`.

    White noise on a lattice of half the wavelength, interpolated by cubic B-splines: twice
    differentiable, and the lattice phase is random.
    """
    knots = [int(np.ceil(e / (wavelength_nm / 2))) + 5 for e in grid.extent]
    field: NDArray[np.float32] = rng.standard_normal(knots, dtype=np.float32)
    for axis, (n, s) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        basis = _bspline_basis(n, s / (wavelength_nm / 2), knots[axis], float(rng.random()))
        field = np.moveaxis(np.tensordot(basis, field, axes=(1, axis)), 0, axis)
    # The squares of the weights of a cubic B-spline sum to 0.479 on average along each axis.
    return np.ascontiguousarray(field / np.float32(0.479**1.5))


def _bspline_basis(n: int, step: float, n_knots: int, phase: float) -> NDArray[np.float32]:
    """Weights (n, n_knots) of cubic B-splines at positions ``phase + i · step`` in knots."""
    position = phase + 1 + np.arange(n) * step
    t = np.abs(position[:, None] - np.arange(n_knots)[None, :])
    near = (4 - 6 * t**2 + 3 * t**3) / 6
    far = np.clip(2 - t, 0, None) ** 3 / 6
    return np.asarray(np.where(t < 1, near, far), dtype=np.float32)


def grain(grid: Grid, *, size_nm: float, rng: np.random.Generator) -> Field:
    """Fine texture of mean 0 and deviation 1 with a standard deviation of `size_nm`."""
    white = rng.standard_normal(grid.shape, dtype=np.float32)
    sigma = [size_nm / s for s in grid.spacing]
    blurred = np.asarray(ndimage.gaussian_filter(white, sigma, mode="wrap"), dtype=np.float32)
    return np.asarray(blurred / np.float32(max(float(blurred.std()), 1e-6)))
