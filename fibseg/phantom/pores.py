"""Nuclear pores on the envelope, and under each pore its own pocket of low density."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from fibseg.phantom.body import BIG_LOBE, SMALL_LOBE, Body
from fibseg.phantom.grid import FAR_NM, Field, Grid, gradient
from fibseg.types import Table

CLOSEST_NM = 250.0
"""Pore centres stay this far apart: more than the 0.2 µm that is promised, room for pockets."""
PORE_NM3 = (105 * 8000.0, 145 * 8000.0)
"""Volume of a pore: 105 to 145 voxels of 20 nm."""
POCKET_NM3 = (420 * 8000.0, 760 * 8000.0)
"""Volume of a pocket: 420 to 760 voxels of 20 nm."""
POCKET_LEAST_NM3 = 410 * 8000.0
RADIUS_NM = 60.0
HALF_HEIGHT_NM = 40.0
_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


@dataclass
class Pores:
    """Numbered pores and pockets; pore i owns pocket i."""

    labels: NDArray[np.uint16]
    pockets: NDArray[np.uint16]
    table: Table
    radial: Field
    """Distance in nm from the axis of the nearest pore; at most 1000."""


@dataclass(frozen=True)
class _Site:
    """A place on the middle of the envelope with the outward normal."""

    point: NDArray[np.float64]
    axis: NDArray[np.float64]
    lobe: int
    gap: float


def place_pores(
    grid: Grid,
    body: Body,
    *,
    density_per_um2: float,
    pore_gradient: bool,
    rng: np.random.Generator,
) -> Pores:
    """Pores at about `density_per_um2` of envelope; with `pore_gradient` the small lobe has more.

    Sites are tried in random order; one is dropped when it lies closer than 0.25 µm to another
    pore, when the volume face cuts it, or when its pocket finds no room of its own.
    """
    sites, area_um2 = _sites(grid, body, rng)
    out = Pores(
        np.zeros(grid.shape, np.uint16),
        np.zeros(grid.shape, np.uint16),
        {},
        np.full(grid.shape, FAR_NM, np.float32),
    )
    left = _quota(area_um2, density_per_um2, pore_gradient)
    rows: list[dict[str, float]] = []
    if sites:
        points = np.array([s.point for s in sites])
        tree = cKDTree(points)
        blocked = np.zeros(len(sites), dtype=bool)
        for i, site in enumerate(sites):
            if blocked[i] or left[site.lobe] <= 0:
                continue
            row = _build(out, grid, body, site, len(rows) + 1, rng)
            if row is not None:
                rows.append(row)
                left[site.lobe] -= 1
                blocked[tree.query_ball_point(site.point, CLOSEST_NM)] = True
            else:
                # What failed here fails next door as well.
                blocked[tree.query_ball_point(site.point, 30.0)] = True
    out.table = _table(rows)
    return out


def no_pores(grid: Grid) -> Pores:
    """An envelope without pores."""
    none = np.zeros(grid.shape, np.uint16)
    return Pores(none, none.copy(), _table([]), np.full(grid.shape, FAR_NM, np.float32))


def _quota(area_um2: dict[int, float], density: float, pore_gradient: bool) -> dict[int, int]:
    """Number of pores wanted on each lobe."""
    total = density * sum(area_um2.values())
    weight = {BIG_LOBE: 1.0, SMALL_LOBE: 1.35 if pore_gradient else 1.0}
    unit = total / max(sum(weight[k] * a for k, a in area_um2.items()), 1e-12)
    return {lobe: round(unit * weight[lobe] * a) for lobe, a in area_um2.items()}


def _sites(
    grid: Grid, body: Body, rng: np.random.Generator
) -> tuple[list[_Site], dict[int, float]]:
    """Shuffled candidate places on the middle surface of the envelope, and its area by lobe."""
    middle = body.nucleus + body.gap / 2
    shell = np.float32(max(grid.spacing))
    near = np.argwhere(np.abs(middle) <= shell)
    if not len(near):
        return [], {BIG_LOBE: 0.0, SMALL_LOBE: 0.0}
    low, high = near.min(axis=0), near.max(axis=0) + 1
    box = tuple(
        slice(max(int(a) - 2, 0), min(int(b) + 2, n))
        for a, b, n in zip(low, high, grid.shape, strict=True)
    )
    origin = np.array([b.start for b in box])
    slope = gradient(middle[box], spacing=grid.spacing)
    local = tuple((near - origin).T)
    normal = np.stack([s[local] for s in slope], axis=1).astype(np.float64)
    length = np.linalg.norm(normal, axis=1)
    distance = middle[tuple(near.T)]
    lobes = np.where(body.across[tuple(near.T)] > 0, SMALL_LOBE, BIG_LOBE)
    # Co-area: the volume of a shell, times the slope, over its thickness is the surface.
    share = length * grid.voxel_nm3 / (2 * float(shell)) / 1e6
    area = {k: float(share[lobes == k].sum()) for k in (BIG_LOBE, SMALL_LOBE)}
    normal /= np.maximum(length, 1e-9)[:, None]
    points = near * np.array(grid.spacing) - distance[:, None] * normal
    margin = np.array([min(50.0, e / 2) for e in grid.extent])
    whole = grid.contains(points - margin) & grid.contains(points + margin)
    keep = np.flatnonzero((length > 0.3) & (np.abs(distance) <= shell / 2) & whole)
    order = rng.permutation(keep)
    gaps = body.gap[tuple(near.T)]
    sites = [_Site(points[i], normal[i], int(lobes[i]), float(gaps[i])) for i in order]
    return sites, area


def _build(
    out: Pores, grid: Grid, body: Body, site: _Site, number: int, rng: np.random.Generator
) -> dict[str, float] | None:
    """Put one pore and its pocket into `out`, or change nothing and return None."""
    middle = site.point - 130 * site.axis
    reach = 240.0 + 2 * np.array(grid.spacing)
    box = grid.box(middle - reach, middle + reach)
    high, radial = _cylinder(grid, box, site)
    pore = _pore_voxels(grid, box, high, radial, float(rng.uniform(*PORE_NM3)))
    if pore is None or _touches(pore, out.labels[box]) or _touches(pore, out.pockets[box]):
        return None
    allowed = (
        (body.nucleus[box] < -(body.gap[box] + 8))
        & ~pore
        & ~binary_dilation(out.pockets[box] > 0, _NEIGHBOURS)
        & (out.labels[box] == 0)
        & (high < 0)
    )
    pocket = _pocket_voxels(grid, high, radial, allowed, rng)
    if pocket is None or (pocket & (out.labels[box] > 0)).any():
        return None
    out.labels[box][pore] = number
    out.pockets[box][pocket] = number
    ring = np.where(np.abs(high) < 120, radial, FAR_NM)
    out.radial[box] = np.minimum(out.radial[box], ring)
    return {
        "label": number,
        **dict(zip(("z_um", "y_um", "x_um"), site.point / 1000, strict=True)),
        **dict(zip(("axis_z", "axis_y", "axis_x"), site.axis, strict=True)),
        "n_voxels": int(pore.sum()),
        "pocket_n_voxels": int(pocket.sum()),
        "lobe": site.lobe,
    }


def _cylinder(grid: Grid, box: tuple[slice, ...], site: _Site) -> tuple[Field, Field]:
    """Height along the axis (outward positive) and distance from it, nm, for each voxel."""
    offset = [a - np.float32(p) for a, p in zip(grid.axes(box), site.point, strict=True)]
    high = sum(o * np.float32(v) for o, v in zip(offset, site.axis, strict=True))
    square = sum(o * o for o in offset)
    radial = np.sqrt(np.maximum(square - high * high, 0))
    return np.asarray(high, np.float32), np.asarray(radial, np.float32)


def _pore_voxels(
    grid: Grid, box: tuple[slice, ...], high: Field, radial: Field, volume_nm3: float
) -> NDArray[np.bool_] | None:
    """The voxels nearest to a short cylinder; None where a face of the volume cuts it."""
    rank = np.maximum(radial / RADIUS_NM, np.abs(high) / HALF_HEIGHT_NM)
    n = max(1, round(volume_nm3 / grid.voxel_nm3))
    mask = _smallest(rank + np.float32(1e-3) * radial / RADIUS_NM, n)
    for axis, (cut, size) in enumerate(zip(box, grid.shape, strict=True)):
        hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        at_face = hit[0] + cut.start == 0 or hit[-1] + cut.start == size - 1
        if at_face and n > 1:
            return None
    return mask


def _pocket_voxels(
    grid: Grid,
    high: Field,
    radial: Field,
    allowed: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.bool_] | None:
    """One connected drop under the pore, inside `allowed`; None without room for the least."""
    volume = float(rng.uniform(*POCKET_NM3))
    least = max(1, round(POCKET_LEAST_NM3 / grid.voxel_nm3))
    n = max(least, round(volume / grid.voxel_nm3))
    wide = 0.78 * (volume * 3 / (4 * np.pi)) ** (1 / 3)
    rank = np.hypot(radial / wide, (high + 105) / (1.65 * wide))
    ranked = np.where(allowed & (rank < 1.4), rank, np.float32(np.inf))
    n = min(n, int(np.isfinite(ranked).sum()))
    if n < least:
        return None
    mask = _smallest(ranked, n)
    mask = np.asarray(cc3d.largest_k(mask, k=1, connectivity=6)) > 0
    return mask if np.count_nonzero(mask) >= least else None


def _smallest(rank: Field, n: int) -> NDArray[np.bool_]:
    """The `n` voxels of lowest rank; ties are broken by position."""
    order = np.argsort(rank, axis=None, kind="stable")[:n]
    mask = np.zeros(rank.size, dtype=bool)
    mask[order] = True
    return mask.reshape(rank.shape)


def _touches(mask: NDArray[np.bool_], labels: NDArray[np.uint16]) -> bool:
    """Whether `mask` touches a numbered object, corners counted."""
    return bool((binary_dilation(mask, _NEIGHBOURS) & (labels > 0)).any())


def _table(rows: list[dict[str, float]]) -> Table:
    """Rows as columns; whole numbers stay whole."""
    whole = {"label", "n_voxels", "pocket_n_voxels", "lobe"}
    names = ("label", "z_um", "y_um", "x_um", "axis_z", "axis_y", "axis_x",
             "n_voxels", "pocket_n_voxels", "lobe")  # fmt: skip
    return {
        name: np.array([r[name] for r in rows], dtype=np.int64 if name in whole else np.float64)
        for name in names
    }
