"""An envelope cut into compact patches of about one size: what tests of sections draw and swap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from fibseg.measure.connected_balls import Sites

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_ROUNDS = 6
_WAYS = 5
_LEAST_BLOCKS = 4
"""Of a section: with fewer, hardly a deal of blocks differs from another."""


@dataclass(frozen=True, eq=False)
class SectionPatches:
    """Compact pieces of an envelope, each within one section.

    Attributes
    ----------
    of_site
        (n,), patch of every site, -1 where it is in none.
    section
        (k,), 1 or 2.
    area_um2, middle_um
        (k,) and (k, 3).
    """

    of_site: Places
    section: Places
    area_um2: Floats
    middle_um: Floats

    @classmethod
    def of_size(
        cls, sites: Sites, section: NDArray[np.integer], *, patch_um2: float, seed: int = 0
    ) -> SectionPatches:
        """Patches of about one area; see `compact_patches`."""
        of_site = compact_patches(sites, section, patch_um2=patch_um2, seed=seed)
        return cls._of(of_site, sites, section)

    @classmethod
    def of_number(
        cls, sites: Sites, section: NDArray[np.integer], *, n: int, seed: int = 0
    ) -> SectionPatches:
        """About `n` patches, shared among the sections by area, at least 4 in each."""
        areas = np.bincount(section, sites.area_um2, 3)[1:]
        of_site = np.full(len(section), -1, np.int64)
        for number, area in enumerate(areas.tolist(), 1):
            if area > 0:
                wanted = max(_LEAST_BLOCKS, round(n * area / areas.sum()))
                own = compact_patches(
                    sites, np.where(section == number, 1, 0), patch_um2=area / wanted, seed=seed
                )
                mine = own >= 0
                of_site[mine] = own[mine] + of_site.max() + 1
        return cls._of(of_site, sites, section)

    @classmethod
    def _of(cls, of_site: Places, sites: Sites, section: NDArray[np.integer]) -> SectionPatches:
        inside = of_site >= 0
        own, area = of_site[inside], sites.area_um2[inside]
        n = int(of_site.max(initial=-1)) + 1
        whole: Floats = np.bincount(own, area, n).astype(np.float64)
        middle = np.stack(
            [np.bincount(own, area * sites.points_um[inside, k], n) for k in range(3)], axis=1
        )
        number = np.zeros(n, np.int64)
        number[own] = section[inside]
        return cls(of_site, number, whole, middle / np.maximum(whole, 1e-300)[:, None])


def ways_to_block(
    sites: Sites, section: NDArray[np.integer], *, n: int, seed: int = 0
) -> list[SectionPatches]:
    """The envelope cut into about `n` large blocks (`SectionPatches.of_number`), in 5 ways."""
    return [
        SectionPatches.of_number(sites, section, n=n, seed=_WAYS * seed + way)
        for way in range(_WAYS)
    ]


def compact_patches(
    sites: Sites, section: NDArray[np.integer], *, patch_um2: float, seed: int = 0
) -> Places:
    """Patch of every site, -1 where the section is 0; no patch lies in two sections.

    Middles are drawn at random and moved to the middle of what is nearest to each along the
    surface, some times over (Lloyd, IEEE Trans Inf Theory 28:129, 1982).

    Parameters
    ----------
    section
        (n,), of every site; 0 belongs to none.
    patch_um2
        Area of a patch, about.
    seed
        Of the first middles.
    """
    patch = np.full(len(sites.area_um2), -1, np.int64)
    rng, first = np.random.default_rng(seed), 0
    graph = _lengths(sites)
    for number in np.unique(section[section > 0]).tolist():
        where = np.flatnonzero(section == number)
        found = _patches(sites, where, graph, patch_um2, rng)
        patch[where] = first + found
        first += int(found.max()) + 1
    return patch


def _lengths(sites: Sites) -> csr_array:
    """Links between sites, with their length in µm."""
    links = sites.neighbours.tocoo()
    length = np.linalg.norm(sites.points_um[links.row] - sites.points_um[links.col], axis=1)
    return coo_array(
        (np.maximum(length, 1e-9), (links.row, links.col)), shape=links.shape
    ).tocsr()


def _patches(
    sites: Sites, where: Places, graph: csr_array, patch_um2: float, rng: np.random.Generator
) -> Places:
    area, points = sites.area_um2[where], sites.points_um[where]
    links = graph[where][:, where]
    _, piece = connected_components(links, directed=False)
    sizes = np.bincount(piece, area)
    wanted = np.maximum(1, np.round(sizes / patch_um2)).astype(np.int64)
    share = np.maximum(area, 1e-12)
    middles = np.concatenate([
        rng.choice(
            np.flatnonzero(piece == p), replace=False,
            size=min(k, int(np.sum(piece == p))),
            p=share[piece == p] / share[piece == p].sum(),
        ) for p, k in enumerate(wanted.tolist())
    ])
    owner = _nearest(links, middles)
    for _ in range(_ROUNDS):
        weight = np.bincount(owner, share)
        mean = np.stack(
            [np.bincount(owner, share * points[:, k]) / weight for k in range(3)], axis=1
        )
        away = np.linalg.norm(points - mean[owner], axis=1)
        order = np.lexsort((away, owner))
        _, first = np.unique(owner[order], return_index=True)
        owner = _nearest(links, order[first])
    return owner


def _nearest(links: csr_array, middles: Places) -> Places:
    """Which of the middles is nearest to each site along the surface."""
    _, _, source = dijkstra(
        links, directed=False, indices=middles, min_only=True, return_predecessors=True
    )
    place = np.full(links.shape[0], -1, np.int64)
    place[middles] = np.arange(len(middles))
    found: Places = place[source]
    return found
