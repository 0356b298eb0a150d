"""Random fields: slow ones from B-splines on a coarse lattice, fine ones from filtered noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from fibseg.phantom.grid import Field, Grid


def smooth_noise(grid: Grid, *, wavelength_nm: float, rng: np.random.Generator) -> Field:
    """Field of mean 0 and deviation about 1 that varies over `wavelength_nm`.

    White noise on a lattice of half the wavelength, interpolated by cubic B-splines: twice
    differentiable, and the lattice phase is random.
    """
    knots = [int(np.ceil(e / (wavelength_nm / 2))) + 5 for e in grid.extent]
    field: Field = rng.standard_normal(knots, dtype=np.float32)
    phases = rng.random(3)
    # x first and z last, so that the largest step adds whole planes.
    for axis in (2, 1, 0):
        step = grid.spacing[axis] / (wavelength_nm / 2)
        field = _interpolate(field, axis, grid.shape[axis], step, float(phases[axis]))
    # The squares of the weights of a cubic B-spline sum to 0.479 on average along each axis.
    return np.asarray(field / np.float32(0.479**1.5))


def _interpolate(field: Field, axis: int, n: int, step: float, phase: float) -> Field:
    """Cubic B-spline through the knots of one axis at ``phase + i · step``.

    Four sums in a fixed order, not a matrix product: BLAS rounds as its threads fall.
    """
    position = phase + 1 + np.arange(n) * step
    first = np.floor(position).astype(np.intp) - 1
    out = np.zeros((*field.shape[:axis], n, *field.shape[axis + 1 :]), np.float32)
    for tap in range(4):
        t = np.abs(position - (first + tap))
        near, far = (4 - 6 * t**2 + 3 * t**3) / 6, np.clip(2 - t, 0, None) ** 3 / 6
        weight = np.where(t < 1, near, far).astype(np.float32)
        along = [1, 1, 1]
        along[axis] = n
        out += np.take(field, first + tap, axis=axis) * weight.reshape(along)
    return out


def grain(grid: Grid, *, size_nm: float, rng: np.random.Generator) -> Field:
    """Fine texture of mean 0 and deviation 1 with a standard deviation of `size_nm`."""
    white = rng.standard_normal(grid.shape, dtype=np.float32)
    sigma = [size_nm / s for s in grid.spacing]
    blurred = np.asarray(ndimage.gaussian_filter(white, sigma, mode="wrap"), dtype=np.float32)
    return np.asarray(blurred / np.float32(max(float(blurred.std()), 1e-6)))
