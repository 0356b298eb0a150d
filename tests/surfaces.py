"""Bodies whose envelope is known: masks on a grid, and points on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fibseg.geometry import Box
from fibseg.measure import envelope_faces
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.surface_pairs import scattered
from fibseg.types import Mask, Spacing, Table

SPACING = (40.0, 40.0, 40.0)


def axes_um(shape, *, spacing: Spacing = SPACING):
    """Coordinates from the middle of the volume, a little off the grid, µm."""
    lines = [
        ((np.arange(n) - (n - 1) / 2) * s + 0.3 * s) * 1e-3
        for n, s in zip(shape, spacing, strict=True)
    ]
    return np.meshgrid(*lines, indexing="ij")


def middle_um(shape, *, spacing: Spacing = SPACING) -> NDArray[np.float64]:
    """Where the origin of `axes_um` lies in the volume."""
    return np.array([((n - 1) / 2 - 0.3) * s * 1e-3 for n, s in zip(shape, spacing, strict=True)])


def ball(radius_um: float, *, spacing: Spacing = SPACING) -> Mask:
    shape = tuple(int(2 * radius_um * 1000 / s) + 16 for s in spacing)
    z, y, x = axes_um(shape, spacing=spacing)
    return z * z + y * y + x * x < radius_um**2


def ellipsoid(half_um, *, spacing: Spacing = SPACING) -> Mask:
    shape = tuple(int(2 * h * 1000 / s) + 16 for h, s in zip(half_um, spacing, strict=True))
    axes = axes_um(shape, spacing=spacing)
    return sum((a / h) ** 2 for a, h in zip(axes, half_um, strict=True)) < 1


def two_lobes(*, spacing: Spacing = SPACING) -> Mask:
    """Balls of 1.2 and 1 µm that meet in a furrow across y."""
    shape = tuple(int(n * 1000 / s) for n, s in zip((3.2, 4.6, 3.2), spacing, strict=True))
    z, y, x = axes_um(shape, spacing=spacing)
    big = z * z + (y + 0.8) ** 2 + x * x < 1.2**2
    return big | (z * z + (y - 0.85) ** 2 + x * x < 1.0)


def slit_ball(radius_um: float = 1.2, width_um: float = 0.16) -> Mask:
    """A ball with a slit whose walls face each other, open on one side."""
    body = ball(radius_um)
    z, y, _ = axes_um(body.shape)
    return body & ~((np.abs(z) < width_um / 2) & (y > 0))


def parts_of(mask: Mask) -> Table:
    whole = Box((0, 0, 0), mask.shape)
    return envelope_faces.partial(mask, inside=whole, start=(0, 0, 0), shape=mask.shape)


def apart(envelope: EnvelopeMesh, n: int, *, least_um: float, seed: int = 0) -> NDArray[np.float64]:
    """At most `n` points on an envelope that keep apart."""
    points, _ = scattered(envelope, 30 * n, np.random.default_rng(seed))
    tree, blocked, kept = cKDTree(points), np.zeros(len(points), bool), []
    for i in range(len(points)):
        if not blocked[i]:
            kept.append(i)
            blocked[tree.query_ball_point(points[i], least_um)] = True
    return points[kept[:n]]
