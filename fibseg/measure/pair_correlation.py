"""Whether objects on an envelope keep apart or gather: pair correlation and Ripley's K."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.measure.envelope import Feet
from fibseg.measure.surface_pairs import SurfacePairs, scattered
from fibseg.types import Table

Floats = NDArray[np.float64]

FEWEST = 3
"""Of fewer objects there is nothing to say."""


@dataclass(frozen=True, eq=False)
class PairCorrelation:
    """Curves over distance, and how unlike those of random placements they are.

    Attributes
    ----------
    curves
        ``radius_from_um``, ``radius_to_um``, ``pair_correlation`` (1 at random) and, of the same
        on random placements, ``pair_correlation_low`` and ``…_high``; ``ripley_k_um2`` (up to
        ``radius_to_um``), ``ripley_l_um`` and its ``_low`` and ``_high``.
    p_value
        Of Ripley's L as a whole, two-sided; NaN where nothing was simulated.
    p_pair_correlation
        Of the pair correlation as a whole.
    n_objects, n_simulations
        How many.
    """

    curves: Table
    p_value: float
    p_pair_correlation: float
    n_objects: int
    n_simulations: int


def pair_correlation(
    pairs: SurfacePairs, feet: Feet, *, radius_um: float = 1.0, step_um: float = 0.05,
    n_simulations: int = 199, confidence: float = 0.95, seed: int = 0,
) -> PairCorrelation:
    """Pairs of objects per distance, against as many objects at random on the same envelope.

    Pairs are those that the envelope connects (`SurfacePairs`). Both curves are ratios to the mean
    of the simulations, so that bending, holes and the faces of the volume cancel out: K is π r²
    times the ratio of pairs up to r, L = √(K / π). The bands hold whole curves: they are those of
    the simulations that are not among the most extreme by the length of extreme ranks, which
    also gives the p-values (Myllymäki et al., J R Stat Soc B 79:381, 2017).

    Parameters
    ----------
    radius_um, step_um
        How far, and how wide a class of distances is.
    n_simulations
        Random placements, evenly by area.
    confidence
        Share of the simulations whose whole curves lie within the bands.
    seed
        Of the placements.

    Raises
    ------
    UsageError
        If a setting cannot be meant.
    """
    if not 0 < step_um <= radius_um or n_simulations < 19:
        raise UsageError(
            f"radius_um={radius_um:g}, step_um={step_um:g} and n_simulations={n_simulations}: use "
            "a step up to the radius, such as 0.05 and 1, and at least 19 simulations."
        )
    n = len(feet.vertex)
    # Whole steps within the radius: what is farther is not known to be connected.
    n_steps = int(radius_um / step_um + 1e-9)
    edges: Floats = np.arange(0.0, n_steps + 1) * np.float64(step_um)
    counts = np.full((n_simulations + 1, len(edges) - 1), np.nan)
    if n >= FEWEST:
        counts[0] = _histogram(pairs, feet.points_um, feet.vertex, edges)
        rng = np.random.default_rng(seed)
        for k in range(n_simulations):
            counts[k + 1] = _histogram(pairs, *scattered(pairs.envelope, n, rng), edges)
    return _compared(counts, edges, n, confidence)


def _histogram(
    pairs: SurfacePairs, points_um: Floats, vertex: NDArray[np.int64], edges: Floats
) -> Floats:
    _, _, away = pairs.within(points_um, vertex, radius_um=float(edges[-1]))
    return np.histogram(away, edges)[0].astype(np.float64)


def _compared(counts: Floats, edges: Floats, n: int, confidence: float) -> PairCorrelation:
    radius = edges[1:]
    g = _ratio(counts)
    k = np.pi * radius**2 * _ratio(np.cumsum(counts, axis=1))
    length = np.sqrt(k / np.pi)
    p_g, g_low, g_high = global_envelope(g, confidence)
    p_l, l_low, l_high = global_envelope(length, confidence)
    curves = {
        "radius_from_um": edges[:-1], "radius_to_um": radius, "pair_correlation": g[0],
        "pair_correlation_low": g_low, "pair_correlation_high": g_high, "ripley_k_um2": k[0],
        "ripley_l_um": length[0], "ripley_l_low_um": l_low, "ripley_l_high_um": l_high,
    }
    return PairCorrelation(curves, p_l, p_g, n, len(counts) - 1)


def _ratio(counts: Floats) -> Floats:
    """Every row over the mean of all but the first; NaN where there is hardly a pair at random."""
    mean = counts[1:].mean(axis=0)
    found = np.full(counts.shape, np.nan)
    enough = mean * (len(counts) - 1) >= 1
    np.divide(counts, mean, out=found, where=np.broadcast_to(enough, counts.shape))
    return found


def global_envelope(curves: Floats, confidence: float) -> tuple[float, Floats, Floats]:
    """P of the first row among all, and the band around the rows that are not extreme.

    Rows are compared by the length of extreme ranks: the least rank, from either end, over all
    columns; of equal ones, that which has it more often, and so on.
    """
    columns = np.isfinite(curves).all(axis=0)
    low, high = np.full((2, curves.shape[1]), np.nan)
    used = curves[:, columns]
    if not used.shape[1]:
        return float("nan"), low, high
    from_below = np.sum(used[None] < used[:, None], axis=1) + 1
    from_above = np.sum(used[None] > used[:, None], axis=1) + 1
    ranks = np.sort(np.minimum(from_below, from_above), axis=1)
    order = np.lexsort(ranks.T[::-1])
    extremeness = np.empty(len(curves), np.int64)
    new = np.any(ranks[order[1:]] != ranks[order[:-1]], axis=1)
    extremeness[order] = np.concatenate([[0], np.cumsum(new)])
    p = float(np.mean(extremeness <= extremeness[0]))
    cut = np.sort(extremeness)[int((1 - confidence) * len(curves))]
    inner = used[extremeness >= cut]
    low[columns], high[columns] = inner.min(axis=0), inner.max(axis=0)
    return p, low, high
