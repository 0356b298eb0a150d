"""Where rays meet objects: how deep inside one every place is, and steps as long as that allows.

Sphere tracing (Hart, The Visual Computer 12:527, 1996): outside, the distance to the nearest object
is how far a ray may go without a look.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from fibseg.pictures.camera import Rays, Vectors, Wedge, through_box, through_wedge
from fibseg.types import Labels, Spacing

Field = NDArray[np.float32]
"""Depth inside the nearest object in µm, negative outside; shape (z, y, x)."""

_SIGMA_VOXELS = 0.8
_SAFE = 0.9
_LEAST_STEP = 0.35
_REFINEMENTS = 3
_PROBES = (0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Hits:
    """Where rays first meet something.

    Attributes
    ----------
    rays
        (n,), number of each ray that does.
    points_um
        (n, 3), where.
    depth_um
        (n,), how far along the ray.
    normals
        (n, 3), unit vectors outwards, (z, y, x).
    on_cut
        (n,), whether there is a face at which the object is cut off: by a face of the volume, or
        where something was cut away.
    """

    rays: NDArray[np.intp]
    points_um: Vectors
    depth_um: NDArray[np.float64]
    normals: Vectors
    on_cut: NDArray[np.bool_]


def depth_field(labels: Labels, *, spacing: Spacing) -> Field:
    """How deep inside an object, or how far from all of them, every voxel is; smooth.

    Smoothing must not make an object vanish: those it would are left as they are.

    Parameters
    ----------
    labels
        Numbered objects or a mask, shape (z, y, x).
    """
    um = tuple(s * 1e-3 for s in spacing)
    inside = labels != 0
    if not inside.any():
        return np.full(labels.shape, -1e6, np.float32)
    half = min(um) / 2
    within = edt.edt(inside, anisotropy=um, black_border=False)
    beyond = edt.edt(~inside, anisotropy=um, black_border=False)
    reach = np.float32(sum(n * s for n, s in zip(labels.shape, um, strict=True)))
    # Without a voxel of the other kind there is no distance to one.
    within, beyond = np.minimum(within, reach), np.minimum(beyond, reach)
    field: Field = np.where(inside, within - half, half - beyond).astype(np.float32)
    smooth = gaussian_filter(field, _SIGMA_VOXELS, mode="nearest")
    kept = np.unique(labels[smooth > 0])
    lost = inside & ~np.isin(labels, kept)
    if lost.any():
        smooth = np.where(binary_dilation(lost, np.ones((3, 3, 3), bool)), field, smooth)
    return smooth


def first_hits(
    field: Field, bundle: Rays, *, wedge: Wedge | None = None, spacing: Spacing
) -> Hits:
    """Where rays first meet what is inside the volume and not cut away.

    Parameters
    ----------
    field
        Of `depth_field`.
    wedge
        What is cut away, if anything.
    """
    enter, leave = through_box(bundle, shape=field.shape, spacing=spacing)
    gone, back = _cut_away(bundle, wedge, enter, leave)
    depth, cut = _march(field, bundle, enter, np.minimum(leave, gone), spacing)
    # Behind what is cut away a ray goes on, unless it has met something before it.
    behind = np.isnan(depth) & (gone < back)
    start = np.where(behind, np.maximum(back, enter), leave)
    depth_behind, cut_behind = _march(field, bundle, start, leave, spacing)
    depth, cut = np.where(behind, depth_behind, depth), np.where(behind, cut_behind, cut)
    hit = np.flatnonzero(~np.isnan(depth))
    points = bundle.origins_um[hit] + depth[hit, None] * bundle.away
    normals = gradients(field, points, spacing=spacing)
    flat = cut[hit]
    normals[flat] = _cut_normals(points[flat], field.shape, bundle, wedge, spacing)
    return Hits(hit, points, depth[hit], normals, flat)


def _cut_away(
    bundle: Rays, wedge: Wedge | None, enter: NDArray[np.float64], leave: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where on its way through the volume each ray is in what is cut away; infinite for nowhere."""
    if wedge is None:
        return np.full(enter.shape, np.inf), np.full(enter.shape, -np.inf)
    gone, back = through_wedge(bundle, wedge)
    meets = (gone < back) & (back > enter) & (gone < leave)
    return np.where(meets, gone, np.inf), np.where(meets, back, -np.inf)


def sample(
    volume: Field | NDArray[np.uint8], points_um: Vectors, *, spacing: Spacing
) -> NDArray[np.float64]:
    """Values at points, interpolated linearly between voxels."""
    at = (points_um / (np.array(spacing) * 1e-3)).T
    return map_coordinates(volume, at, output=np.float64, order=1, mode="nearest")


