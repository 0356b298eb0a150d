"""How an envelope is bent at places on it: mean and Gaussian curvature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.measure.connected_balls import connected_in_balls
from fibseg.measure.envelope import EnvelopeMesh, Feet
from fibseg.types import Table

Floats = NDArray[np.float64]

FEWEST = 12
"""Vertices that a fit needs; with fewer, curvature is missing."""


def curvature(envelope: EnvelopeMesh, feet: Feet, *, radius_um: float = 0.3) -> Table:
    """Mean and Gaussian curvature at every foot, ``mean_…_per_um`` and ``gaussian_…_per_um2``.

    A paraboloid is fitted to the connected piece of envelope within a ball, above its tangent
    plane (Cazals and Pouget, Comput Aided Geom Des 22:121, 2005). Mean curvature is positive where
    the nucleus bulges, as on a ball, where it is one over the radius, and negative in a furrow.

    Parameters
    ----------
    radius_um
        Of the ball: what bends within less is not seen.

    Raises
    ------
    UsageError
        If it is not above 0.
    """
    if not 0 < radius_um < np.inf:
        raise UsageError(f"radius_um={radius_um:g} has to be above 0, such as 0.3.")
    n = len(feet.vertex)
    mean, gaussian = np.full(n, np.nan), np.full(n, np.nan)
    for patch in connected_in_balls(
        envelope.vertices_um, envelope.neighbours, feet.points_um, feet.vertex,
        radius_um=max(radius_um, 2.5 * envelope.edge_um),
    ):
        owners, starts = np.unique(patch.owner, return_index=True)
        members = np.split(patch.member, starts[1:])
        for owner, member in zip(owners.tolist(), members, strict=True):
            if len(member) >= FEWEST:
                mean[owner], gaussian[owner] = _fitted(envelope, feet.points_um[owner], member)
    return {"mean_curvature_per_um": mean, "gaussian_curvature_per_um2": gaussian}


def _fitted(
    envelope: EnvelopeMesh, foot: Floats, member: NDArray[np.int64]
) -> tuple[float, float]:
    """Both curvatures of the paraboloid through these vertices, at the foot."""
    weight = envelope.area_um2[member]
    normal = (weight[:, None] * envelope.normals[member]).sum(axis=0)
    normal /= max(float(np.linalg.norm(normal)), 1e-300)
    across = np.cross(normal, np.eye(3)[int(np.argmin(np.abs(normal)))])
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(normal, across), normal], axis=1)
    u, v, h = ((envelope.vertices_um[member] - foot) @ frame).T
    scale = np.sqrt(np.maximum(weight, 0))
    terms = np.stack([np.ones_like(u), u, v, u * u / 2, u * v, v * v / 2], axis=1)
    _, hu, hv, huu, huv, hvv = np.linalg.lstsq(
        terms * scale[:, None], h * scale, rcond=None
    )[0].tolist()
    steep = 1 + hu * hu + hv * hv
    gaussian = (huu * hvv - huv * huv) / steep**2
    twice = (1 + hv * hv) * huu - 2 * hu * hv * huv + (1 + hu * hu) * hvv
    return -twice / (2 * steep**1.5), gaussian
