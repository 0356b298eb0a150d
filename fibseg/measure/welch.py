"""Welch's t-test and Hedges' g: what two samples of independent values tell."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def welch(one: Floats, two: Floats) -> Any:
    """Welch's test, two-tailed: ``statistic``, ``df`` and ``pvalue``.

    Where all values of a sample are equal, it is of as many digits as there are.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        return stats.ttest_ind(one, two, equal_var=False)


def hedges_g(one: Floats, two: Floats) -> float:
    """Difference of the means in pooled standard deviations, corrected for few values.

    Hedges, J Educ Stat 6:107, 1981. NaN where no value differs from the mean of its sample.
    """
    df = len(one) + len(two) - 2
    pooled = ((len(one) - 1) * one.var(ddof=1) + (len(two) - 1) * two.var(ddof=1)) / df
    if not pooled > 0:
        return float("nan")
    return float((1 - 3 / (4 * df - 1)) * (one.mean() - two.mean()) / np.sqrt(pooled))
