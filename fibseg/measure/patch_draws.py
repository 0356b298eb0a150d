"""Patches of envelope dealt, split and drawn anew: what differences of sections are held against.

``sums`` of patches are (k, 3): weight, weighted value less the common mean, and its square.
``first`` says which patches are section 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.surface_patches import SectionPatches

Floats = NDArray[np.float64]


def difference_of(sums: Floats, first: NDArray[np.bool_]) -> Floats:
    """Mean of the chosen patches less that of the others, for each row of choices."""
    chosen = first.astype(np.float64) @ sums[:, :2]
    rest = sums[:, :2].sum(axis=0) - chosen
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = chosen[:, 1] / chosen[:, 0] - rest[:, 1] / rest[:, 0]
    return found


def two_sided_p(found: float, simulated: Floats) -> float:
    """Two-sided, of at least as large a difference, the found one counted in."""
    simulated = simulated[np.isfinite(simulated)]
    if not np.isfinite(found):
        return float("nan")
    as_large = np.sum(np.abs(simulated) >= abs(found) * (1 - 1e-9))
    return float((1 + as_large) / (1 + len(simulated)))


def dealt(
    first: NDArray[np.bool_], n_draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Patches dealt anew, as many to each section, (draws, k)."""
    return rng.permuted(np.broadcast_to(first, (n_draws, len(first))), axis=1)


def split_by_planes(
    first: NDArray[np.bool_], patches: SectionPatches, n_draws: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Splits by planes in random directions, with as much area in front as section 1 has."""
    normals = rng.standard_normal((n_draws, 3))
    order = np.argsort(-(patches.middle_um @ normals.T), axis=0, kind="stable")
    area = patches.area_um2
    before = np.cumsum(area[order], axis=0) - area[order] / 2
    ahead = before <= area[first].sum()
    found = np.zeros(ahead.T.shape, bool)
    np.put_along_axis(found, order.T, ahead.T, axis=1)
    return found


def drawn_anew(
    sums: Floats, first: NDArray[np.bool_], n_draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Difference, and the same in standard deviations, of patches drawn anew in each section.

    Both (draws,): as many patches as there are, with replacement (Efron, Ann Stat 7:1, 1979).
    """
    means, squares, weights = [], [], []
    for chosen in (first, ~first):
        own = sums[chosen]
        times = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), n_draws)
        weight, total, square = (times @ own).T
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / weight
        means.append(mean)
        squares.append(square - weight * mean**2)
        weights.append(weight)
    difference = means[0] - means[1]
    spread = np.sqrt(np.maximum(squares[0] + squares[1], 0) / (weights[0] + weights[1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference, np.where(spread > 0, difference / spread, np.nan)
