"""Do conditions differ, over several cells? Each cell counts once, with a value such as a mean.

Objects of one cell share its age, its stain and its neighbours: a thousand mitochondria of one cell
are one witness to what a drug does. Where the conditions are alike, any cell might as well bear the
label of another one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from fibseg.errors import UsageError
from fibseg.measure.welch import hedges_g, welch

Floats = NDArray[np.float64]

EXACT_UP_TO = 200_000
"""Of so many ways to hand out labels all are tried (10 and 10 cells); of more, some at random."""
FEWEST = 2
"""Cells in each condition for a test."""
_AT_ONCE = 4096


@dataclass(frozen=True)
class GroupsCompared:
    """What a measure is in the cells of two conditions.

    Attributes
    ----------
    n_1, n_2
        Cells with a value; no other counts.
    n_ways
        In how many ways labels of conditions can be handed out; 0 where nothing is tested.
    mean_1, mean_2, difference
        Means over cells, and the second less the first.
    low, high
        Interval of the difference by Welch's t: right where cells are normal, and wide of few.
    effect_size, effect_low, effect_high
        Difference in pooled standard deviations of cells, corrected for few (Hedges, J Educ Stat
        6:107, 1981), and its interval by the noncentral t distribution (Hedges and Olkin,
        Statistical methods for meta-analysis, 1985, ch. 5).
    labels_p
        Two-sided, of as large a difference of means if the labels of conditions are handed out
        anew: exact up to `EXACT_UP_TO` ways (Pitman, Suppl J R Stat Soc 4:119, 1937), else drawn.
    smallest_p
        The least that `labels_p` of so many cells can be.
    """

    n_1: int
    n_2: int
    n_ways: int
    mean_1: float
    mean_2: float
    difference: float
    low: float
    high: float
    effect_size: float
    effect_low: float
    effect_high: float
    labels_p: float
    smallest_p: float


def compared_groups(
    first: Floats, second: Floats, *, confidence: float = 0.95, n_draws: int = 99_999,
    seed: int = 0,
) -> GroupsCompared:
    """How two conditions differ, the cell being the unit; nothing is tested of fewer than `FEWEST`.

    Parameters
    ----------
    first, second
        (n,), one value of each cell, such as a mean; cells without one (NaN) are left out.
    confidence
        Of the intervals.
    n_draws, seed
        Of the labels, where there are more ways than `EXACT_UP_TO`.

    Raises
    ------
    UsageError
        If the values are no lists, or the confidence is no share.

    >>> found = compared_groups(np.array([1.0, 2, 3]), np.array([5.0, 6, 7]))
    >>> found.difference, found.labels_p, found.smallest_p, found.n_ways
    (4.0, 0.1, 0.1, 20)
    """
    if first.ndim != 1 or second.ndim != 1:
        raise UsageError(
            f"values of shapes {first.shape} and {second.shape} are no lists of cells. Give one "
            "value of each cell."
        )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence={confidence} is no share of intervals. Give e.g. 0.95.")
    # Sorted: sums do not depend on the order of the cells.
    one, two = (np.sort(values[np.isfinite(values)]) for values in (first, second))
    n = len(one), len(two)
    means = [float(values.mean()) if len(values) else math.nan for values in (one, two)]
    difference = means[1] - means[0]
    if min(n) < FEWEST:
        return GroupsCompared(n[0], n[1], 0, means[0], means[1], difference, *[math.nan] * 7)
    g = hedges_g(two, one)
    return GroupsCompared(
        n[0], n[1], math.comb(sum(n), n[0]), means[0], means[1], difference,
        *_difference_interval(one, two, confidence), g,
        *effect_interval(g, *n, confidence=confidence),
        labels_p(one, two, n_draws=n_draws, seed=seed), smallest_p(*n, n_draws=n_draws),
    )


def labels_p(first: Floats, second: Floats, *, n_draws: int = 99_999, seed: int = 0) -> float:
    """Two-sided chance of as large a difference of means if labels are handed out anew.

    >>> labels_p(np.array([1.0, 2, 3]), np.array([5.0, 6, 7])), labels_p(np.ones(2), np.ones(3))
    (0.1, 1.0)
    """
    n, values = len(first), np.concatenate([first, second])
    if not n or not len(second):
        return math.nan
    # Then the sum of one group tells the difference of means.
    values = values - np.sort(values).mean()
    limit = abs(float(values[:n].sum())) - 1e-9 * float(np.abs(values).sum())
    n_ways = math.comb(len(values), n)
    if n_ways <= EXACT_UP_TO:
        n_far = sum(
            int(np.count_nonzero(np.abs(values[rows].sum(axis=1)) >= limit))
            for rows in _all_choices(len(values), n)
        )
        return n_far / n_ways
    rng = np.random.default_rng(seed)
    drawn = np.array([rng.permutation(values)[:n].sum() for _ in range(n_draws)])
    return float((1 + np.count_nonzero(np.abs(drawn) >= limit)) / (1 + n_draws))


def smallest_p(n_1: int, n_2: int, *, n_draws: int = 99_999) -> float:
    """The least that `labels_p` can be, where all cells of one condition lie above the others.

    Of equally many cells the labels can be swapped, which gives the same difference.

    >>> smallest_p(3, 3), round(smallest_p(4, 4), 4), smallest_p(2, 3)
    (0.1, 0.0286, 0.1)
    """
    if min(n_1, n_2) < 1:
        return math.nan
    n_ways = math.comb(n_1 + n_2, n_1)
    if n_ways > EXACT_UP_TO:
        return 1 / (1 + n_draws)
    return (2 if n_1 == n_2 else 1) / n_ways


def effect_interval(
    g: float, n_1: int, n_2: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the true standardised difference, of Hedges' `g` of so many cells.

    It holds what noncentral t distributions would not make a t as far away as that which was found.

    >>> low, high = effect_interval(1.0, 10, 10)
    >>> round(low, 2), round(high, 2)
    (0.09, 1.97)
    """
    df = n_1 + n_2 - 2
    if not math.isfinite(g) or df < 1:
        return math.nan, math.nan
    scale = math.sqrt(n_1 * n_2 / (n_1 + n_2))
    t = g / (1 - 3 / (4 * df - 1)) * scale
    tail = (1 - confidence) / 2
    low, high = (_noncentrality(df, share, t) / scale for share in (1 - tail, tail))
    return low, high


