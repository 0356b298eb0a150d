"""What a FIB-SEM does to the picture: blur, focus, curtains, drift and shot noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from fibseg.phantom.grid import Field


def photograph(canvas: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Recorded planes, uint8, of the ideal grey levels `canvas` (0 to 255).

    Each plane has its own focus, contrast and brightness, which wander along z; stripes run along
    y (curtaining) and persist over a few planes; noise grows with the signal.
    """
    n = len(canvas)
    sharp = gaussian_filter(canvas, (0.35, 0.5, 0.5))
    drift = 6.0 * _wander(n, 40, rng) + 1.0 * rng.standard_normal(n)
    contrast = 1 + 0.04 * _wander(n, 30, rng)
    focus = np.clip(0.2 + 0.25 * _wander(n, 12, rng), 0, 0.7)
    curtains = _curtains(n, canvas.shape[2], rng)
    out = np.empty(canvas.shape, np.uint8)
    seeds = rng.spawn(n)
    for z in range(n):
        plane = _record(sharp[z], curtains[z], float(focus[z]), seeds[z])
        plane = 150 + contrast[z] * (plane - 150) + drift[z]
        out[z] = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return out


def _record(
    plane: NDArray[np.float32],
    curtain: NDArray[np.float64],
    focus: float,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """One plane with its blur, stripes and noise."""
    soft = gaussian_filter(plane, 1.0)
    seen = (1 - focus) * plane + focus * soft
    # Curtains deepen down the plane, away from where the ion beam enters.
    depth = np.linspace(0.6, 1.15, len(plane))[:, None]
    shot = rng.standard_normal(plane.shape)
    # The detector is slower than the beam: noise is a little correlated along the scan line.
    shot = 0.9 * shot + 0.45 * np.roll(shot, 1, axis=1)
    return np.asarray(seen + depth * curtain[None, :] + 6.5 * np.sqrt(seen.clip(1) / 150) * shot)


def _wander(n: int, length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Slow random walk of deviation about 1 along z."""
    steps = gaussian_filter1d(rng.standard_normal(n + 8), length / 4, mode="wrap")[:n]
    return np.asarray(steps * np.sqrt(2 * np.sqrt(np.pi) * length / 4))


def _curtains(n: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Stripe profile (z, x): broad and narrow stripes, each lasting for some planes."""
    fine = gaussian_filter(rng.standard_normal((n, width)), (1.2, 0.7), mode="wrap")
    broad = gaussian_filter(rng.standard_normal((n, width)), (4.0, 6.0), mode="wrap")
    fine /= max(float(fine.std()), 1e-6)
    broad /= max(float(broad.std()), 1e-6)
    strong = np.where(np.abs(fine) > 2.3, 1.9 * fine, fine)
    return np.asarray(2.0 * strong + 2.6 * broad)
