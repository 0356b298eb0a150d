"""Do two sections of one nucleus differ? Objects near to each other are no independent witnesses.

Welch's t-test, which the case study took, counts every object. A mean distance to the nearest
eight is shared by neighbours, and density varies along every envelope; so it finds differences
where there are none. Beside it stand tests that count patches of envelope, and one that compares
the split at the furrow with splits of the same envelope elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.patch_draws import (
    dealt,
    difference_of,
    drawn_anew,
    split_by_planes,
    two_sided_p,
)
from fibseg.measure.surface_patches import SectionPatches
from fibseg.measure.welch import hedges_g, welch

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

FEWEST = 2
"""Of fewer values in a section, nothing is compared."""


@dataclass(frozen=True)
class Comparison:
    """What a column is in section 1 and 2, and how far the difference can be chance.

    Attributes
    ----------
    n_1, n_2, mean_1, mean_2
        Objects with a value, and their mean.
    difference, low, high
        Mean of section 1 less that of section 2, and its interval by drawing patches anew.
    welch_t, welch_df, welch_p
        Two-tailed, every object counted, as in the case study.
    hedges_g, hedges_low, hedges_high
        Difference in standard deviations (Hedges, J Educ Stat 6:107, 1981), the interval by
        drawing patches.
    blocks_p
        The recommended one: of as large a difference if a dozen large blocks of envelope are dealt
        to the sections at random, or by Welch's test of the means of the blocks, whichever is
        larger; the median over several ways to cut the blocks.
    patches_p
        The same of patches of about 1 µm², dealt at random.
    splits_p
        Of as large a difference if the same envelope is split by planes in random directions: the
        strictest, right even where density changes from one end of the nucleus to the other, and
        blind to most differences that are there.
    n_patches_1, n_patches_2, n_blocks_1, n_blocks_2
        How many patches and blocks have a value.
    """

    n_1: int
    n_2: int
    mean_1: float
    mean_2: float
    difference: float
    low: float
    high: float
    welch_t: float
    welch_df: float
    welch_p: float
    hedges_g: float
    hedges_low: float
    hedges_high: float
    blocks_p: float
    patches_p: float
    splits_p: float
    n_patches_1: int
    n_patches_2: int
    n_blocks_1: int
    n_blocks_2: int


def compared(
    values: Floats, site: Places, patches: SectionPatches, blocks: Sequence[SectionPatches], *,
    n_draws: int = 1999,
    confidence: float = 0.95, seed: int = 0,
) -> Comparison:
    """How the values of objects differ between section 1 and 2.

    Parameters
    ----------
    values, site
        (n,), of the objects, and the site of the envelope that each stands on. NaN counts nowhere.
    patches, blocks
        The same envelope in patches, and cut into large blocks in one or several ways.
    n_draws
        Of every test, and of the intervals.
    """
    good = np.isfinite(values) & (patches.of_site[site] >= 0)
    values, site = values[good], site[good]
    section = patches.section[patches.of_site[site]]
    one, two = values[section == 1], values[section == 2]
    found = _undefined(one, two)
    if min(len(one), len(two)) < FEWEST or not np.ptp(values) > 0:
        return found
    middle = values.mean()

    def sums(cut: SectionPatches) -> Floats:
        """Of the values of the objects on each patch."""
        own, k = cut.of_site[site], len(cut.section)
        parts = (None, values - middle, (values - middle) ** 2)
        return np.stack([np.bincount(own, w, k) for w in parts], axis=1).astype(np.float64)

    return _with_tests(
        _with_welch(found, one, two), sums, patches, blocks, n_draws, confidence, seed
    )


def compared_counts(
    site: Places, patches: SectionPatches, blocks: Sequence[SectionPatches], *,
    n_draws: int = 1999,
    confidence: float = 0.95, seed: int = 0,
) -> Comparison:
    """How objects per µm² of envelope differ between the sections.

    ``mean_…`` are objects per area; Welch's test and Hedges' g are those of patches. Parameters as
    of `compared`.
    """
    site = site[patches.of_site[site] >= 0]

    def sums(cut: SectionPatches) -> Floats:
        """Of the objects per area of each patch."""
        count = np.bincount(cut.of_site[site], minlength=len(cut.section))
        area = cut.area_um2
        rate = count.sum() / max(area.sum(), 1e-300)
        share = count / np.maximum(area, 1e-300) - rate
        return np.stack([area, count - rate * area, share**2 * area], axis=1)

    count = np.bincount(patches.of_site[site], minlength=len(patches.section))
    first, second = (patches.section == s for s in (1, 2))
    area = patches.area_um2
    one, two = count[first] / area[first], count[second] / area[second]
    means = [
        float(count[s].sum() / area[s].sum()) if s.any() else float("nan") for s in (first, second)
    ]
    found = replace(
        _undefined(one, two), n_1=int(count[first].sum()), n_2=int(count[second].sum()),
        mean_1=means[0], mean_2=means[1], difference=means[0] - means[1],
    )
    if min(len(one), len(two)) < FEWEST or not count.any():
        return found
    return _with_tests(
        _with_welch(found, one, two), sums, patches, blocks, n_draws, confidence, seed
    )


def _with_welch(found: Comparison, one: Floats, two: Floats) -> Comparison:
    """The comparison with Welch's test and Hedges' g of two samples."""
    test = welch(one, two)
    return replace(
        found, welch_t=float(test.statistic), welch_df=float(test.df),
        welch_p=float(test.pvalue), hedges_g=hedges_g(one, two),
    )


def _with_tests(
    found: Comparison, sums: Callable[[SectionPatches], Floats], patches: SectionPatches,
    blocks: Sequence[SectionPatches], n_draws: int, confidence: float, seed: int,
) -> Comparison:
    """The comparison with its tests.

    `sums` of a cut, (k, 3): weight, weighted value less the common mean, its square.
    """
    fine, coarse = sums(patches), [(sums(cut), cut.section == 1) for cut in blocks]
    rng = np.random.default_rng(seed)
    first = patches.section == 1
    difference = difference_of(fine, first[None])[0]
    at_random = dealt(first, n_draws, rng)
    elsewhere = split_by_planes(first, patches, n_draws, rng)
    low, high, g_low, g_high = _intervals(fine, first, n_draws, confidence, rng)
    used, used_blocks = fine[:, 0] > 0, coarse[0][0][:, 0] > 0
    large = coarse[0][1]
    return replace(
        found, low=low, high=high, hedges_low=g_low, hedges_high=g_high,
        blocks_p=float(np.median([_blocks_p(*cut, n_draws, rng) for cut in coarse])),
        patches_p=two_sided_p(difference, difference_of(fine, at_random)),
        splits_p=two_sided_p(difference, difference_of(fine, elsewhere)),
        n_patches_1=int((used & first).sum()), n_patches_2=int((used & ~first).sum()),
        n_blocks_1=int((used_blocks & large).sum()), n_blocks_2=int((used_blocks & ~large).sum()),
    )


def _blocks_p(
    sums: Floats, first: NDArray[np.bool_], n_draws: int, rng: np.random.Generator
) -> float:
    """The larger p of blocks dealt at random and of Welch's test of their means."""
    by_chance = difference_of(sums, dealt(first, n_draws, rng))
    return float(np.fmax(
        two_sided_p(difference_of(sums, first[None])[0], by_chance), _welch_of_means(sums, first)
    ))


