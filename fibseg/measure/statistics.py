"""How one measure of objects goes with others: correlations with intervals and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fibseg.errors import UsageError
from fibseg.measure.bootstrap import drawn_coefficients, n_draws
from fibseg.types import Table

Values = NDArray[np.float64]

MIN_OBJECTS = 4
"""Of fewer objects no correlation is stated."""
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
        How often objects are drawn, at most: see `fibseg.measure.bootstrap.n_draws`.
    seed
        Of the draws. The result does not depend on the order of the rows.

    Returns
    -------
    Table
        ``column`` and ``with_column`` (names), ``n_objects``, ``pearson_r``, ``pearson_low``,
        ``pearson_high``, ``pearson_p``, ``spearman_rho``, ``spearman_low``, ``spearman_high`` and
        ``spearman_p``, none of which has a unit, and ``n_draws``, how many draws the intervals come
        from. NaN where there are fewer than `MIN_OBJECTS`, or
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
    return {"n_objects": n_objects, "n_draws": 0} | dict.fromkeys(names, float("nan"))


def _both(
    first: NDArray[Any], second: NDArray[Any], confidence: float, n_bootstrap: int, seed: int
) -> dict[str, int | float]:
    """Columns of `correlations` for one pair."""
    x, y = _known(first, second)
    row = _undefined(len(x))
    if len(x) < MIN_OBJECTS or _constant(x) or _constant(y):
        return row
    row["n_draws"] = draws = n_draws(len(x), n_bootstrap)
    drawn_r, drawn_rho = drawn_coefficients(x, y, draws=draws, seed=seed)
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


def _middle(drawn: Values, confidence: float) -> tuple[float, float]:
    each = drawn[np.isfinite(drawn)]
    if not len(each):
        return float("nan"), float("nan")
    low, high = np.clip(np.quantile(each, [(1 - confidence) / 2, (1 + confidence) / 2]), -1, 1)
    return float(low), float(high)