def holm(chances: Floats) -> Floats:
    """p-values of several tests, corrected so that one of them is wrongly small at most that often.

    Holm, Scand J Stat 6:65, 1979. Missing ones stay so and do not count.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    found = np.full(len(chances), np.nan)
    order = [i for i in np.argsort(chances) if np.isfinite(chances[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, float(chances[i]) * (len(order) - rank)))
        found[i] = largest
    return found


def compared_conditions(
    values: Mapping[str, Floats], *, confidence: float = 0.95, n_draws: int = 99_999, seed: int = 0
) -> list[dict[str, str | int | float]]:
    """Each pair of conditions, in their order: what `GroupsCompared` tells, and ``holm_p``.

    Parameters
    ----------
    values
        Values of the cells of every condition.

    >>> rows = compared_conditions({"a": np.array([1.0, 2]), "b": np.array([3.0, 4])})
    >>> rows[0]["first"], rows[0]["second"], rows[0]["difference"]
    ('a', 'b', 2.0)
    """
    rows: list[dict[str, str | int | float]] = []
    for first, second in itertools.combinations(values, 2):
        found = compared_groups(
            values[first], values[second], confidence=confidence, n_draws=n_draws, seed=seed
        )
        told = {field.name: getattr(found, field.name) for field in fields(found)}
        rows.append({"first": first, "second": second, **told})
    corrected = holm(np.array([row["labels_p"] for row in rows], np.float64))
    return [{**row, "holm_p": p} for row, p in zip(rows, corrected.tolist(), strict=True)]


def group_mean(values: Floats, *, confidence: float = 0.95) -> dict[str, int | float]:
    """Number of cells with a value, their mean and standard deviation, and Student's interval.

    >>> found = group_mean(np.array([1.0, 2, 3, np.nan]))
    >>> found["n_cells"], found["mean"], found["sd"], round(found["high"], 2)
    (3, 2.0, 1.0, 4.48)
    """
    known = np.sort(values[np.isfinite(values)])
    n = len(known)
    sd = float(known.std(ddof=1)) if n > 1 else math.nan
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n) if n > 1 else sd
    mean = float(known.mean()) if n else math.nan
    return {"n_cells": n, "mean": mean, "sd": sd, "low": mean - half, "high": mean + half}


def pooled_objects(first: Sequence[Floats], second: Sequence[Floats]) -> dict[str, int | float]:
    """All objects of all cells as if each were independent, by Welch's test: too sure by far.

    Parameters
    ----------
    first, second
        Values of the objects of each cell of a condition.
    """
    one, two = (np.concatenate([np.zeros(0), *cells]) for cells in (first, second))
    one, two = one[np.isfinite(one)], two[np.isfinite(two)]
    difference = float(two.mean() - one.mean()) if len(one) and len(two) else math.nan
    enough = min(len(one), len(two)) > 1 and np.ptp(np.concatenate([one, two])) > 0
    chance = float(welch(two, one).pvalue) if enough else math.nan
    return {"n_1": len(one), "n_2": len(two), "difference": difference, "welch_p": chance}


def _difference_interval(one: Floats, two: Floats, confidence: float) -> tuple[float, float]:
    """Of the mean of `two` less that of `one`, by Welch and Satterthwaite."""
    parts = [float(values.var(ddof=1)) / len(values) for values in (one, two)]
    difference, error = float(two.mean() - one.mean()), math.sqrt(sum(parts))
    if not error > 0:
        return math.nan, math.nan
    df = 1 / sum(
        (part / sum(parts)) ** 2 / (len(values) - 1)
        for part, values in zip(parts, (one, two), strict=True)
    )
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    return difference - half, difference + half


def _noncentrality(df: int, share: float, t: float) -> float:
    """Noncentrality at which that share of the t distribution lies below `t`, by halving."""
    low, high = t - 40.0 - abs(t), t + 40.0 + abs(t)
    for _ in range(80):
        middle = (low + high) / 2
        if special.nctdtr(df, middle, t) > share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _all_choices(n: int, k: int) -> Iterator[NDArray[np.intp]]:
    """All ways to choose `k` of `n`, some thousand rows at once."""
    ways = itertools.combinations(range(n), k)
    while rows := list(itertools.islice(ways, _AT_ONCE)):
        yield np.array(rows, np.intp)