def _welch_of_means(sums: Floats, first: NDArray[np.bool_]) -> float:
    """Chance by Welch's test where every patch with a value counts once."""
    used = sums[:, 0] > 0
    mean = sums[:, 1] / np.where(used, sums[:, 0], 1)
    one, two = mean[used & first], mean[used & ~first]
    if min(len(one), len(two)) < FEWEST:
        return float("nan")
    return float(welch(one, two).pvalue)


def _intervals(
    sums: Floats, first: NDArray[np.bool_], n_draws: int, confidence: float,
    rng: np.random.Generator,
) -> tuple[float, float, float, float]:
    """Of the difference and of Hedges' g, by drawing patches anew."""
    difference, g = drawn_anew(sums, first, n_draws, rng)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    ends: list[float] = []
    for drawn in (difference, g):
        known = drawn[np.isfinite(drawn)]
        ends += np.quantile(known, tails).tolist() if len(known) else [float("nan")] * 2
    return ends[0], ends[1], ends[2], ends[3]


def _undefined(one: Floats, two: Floats) -> Comparison:
    means = [float(part.mean()) if len(part) else float("nan") for part in (one, two)]
    known: dict[str, Any] = {
        "n_1": len(one), "n_2": len(two), "mean_1": means[0], "mean_2": means[1],
        "difference": means[0] - means[1],
    }
    for field in fields(Comparison):
        known.setdefault(field.name, 0 if field.name.startswith("n_") else float("nan"))
    return Comparison(**known)
