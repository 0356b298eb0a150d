"""How one measure of objects goes with others: correlations with intervals and p-values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fibseg.errors import UsageError
from fibseg.types import Table

Values = NDArray[np.float64]

MIN_OBJECTS = 4
"""Of fewer objects no correlation is stated."""
_AT_ONCE = 2**22
_CONSTANT = 1e-12


def correlations(
    table: Table,
    column: str,
    others: Sequence[str],
    *,
    confidence: float = 0.95,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Table:
    """Pearson's and Spearman's correlation of one column with each of others, one row each.

    The intervals are those of the percentile bootstrap: objects are drawn anew, with replacement,
    and the middle of the coefficients is taken (Efron and Tibshirani: *An introduction to the
    bootstrap*, 1993, chapter 13). p-values are two-sided, of no correlation.

    Parameters
    ----------
    table
        One row per object. Rows count where both columns are finite: objects that were left out of
        shape statistics are left out here.
    column, others
        Names of columns, e.g. ``surface_to_volume_per_um`` and three distances.
    confidence
        Share of the intervals.
    n_bootstrap
        How often objects are drawn.
    seed
        Of the draws. The result does not depend on the order of the rows.

    Returns
    -------
    Table
        ``column`` and ``with_column`` (names), ``n_objects``, ``pearson_r``, ``pearson_low``,
        ``pearson_high``, ``pearson_p``, ``spearman_rho``, ``spearman_low``, ``spearman_high`` and
        ``spearman_p``, none of which has a unit. NaN where there are fewer than `MIN_OBJECTS`, or
        one of the columns has the same value everywhere.

    Raises
    ------
    UsageError
        If there is no such column, or a setting cannot be meant.
    """
    _check(table, column, others, confidence, n_bootstrap)
    rows = []
    for other in others:
        found = _both(table[column], table[other], confidence, n_bootstrap, seed)
        rows.append({"column": column, "with_column": other, **found})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _check(
    table: Table, column: str, others: Sequence[str], confidence: float, n_bootstrap: int
) -> None:
    if not others:
        raise UsageError(f"{column} has nothing to go with. Name at least one other column.")
    for name in (column, *others):
        if name not in table:
            raise UsageError(
                f"the table has no column {name!r}; it has {', '.join(table) or 'none'}."
            )
    if not 0 < confidence < 1:
        raise UsageError(f"confidence={confidence} is no share of intervals. Give e.g. 0.95.")
    if n_bootstrap < 100:
        raise UsageError(
            f"n_bootstrap={n_bootstrap} draws give no interval. Give at least 100, e.g. 2000."
        )


def _undefined(n_objects: int) -> dict[str, int | float]:
    names = [f"pearson_{part}" for part in ("r", "low", "high", "p")]
    names += [f"spearman_{part}" for part in ("rho", "low", "high", "p")]
    return {"n_objects": n_objects} | dict.fromkeys(names, float("nan"))


def _both(
    first: NDArray[Any], second: NDArray[Any], confidence: float, n_bootstrap: int, seed: int
) -> dict[str, int | float]:
    """Columns of `correlations` for one pair."""
    x, y = _known(first, second)
    row = _undefined(len(x))
    if len(x) < MIN_OBJECTS or _constant(x) or _constant(y):
        return row
    x, y = x - x.mean(), y - y.mean()
    drawn_r, drawn_rho = [], []
    for times in _draws(len(x), n_bootstrap, seed):
        drawn_r.append(_weighted(x, y, times))
        drawn_rho.append(_weighted(_ranks(x, times), _ranks(y, times), times))
    pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
    row["pearson_r"], row["pearson_p"] = float(pearson.statistic), float(pearson.pvalue)
    row["spearman_rho"], row["spearman_p"] = float(spearman.statistic), float(spearman.pvalue)
    row["pearson_low"], row["pearson_high"] = _middle(drawn_r, confidence)
    row["spearman_low"], row["spearman_high"] = _middle(drawn_rho, confidence)
    return row


def _known(first: NDArray[Any], second: NDArray[Any]) -> tuple[Values, Values]:
    """Pairs of finite values, sorted: draws and sums do not depend on their order."""
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    order = np.lexsort((y, x))
    return x[order], y[order]


def _constant(values: Values) -> bool:
    return bool(values.std() <= _CONSTANT * np.abs(values).max())


def _draws(n: int, n_bootstrap: int, seed: int) -> Iterator[Values]:
    """How often each of `n` objects is drawn, shape (draws, n), some draws at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, n_bootstrap, max(1, _AT_ONCE // n)):
        draws = min(max(1, _AT_ONCE // n), n_bootstrap - start)
        picked = rng.integers(0, n, (draws, n)) + np.arange(draws)[:, None] * n
        yield np.bincount(picked.ravel(), minlength=draws * n).reshape(draws, n).astype(float)


def _ranks(values: Values, times: Values) -> Values:
    """Rank of every object in every draw, the mean one among equals, shape as `times`."""
    _, place = np.unique(values, return_inverse=True)
    by_value = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[by_value], prepend=-1))
    equal = np.add.reduceat(times[:, by_value], starts, axis=1)
    mean_rank = np.cumsum(equal, axis=1) - (equal - 1) / 2
    return np.asarray(mean_rank[:, place])


def _weighted(x: Values, y: Values, times: Values) -> Values:
    """Pearson's coefficient of every draw; NaN where all that were drawn have one value."""
    n = times.sum(axis=1, keepdims=True)
    x = x - (times * x).sum(axis=1, keepdims=True) / n
    y = y - (times * y).sum(axis=1, keepdims=True) / n
    spread = (times * x * x).sum(axis=1) * (times * y * y).sum(axis=1)
    least = _CONSTANT**2 * np.square(x).max(axis=1) * np.square(y).max(axis=1)
    found = np.full(len(times), np.nan)
    np.divide((times * x * y).sum(axis=1), np.sqrt(spread), out=found, where=spread > least)
    return found


def _middle(drawn: Sequence[Values], confidence: float) -> tuple[float, float]:
    each = np.concatenate(drawn)
    each = each[np.isfinite(each)]
    if not len(each):
        return float("nan"), float("nan")
    low, high = np.clip(np.quantile(each, [(1 - confidence) / 2, (1 + confidence) / 2]), -1, 1)
    return float(low), float(high)
