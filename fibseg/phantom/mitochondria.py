"""Mitochondria: branching worms that grow where there is room."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from fibseg.phantom.crowd import Crowd, Point
from fibseg.phantom.grid import FAR_NM, Field, Grid
from fibseg.phantom.noise import smooth_noise

STEP_NM = 40.0


@dataclass
class Mitochondria:
    """Numbered mitochondria with what is needed to draw them."""

    labels: NDArray[np.uint16]
    distance: Field
    """Signed distance to the outer membrane in nm, negative inside; at most 1000."""
    phase: Field
    """Coordinate in nm along which cristae follow each other."""


def grow_mitochondria(
    grid: Grid,
    crowd: Crowd,
    *,
    share: float,
    thickness_gradient: bool,
    rng: np.random.Generator,
) -> Mitochondria:
    """Mitochondria that fill `share` of the cytoplasm, as far as there is room for them.

    With `thickness_gradient` the radius grows with the distance from the plasma membrane and the
    nuclear envelope, else every mitochondrion draws its own.
    """
    out = Mitochondria(
        np.zeros(grid.shape, np.uint16),
        np.full(grid.shape, FAR_NM, np.float32),
        np.zeros(grid.shape, np.float32),
    )
    wobble = np.clip(9 * smooth_noise(grid, wavelength_nm=260, rng=rng), -15, 15)
    spots = np.flatnonzero(crowd.depth > 70)
    wanted = share * np.count_nonzero(crowd.depth > 0)
    n_voxels = number = 0
    for _ in range(400 if spots.size else 0):
        if n_voxels >= wanted:
            break
        spot = int(spots[rng.integers(spots.size)])
        start = np.array(np.unravel_index(spot, grid.shape)) * np.array(grid.spacing)
        worm = _Worm(crowd, rng, thickness_gradient)
        if not worm.grow(start):
            continue
        drawn = _draw(out, worm, number + 1, grid, wobble, rng)
        if drawn:
            number += 1
            n_voxels += drawn
            for centre, radius in zip(worm.centres, worm.radii, strict=True):
                crowd.add(centre, radius)
    return out


class _Worm:
    """A centre line with radii, grown step by step where there is room."""

    def __init__(self, crowd: Crowd, rng: np.random.Generator, gradient: bool) -> None:
        self.crowd, self.rng, self.gradient = crowd, rng, gradient
        self.centres: list[Point] = []
        self.radii: list[float] = []
        self.links: list[tuple[int, int]] = []
        self.own = float(rng.uniform(95, 165))
        # Small cells have smaller mitochondria; numbered objects stay apart on coarse grids, too.
        self.size = max(0.6, crowd.grid.scale)
        self.gap = max(55.0 * self.size, 20 + 1.5 * max(crowd.grid.spacing))

    def radius(self, points: Point) -> NDArray[np.float64]:
        """Radius in nm wanted at `points`."""
        if not self.gradient:
            return np.full(len(points), self.own * self.size)
        depth = self.crowd.depth[self.crowd.grid.index(points)]
        wanted = np.clip(82 + 0.42 * (depth / self.size - 140), 78, 240)
        return np.asarray(wanted * self.size * (self.own / 130) ** 0.35, dtype=np.float64)

    def fits(self, points: Point) -> NDArray[np.bool_]:
        """Where a ball of the wanted radius has room."""
        return np.asarray(self.crowd.clearance(points) > self.radius(points) + self.gap)

    def grow(self, start: Point) -> bool:
        """Grow from `start` both ways, perhaps with a branch; False without room."""
        if not self.fits(start[None])[0]:
            return False
        self._append(start, None)
        heading = self.rng.standard_normal(3)
        length = self.rng.gamma(3.0, 330.0) + 200
        self._extend(0, heading, 0.5 * length)
        self._extend(0, -heading, 0.5 * length)
        if len(self.centres) > 8 and self.rng.random() < 0.4:
            middle = int(self.rng.integers(2, len(self.centres) - 2))
            self._extend(middle, self.rng.standard_normal(3), 0.4 * length)
        return len(self.centres) >= 4

    def _append(self, point: Point, parent: int | None) -> None:
        self.centres.append(point)
        self.radii.append(float(self.radius(point[None])[0]))
        if parent is not None:
            self.links.append((parent, len(self.centres) - 1))

    def _extend(self, parent: int, heading: Point, length: float) -> None:
        """Walk from ball `parent`; of eight bent directions take the straightest with room."""
        heading = heading / np.linalg.norm(heading)
        for _ in range(int(length / STEP_NM)):
            bent = heading + np.linspace(0.1, 0.9, 8)[:, None] * self.rng.standard_normal((8, 3))
            bent /= np.linalg.norm(bent, axis=1, keepdims=True)
            points = self.centres[parent] + STEP_NM * bent
            good = np.flatnonzero(self.fits(points) & self.crowd.grid.contains(points))
            if not good.size:
                return
            heading = bent[good[0]]
            self._append(points[good[0]], parent)
            parent = len(self.centres) - 1


def _draw(
    out: Mitochondria,
    worm: _Worm,
    number: int,
    grid: Grid,
    wobble: Field,
    rng: np.random.Generator,
) -> int:
    """Put a worm into the arrays of `out`; returns its number of voxels, 0 if it is too small."""
    centres, radii = np.array(worm.centres), np.array(worm.radii)
    pad = radii.max() + 120
    box = grid.box(centres.min(axis=0) - pad, centres.max(axis=0) + pad)
    near = np.full([b.stop - b.start for b in box], FAR_NM, np.float32)
    phase = np.zeros_like(near)
    tilt = rng.standard_normal(3)
    tilt *= rng.uniform(0.0, 0.9) / np.linalg.norm(tilt)
    walked = np.zeros(len(centres))
    for a, b in worm.links:
        walked[b] = walked[a] + STEP_NM
        _draw_segment(near, phase, box, grid, centres[[a, b]], radii[[a, b]], walked[[a, b]], tilt)
    near += wobble[box]
    # Numbered mitochondria never touch, not even by a corner.
    taken = binary_dilation(out.labels[box] > 0, np.ones((3, 3, 3), bool))
    near = np.where(taken & (near < 0), np.float32(1.0), near)
    # A wobble must not cut a worm in two, nor may a sliver survive as a second object.
    parts = cc3d.largest_k(near < 0, k=1, connectivity=6)
    n_voxels = int(np.count_nonzero(parts))
    if n_voxels * grid.voxel_nm3 < 2e6 * worm.size**3 or n_voxels < 4:
        return 0
    near = np.where((near < 0) & (parts == 0), np.float32(1.0), near)
    closer = near < out.distance[box]
    out.distance[box] = np.where(closer, near, out.distance[box])
    out.phase[box] = np.where(closer, phase, out.phase[box])
    out.labels[box][parts > 0] = number
    return n_voxels


def _draw_segment(
    near: Field,
    phase: Field,
    box: tuple[slice, ...],
    grid: Grid,
    ends: Point,
    radii: NDArray[np.float64],
    walked: NDArray[np.float64],
    tilt: Point,
) -> None:
    """Lower `near` (cut out at `box`) to the distance of one tapered capsule; in place."""
    pad = radii.max() + 110
    part = grid.box(ends.min(axis=0) - pad, ends.max(axis=0) + pad)
    local = tuple(
        slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True)
    )
    offset = [a - np.float32(e) for a, e in zip(grid.axes(part), ends[0], strict=True)]
    line = ends[1] - ends[0]
    square = max(float(line @ line), 1e-9)
    t = sum(o * np.float32(v) for o, v in zip(offset, line, strict=True)) / np.float32(square)
    t = np.clip(np.asarray(t), 0, 1)
    away = sum((o - t * np.float32(v)) ** 2 for o, v in zip(offset, line, strict=True))
    distance: Field = np.sqrt(away) - (np.float32(radii[0]) + t * np.float32(radii[1] - radii[0]))
    along = np.float32(walked[0]) + t * np.float32(walked[1] - walked[0])
    along = along + sum(o * np.float32(v) for o, v in zip(offset, tilt, strict=True))
    closer = distance < near[local]
    near[local] = np.where(closer, distance, near[local])
    phase[local] = np.where(closer, along, phase[local])
