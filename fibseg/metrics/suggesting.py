"""Which planes and regions to paint next: unsure ones that are unlike each other and the painted.

Uncertainty as in suggestive annotation (L. Yang et al., MICCAI 2017), diversity as in core sets
(O. Sener, S. Savarese, ICLR 2018): greedily what is farthest from all that was chosen before. Both
count by their rank: what is farthest of all is often an odd corner, which would outweigh anything.
Nothing is drawn at random, and ties go to the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Regions:
    """Regions of the planes that may be chosen.

    Parameters
    ----------
    plane
        Number of the plane of each.
    uncertainty
        Of each, not negative.
    looks
        What each looks like, shape (regions, features).
    """

    plane: NDArray[np.int64]
    uncertainty: Values
    looks: Values


@dataclass(frozen=True)
class Suggested:
    """A region to paint.

    Attributes
    ----------
    region
        Its place in the list.
    plane
        Number of its plane.
    score
        From 0 to 1: ranks of uncertainty and novelty, weighed.
    uncertainty
        As it was given.
    novelty
        Distance of looks to the nearest that was painted or chosen before it, in units of the
        largest such distance; 1 where there is none before it.
    """

    region: int
    plane: int
    score: float
    uncertainty: float
    novelty: float


def suggest(
    regions: Regions, *, painted: Values, n_planes: int, n_regions: int, apart: float,
    diversity: float,
) -> list[Suggested]:
    """Regions to paint on `n_planes` planes, plane by plane, the best one first.

    The score of a region is u^(1 - d) · v^d, where u and v are the shares of all regions that are
    no more unsure, and no newer, than it. The plane is chosen whose best regions have the highest
    sum, then these regions one after the other.

    Parameters
    ----------
    painted
        Looks of regions that are painted already, shape (m, features).
    n_planes, n_regions
        How many planes, and regions on each.
    apart
        Planes that lie nearer to each other are not both chosen; there must be `packed` enough.
    diversity
        d, from 0 (uncertainty alone) to 1 (novelty alone).
    """
    looks, before = _standardised(regions.looks, painted)
    choice = _Choice(regions, looks, _farthest(looks, before), diversity)
    left = sorted(set(regions.plane.tolist()))
    found: list[Suggested] = []
    for missing in range(n_planes - 1, -1, -1):
        scores = choice.scores()
        sums = {z: _sum_of_best(scores[regions.plane == z], n_regions) for z in left}
        # A plane in an awkward place may leave too little room for those still to come.
        fits = [z for z in left if packed(_without(left, z, apart), apart) >= missing]
        best = max(fits, key=lambda z: (sums[z], -z))
        found += choice.take(best, n_regions)
        left = _without(left, best, apart)
    return found


def packed(planes: Sequence[int], apart: float) -> int:
    """How many of the planes (ascending) can be chosen that lie at least so far apart.

    >>> packed([0, 1, 2, 3, 7], 3)
    3
    """
    n, last = 0, -np.inf
    for z in planes:
        if z - last >= apart - 1e-9:
            n, last = n + 1, z
    return n


class _Choice:
    """What was chosen so far."""

    def __init__(
        self, regions: Regions, looks: Values, nearest: Values, diversity: float
    ) -> None:
        self._regions, self._looks, self._nearest = regions, looks, nearest
        self._diversity = diversity
        self._taken = np.zeros(len(looks), bool)
        self._unsure = _ranks(regions.uncertainty)

    def novelty(self) -> Values:
        """Of each region, 1 at most."""
        if np.isinf(self._nearest).all():
            return np.ones(len(self._nearest))
        farthest = self._nearest.max(initial=0)
        return self._nearest / farthest if farthest > 0 else self._nearest

    def scores(self) -> Values:
        """Of each region; -1 of those that are taken."""
        d = self._diversity
        scores: Values = self._unsure ** (1 - d) * _ranks(self.novelty()) ** d
        return np.where(self._taken, -1.0, scores)

    def take(self, plane: int, n: int) -> list[Suggested]:
        """Up to `n` regions of the plane, one after the other."""
        here = np.flatnonzero(self._regions.plane == plane)
        found = []
        for _ in range(min(n, len(here))):
            scores, novelty = self.scores(), self.novelty()
            best = int(here[np.argmax(scores[here])])
            found.append(Suggested(
                best, plane, float(scores[best]), float(self._regions.uncertainty[best]),
                float(novelty[best]),
            ))
            self._taken[best] = True
            away = np.linalg.norm(self._looks - self._looks[best], axis=1)
            self._nearest = np.minimum(self._nearest, away)
        return found


def _ranks(values: Values) -> Values:
    """Share of the values that are no higher than each.

    >>> _ranks(np.array([0.5, 9.0, 0.5, 0.1])).tolist()
    [0.75, 1.0, 0.75, 0.25]
    """
    return np.searchsorted(np.sort(values), values, side="right") / max(1, len(values))


def _standardised(looks: Values, painted: Values) -> tuple[Values, Values]:
    """Both in standard deviations of `looks`; what is the same everywhere counts nothing."""
    middle, spread = looks.mean(0), looks.std(0)
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0)
    return (looks - middle) * scale, (painted - middle) * scale


def _farthest(looks: Values, before: Values) -> Values:
    """Distance of each to the nearest of those before; infinite if there is none."""
    nearest = np.full(len(looks), np.inf)
    for other in before:
        nearest = np.minimum(nearest, np.linalg.norm(looks - other, axis=1))
    return nearest


def _sum_of_best(scores: Values, n: int) -> float:
    """Sum of the `n` highest."""
    return float(np.sort(scores)[::-1][:n].sum())


def _without(planes: Sequence[int], chosen: int, apart: float) -> list[int]:
    """Planes that are not too near to the chosen one."""
    return [z for z in planes if abs(z - chosen) >= max(apart, 1) - 1e-9]
