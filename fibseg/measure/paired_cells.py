"""Do two sections of nuclei differ, over several cells? Each cell counts once, as a pair of means.

Objects of one nucleus share its age, its stain and its neighbours, so that a thousand pores of one
cell are one witness to what cells are like. Within each cell the difference of its sections is
taken; where the sections are alike, either sign of it is as likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fibseg.errors import UsageError
from fibseg.measure.welch import welch

Floats = NDArray[np.float64]

EXACT_UP_TO = 20
"""Of so many cells all signs are tried, a million; of more, some at random."""
ALPHA = 0.05


@dataclass(frozen=True)
class CellsCompared:
    """What a measure is in section 1 and 2 of several cells.

    Attributes
    ----------
    n_cells
        With a value in both sections; no other counts.
    mean_1, mean_2
        Mean over cells.
    difference, low, high
        Mean of the differences within cells, section 1 less section 2, and its interval by
        Student's t: right where differences are normal, and wide of few cells.
    effect_size
        Mean difference in standard deviations of the differences, corrected for few cells (Hedges,
        J Educ Stat 6:107, 1981); missing of two.
    signs_p
        Two-sided, of as large a mean difference if the sign of each cell's is drawn anew: exact up
        to `EXACT_UP_TO` cells (Fisher, The design of experiments, 1935, §21).
    smallest_p
        The least that `signs_p` of so many cells can be.
    """

    n_cells: int
    mean_1: float
    mean_2: float
    difference: float
    low: float
    high: float
    effect_size: float
    signs_p: float
    smallest_p: float


@dataclass(frozen=True)
class ObjectsPooled:
    """The same of all objects of all cells, as if each were independent: too sure by far.

    Attributes
    ----------
    n_1, n_2, difference, welch_p
        Objects in section 1 and 2, difference of their means, and Welch's test, two-tailed.
    """

    n_1: int
    n_2: int
    difference: float
    welch_p: float


def compared_cells(
    first: Floats, second: Floats, *, confidence: float = 0.95, n_draws: int = 99_999,
    seed: int = 0,
) -> CellsCompared:
    """How section 1 and 2 differ, the cell being the unit.

    Parameters
    ----------
    first, second
        (n,), one value of each cell and section, such as a mean; a cell without either is left out.
    n_draws, seed
        Of the signs of more than `EXACT_UP_TO` cells.

    Raises
    ------
    UsageError
        If the values are no pairs, or the confidence is no share.

    >>> found = compared_cells(np.array([3.0, 4, 6, 5]), np.array([2.0, 3, 4, 4]))
    >>> found.difference, found.signs_p, found.smallest_p
    (1.25, 0.125, 0.125)
    """
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError(
            f"{first.shape} and {second.shape} values are no pairs. Give one of each cell and "
            "section."
        )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence={confidence} is no share of intervals. Give e.g. 0.95.")
    known = np.isfinite(first) & np.isfinite(second)
    one, two = first[known], second[known]
    n = len(one)
    if not n:
        return CellsCompared(0, *[float("nan")] * 8)
    # Sorted: sums do not depend on the order of the cells.
    differences = np.sort(one - two)
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if n > 1 else float("nan")
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * spread / n**0.5 if n > 1 else spread
    alike = not spread > 1e-12 * float(np.abs(differences).max())
    effect = float("nan") if alike else _corrected(n - 1) * mean / spread
    return CellsCompared(
        n, float(one.mean()), float(two.mean()), mean, mean - half, mean + half, effect,
        signs_p(differences, n_draws=n_draws, seed=seed), smallest_p(n, n_draws=n_draws),
    )


def pooled(values: Floats, section: Floats) -> ObjectsPooled:
    """What Welch's test tells of all objects of all cells; `section` is 1, 2 or NaN."""
    good = np.isfinite(values)
    one, two = (values[good & (section == number)] for number in (1, 2))
    if not (len(one) and len(two)):
        return ObjectsPooled(len(one), len(two), float("nan"), float("nan"))
    difference = float(one.mean() - two.mean())
    enough = min(len(one), len(two)) > 1 and np.ptp(np.concatenate([one, two])) > 0
    chance = float(welch(one, two).pvalue) if enough else float("nan")
    return ObjectsPooled(len(one), len(two), difference, chance)


def signs_p(differences: Floats, *, n_draws: int = 99_999, seed: int = 0) -> float:
    """Two-sided chance of as large a mean if the sign of each difference is drawn anew.

    >>> signs_p(np.array([1.0, 2.0, 3.0])), signs_p(np.array([1.0, 2.0, -3.0]))
    (0.25, 1.0)
    """
    n = len(differences)
    if not n:
        return float("nan")
    limit = abs(float(differences.sum())) - 1e-9 * float(np.abs(differences).sum())
    if n > EXACT_UP_TO:
        rng = np.random.default_rng(seed)
        drawn = np.array([
            (2 * rng.integers(0, 2, n) - 1) @ differences for _ in range(n_draws)
        ])
        return float((1 + np.sum(np.abs(drawn) >= limit)) / (1 + n_draws))
    sums = np.zeros(1)
    for one in differences.tolist():
        sums = np.concatenate([sums - one, sums + one])
    return float(np.mean(np.abs(sums) >= limit))


def smallest_p(n_cells: int, *, n_draws: int = 99_999) -> float:
    """The least that `signs_p` can be, where all cells differ alike.

    >>> [smallest_p(n) for n in (1, 3, 5, 6)]
    [1.0, 0.25, 0.0625, 0.03125]
    """
    if n_cells < 1:
        return float("nan")
    return 2.0 ** (1 - n_cells) if n_cells <= EXACT_UP_TO else 1 / (1 + n_draws)


def fewest_cells(alpha: float = ALPHA) -> int:
    """So many cells are needed for `signs_p` to lie below `alpha` at all.

    >>> fewest_cells(0.05)
    6
    """
    return next(n for n in range(1, 2000) if 2.0 ** (1 - n) < alpha)


def _corrected(df: int) -> float:
    """Hedges' correction of an effect size; one degree of freedom has none."""
    return 1 - 3 / (4 * df - 1) if df > 1 else float("nan")