def gradients(field: Field, points_um: Vectors, *, spacing: Spacing) -> Vectors:
    """Unit vectors out of the objects, (n, 3): against the slope of the field."""
    um = np.array(spacing) * 1e-3
    slope = np.empty((len(points_um), 3))
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = um[axis]
        ahead = sample(field, points_um + step, spacing=spacing)
        slope[:, axis] = (sample(field, points_um - step, spacing=spacing) - ahead) / um[axis]
    unit: Vectors = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)
    return unit


def objects_at(labels: Labels, hits: Hits, *, spacing: Spacing) -> NDArray[np.int64]:
    """Label of the object that each hit is on, (n,).

    That of the first voxel below the surface that has one, else that of the nearest beside it.
    """
    um = np.array(spacing) * 1e-3
    found = np.zeros(len(hits.rays), np.int64)
    # A step goes through one voxel at most along every axis.
    below = [-probe * um * hits.normals for probe in _PROBES]
    around = sorted(itertools.product((-1, 0, 1), repeat=3), key=lambda v: sum(map(abs, v)))
    steps = [*below, *(np.broadcast_to(um * v, hits.normals.shape) for v in around)]
    for step in steps:
        still = np.flatnonzero(found == 0)
        at = np.rint((hits.points_um[still] + step[still]) / um).astype(np.intp)
        z, y, x = np.clip(at, 0, np.array(labels.shape) - 1).T
        found[still] = labels[z, y, x]
    return found


def _march(
    field: Field, bundle: Rays, enter: NDArray[np.float64], leave: NDArray[np.float64],
    spacing: Spacing,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How far each ray goes until it is inside, NaN for never, and whether it is so at once."""
    n = len(bundle.origins_um)
    depth, cut = np.full(n, np.nan), np.zeros(n, bool)
    alive = np.flatnonzero(enter < leave)
    along, last = enter[alive], leave[alive]
    before, value_before = along.copy(), np.full(alive.size, np.nan)
    least = _LEAST_STEP * min(spacing) * 1e-3
    while alive.size:
        value = _value(field, bundle, alive, along, spacing)
        inside = value > 0
        at_once = inside & np.isnan(value_before)
        depth[alive[at_once]], cut[alive[at_once]] = along[at_once], True
        met = inside & ~at_once
        depth[alive[met]] = _refined(
            field, bundle, alive[met], before[met], value_before[met], along[met], value[met],
            spacing,
        )
        on = ~inside & (along < last)
        before, value_before = along[on], value[on]
        along = np.minimum(before + np.maximum(-_SAFE * value_before, least), last[on])
        alive, last = alive[on], last[on]
    return depth, cut


def _refined(
    field: Field, bundle: Rays, which: NDArray[np.intp], low: NDArray[np.float64],
    at_low: NDArray[np.float64], high: NDArray[np.float64], at_high: NDArray[np.float64],
    spacing: Spacing,
) -> NDArray[np.float64]:
    """Where the field is 0 between a place outside and one inside: regula falsi."""
    for _ in range(_REFINEMENTS):
        middle = low + (high - low) * np.clip(at_low / (at_low - at_high), 0.05, 0.95)
        value = _value(field, bundle, which, middle, spacing)
        inside = value > 0
        high, at_high = np.where(inside, middle, high), np.where(inside, value, at_high)
        low, at_low = np.where(inside, low, middle), np.where(inside, at_low, value)
    return low + (high - low) * at_low / (at_low - at_high)


def _value(
    field: Field, bundle: Rays, which: NDArray[np.intp], along: NDArray[np.float64],
    spacing: Spacing,
) -> NDArray[np.float64]:
    points = bundle.origins_um[which] + along[:, None] * bundle.away
    return sample(field, points, spacing=spacing)


def _cut_normals(
    points: Vectors, shape: tuple[int, ...], bundle: Rays, wedge: Wedge | None, spacing: Spacing
) -> Vectors:
    """Normals of the plane, of those that cut, that each point lies closest to."""
    um = np.array(spacing) * 1e-3
    axes = np.flatnonzero(np.abs(bundle.away) > 1e-12)
    planes = [-np.sign(bundle.away[a]) * np.eye(3)[a] for a in axes]
    ends = [-um[a] / 2 if bundle.away[a] > 0 else (shape[a] - 0.5) * um[a] for a in axes]
    distances = [np.abs(points[:, a] - end) for a, end in zip(axes, ends, strict=True)]
    if wedge is not None:
        planes += list(wedge.units)
        distances += [np.abs((points - np.array(wedge.point_um)) @ n) for n in wedge.units]
    chosen: Vectors = np.array(planes)[np.argmin(distances, axis=0)]
    return chosen
