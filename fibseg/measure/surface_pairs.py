"""Pairs of objects that are near along an envelope, not across a furrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fibseg.measure.connected_balls import Sites, apart_in_balls, sites_of
from fibseg.measure.envelope import EnvelopeMesh

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

SITE_UM = 0.12
"""Width of the sites that connection is looked up between, at least."""
COARSER = 0.2
"""Width of sites as a share of the radius."""


@dataclass(frozen=True, eq=False)
class SurfacePairs:
    """Which pairs of places on an envelope are neighbours up to a distance.

    A pair is, where both are connected by envelope within a ball around one of them whose radius
    is the first of `radii_um` from their distance on. Sites stand for the places in them.

    Attributes
    ----------
    envelope
        The surface.
    radii_um
        Ascending.
    levels
        For each radius, the surface in sites: the wider it is, the coarser they are.
    apart
        For each radius, sorted keys of the pairs of sites that are not connected.
    """

    envelope: EnvelopeMesh
    radii_um: tuple[float, ...]
    levels: tuple[Sites, ...]
    apart: tuple[Places, ...]

    @property
    def sites(self) -> Sites:
        """The finest."""
        return self.levels[0]

    @classmethod
    def of(
        cls, envelope: EnvelopeMesh, *, radii_um: Sequence[float], site_um: float = SITE_UM
    ) -> SurfacePairs:
        """Ready for distances up to the last of these radii."""
        levels, keys = [], []
        for radius in radii_um:
            width = max(site_um, radius * COARSER, 1.5 * envelope.edge_um)
            sites = sites_of(envelope, size_um=width)
            first, second = apart_in_balls(
                sites.points_um, sites.neighbours, radius_um=radius + sites_width(sites)
            )
            levels.append(sites)
            keys.append(first * len(sites.area_um2) + second)
        return cls(envelope, tuple(radii_um), tuple(levels), tuple(keys))

    def within(
        self, points_um: Floats, vertex: Places, *, radius_um: float
    ) -> tuple[Places, Places, Floats]:
        """Pairs of objects, each once, and their distance in µm, up to `radius_um`.

        Parameters
        ----------
        points_um, vertex
            Feet of the objects, as of `fibseg.measure.envelope.Feet`.
        """
        pairs = cKDTree(points_um).query_pairs(radius_um, output_type="ndarray").astype(np.int64)
        pairs = pairs[np.lexsort(pairs.T[::-1])] if len(pairs) else pairs.reshape(0, 2)
        first, second = pairs.T
        away = np.linalg.norm(points_um[first] - points_um[second], axis=1)
        good = np.ones(len(first), bool)
        level = np.searchsorted(np.array(self.radii_um), away)
        for k, (sites, apart) in enumerate(zip(self.levels, self.apart, strict=True)):
            mine = np.flatnonzero(np.minimum(level, len(self.apart) - 1) == k)
            if len(apart):
                one, two = (sites.of_vertex[vertex[end[mine]]] for end in (first, second))
                key = np.minimum(one, two) * len(sites.area_um2) + np.maximum(one, two)
                place = np.minimum(np.searchsorted(apart, key), len(apart) - 1)
                good[mine] = apart[place] != key
        return first[good], second[good], away[good]


def sites_width(sites: Sites) -> float:
    """How wide a site is, µm."""
    return float(np.sqrt(np.median(sites.area_um2)))


def scattered(envelope: EnvelopeMesh, n: int, rng: np.random.Generator) -> tuple[Floats, Places]:
    """Places (n, 3) drawn on an envelope evenly by area, and the nearest vertex of each."""
    share = np.cumsum(envelope.area_um2)
    vertex = np.searchsorted(share, rng.random(n) * share[-1], side="right")
    vertex = np.minimum(vertex, len(share) - 1).astype(np.int64)
    # Anywhere in the piece of tangent plane that the vertex stands for.
    shift = rng.uniform(-0.5, 0.5, (n, 3)) * np.sqrt(envelope.area_um2[vertex])[:, None]
    normal = envelope.normals[vertex]
    shift -= np.einsum("ij,ij->i", shift, normal)[:, None] * normal
    return envelope.vertices_um[vertex] + shift, vertex
