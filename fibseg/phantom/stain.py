"""Grey levels before the microscope: structures painted over each other, stain dark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from fibseg.phantom.body import Body
from fibseg.phantom.chromatin import Chromatin
from fibseg.phantom.endomembranes import Balls
from fibseg.phantom.grid import Field, Grid, fraction_inside, sheet
from fibseg.phantom.mitochondria import Mitochondria
from fibseg.phantom.noise import grain, smooth_noise
from fibseg.phantom.pores import HALF_HEIGHT_NM, RADIUS_NM, Pores

RESIN = 205.0
CYTOPLASM = 163.0
NUCLEOPLASM = 170.0
HETEROCHROMATIN = 122.0
NUCLEOLUS = 113.0
POCKET = 186.0
MATRIX = 136.0
CRISTA = 84.0
MEMBRANE = 70.0
LUMEN = 178.0
VESICLE = 182.0
LYSOSOME = 92.0
DROPLET = 141.0


@dataclass
class Filling:
    """What fills the cytoplasm; `er` and `golgi` are signed distances in nm."""

    mitochondria: Mitochondria
    er: Field
    golgi: Field
    vesicles: Balls
    lysosomes: Balls
    droplets: Balls


@dataclass
class Parts:
    """Everything in the cell, as distances and densities."""

    body: Body
    filling: Filling
    chromatin: Chromatin
    pores: Pores


def stain(grid: Grid, parts: Parts, rng: np.random.Generator) -> Field:
    """Grey level of every voxel, 0 black to 255 white, of an ideal microscope."""
    grains = grain(grid, size_nm=15, rng=rng)
    mottle = smooth_noise(grid, wavelength_nm=240, rng=rng)
    canvas = RESIN + 1.0 * smooth_noise(grid, wavelength_nm=1500, rng=rng)
    _lay(canvas, fraction_inside(parts.body.cell, spacing=grid.spacing),
         _cytoplasm(grid, grains, mottle, rng))  # fmt: skip
    _cisternae(canvas, grid, parts.filling, grains)
    _round_bodies(canvas, grid, parts.filling, grains)
    _mitochondria(canvas, grid, parts.filling.mitochondria, grains, rng)
    _nucleus(canvas, grid, parts, grains, mottle, rng)
    _line(canvas, sheet(parts.body.cell, at=-4, sigma=_thin(grid, 9)), 0.85)
    return np.asarray(canvas, dtype=np.float32)


def _lay(canvas: Field, share: Field, level: Field | float) -> None:
    """Cover `canvas` by `level` where `share` is 1; in place."""
    canvas += share * (level - canvas)


def _line(canvas: Field, weight: Field, strength: float) -> None:
    """Darken towards the grey of membranes; in place."""
    _lay(canvas, np.float32(strength) * weight, MEMBRANE)


def _thin(grid: Grid, sigma: float) -> float:
    """Width of a bell that a voxel still resolves, nm."""
    return max(sigma, 0.42 * float(np.mean(grid.spacing)))


def _cytoplasm(grid: Grid, grains: Field, mottle: Field, rng: np.random.Generator) -> Field:
    """Ground substance with clouds of ribosomes."""
    clouds = np.clip(0.55 + 0.5 * smooth_noise(grid, wavelength_nm=520, rng=rng), 0.1, 1.6)
    dense = smooth_noise(grid, wavelength_nm=1000, rng=rng)
    ribosomes = np.clip(grains - 0.7, 0, 3) * clouds
    ground = CYTOPLASM + 6 * mottle - 6 * dense + 5 * np.minimum(grains, 0.7)
    return np.asarray(ground - 36 * ribosomes)


def _cisternae(canvas: Field, grid: Grid, filling: Filling, grains: Field) -> None:
    """Pale lumen between two membranes; the ER is studded, the Golgi smooth."""
    _lay(canvas, 0.7 * fraction_inside(filling.golgi + 4, spacing=grid.spacing), LUMEN)
    _line(canvas, sheet(filling.golgi, at=0, sigma=_thin(grid, 9)), 0.55)
    _lay(canvas, 0.8 * fraction_inside(filling.er + 6, spacing=grid.spacing), LUMEN)
    rough = np.clip(0.62 + 0.22 * grains, 0.2, 0.95)
    _lay(canvas, sheet(filling.er, at=0, sigma=_thin(grid, 9)) * rough, MEMBRANE + 8)


def _round_bodies(canvas: Field, grid: Grid, filling: Filling, grains: Field) -> None:
    """Pale vesicles with a membrane, dark lysosomes, grey lipid droplets."""
    _lay(canvas, fraction_inside(filling.vesicles.distance + 8, spacing=grid.spacing), VESICLE)
    _line(canvas, sheet(filling.vesicles.distance, at=-2, sigma=_thin(grid, 8)), 0.75)
    _lay(canvas, fraction_inside(filling.lysosomes.distance, spacing=grid.spacing),
         LYSOSOME + 11 * grains)  # fmt: skip
    _line(canvas, sheet(filling.lysosomes.distance, at=-2, sigma=_thin(grid, 9)), 0.7)
    _lay(canvas, fraction_inside(filling.droplets.distance, spacing=grid.spacing), DROPLET)
    _line(canvas, sheet(filling.droplets.distance, at=0, sigma=_thin(grid, 8)), 0.35)


def _mitochondria(
    canvas: Field, grid: Grid, mitochondria: Mitochondria, grains: Field, rng: np.random.Generator
) -> None:
    """Matrix of its own darkness, cristae that reach in from the inner membrane, two membranes."""
    distance = mitochondria.distance
    near = np.flatnonzero(distance < 60)
    n = int(mitochondria.labels.max()) + 1
    tone = np.clip(rng.normal(0, 8, n), -18, 8).astype(np.float32)
    period = rng.uniform(72, 100, n).astype(np.float32)
    bend = 45 * smooth_noise(grid, wavelength_nm=210, rng=rng).ravel()[near]
    gaps = smooth_noise(grid, wavelength_nm=190, rng=rng).ravel()[near]
    d, which = distance.ravel()[near], mitochondria.labels.ravel()[near]
    wave = np.cos(2 * np.pi * (mitochondria.phase.ravel()[near] + bend) / period[which])
    cristae = np.clip((wave - 0.25) / 0.6, 0, 1) * np.clip(0.75 + 0.9 * gaps, 0, 1)
    cristae *= np.clip((-d - 18) / 12, 0, 1)
    level = MATRIX + tone[which] + 5 * grains.ravel()[near]
    level += np.float32(0.8) * cristae * (CRISTA - level)
    flat = canvas.ravel()
    flat[near] += fraction_inside(d, spacing=grid.spacing) * (level - flat[near])
    # The outer and the inner membrane lie 20 nm apart: one thick line at this resolution.
    line = sheet(d, at=-2, sigma=_thin(grid, 8)) + 0.8 * sheet(d, at=-22, sigma=_thin(grid, 8))
    flat[near] += 0.72 * np.clip(line, 0, 1) * (MEMBRANE - flat[near])


def _nucleus(
    canvas: Field,
    grid: Grid,
    parts: Parts,
    grains: Field,
    mottle: Field,
    rng: np.random.Generator,
) -> None:
    """Nucleoplasm, chromatin, nucleolus and pockets; the two membranes with their pores."""
    body, chromatin = parts.body, parts.chromatin
    fibres = grain(grid, size_nm=28, rng=rng)
    clots = smooth_noise(grid, wavelength_nm=95, rng=rng)
    level = NUCLEOPLASM + 4 * mottle + 6 * fibres + 6 * clots + 4 * grains
    level += chromatin.hetero * (HETEROCHROMATIN + 9 * fibres - level)
    nucleolus = 0.95 * fraction_inside(chromatin.nucleolus / 2, spacing=grid.spacing)
    level += nucleolus * (NUCLEOLUS + 12 * fibres + 6 * mottle - level)
    pockets = gaussian_filter(np.float32(parts.pores.pockets > 0), [14 / s for s in grid.spacing])
    level += 0.85 * pockets * (POCKET + 5 * fibres - level)
    inner = body.nucleus + body.gap
    # Between the membranes the envelope is as pale as the lumen of the ER.
    _lay(canvas, fraction_inside(body.nucleus, spacing=grid.spacing), LUMEN)
    _lay(canvas, fraction_inside(inner, spacing=grid.spacing), level)
    _envelope(canvas, grid, parts, inner)


def _envelope(canvas: Field, grid: Grid, parts: Parts, inner: Field) -> None:
    """Outer and inner membrane, interrupted by pores and joined at their rims."""
    outer, radial = parts.body.nucleus, parts.pores.radial
    sigma = _thin(grid, 9)
    closed = np.clip((radial - 0.55 * RADIUS_NM) / 15, 0, 1)
    _line(canvas, sheet(outer, at=-3, sigma=sigma) * closed, 0.9)
    _line(canvas, sheet(inner, at=3, sigma=sigma) * closed, 0.9)
    middle = (outer + inner) / 2
    height = np.clip(1.5 - np.abs(middle) / (0.7 * HALF_HEIGHT_NM), 0, 1)
    rim = sheet(radial, at=0.72 * RADIUS_NM, sigma=_thin(grid, 10))
    plug = sheet(radial, at=0, sigma=18)
    _lay(canvas, height * np.clip(0.75 * rim + 0.5 * plug, 0, 1), MEMBRANE + 18)
