"""The conditions of a cohort, compared in every measure: cells as units, and objects pooled."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.compared_groups import (
    FEWEST,
    compared_conditions,
    group_mean,
    pooled_objects,
    smallest_p,
)
from fibseg.pipeline.cohort_table import Measure, Measured, finite_of

POOLED = "objects of one cell are not independent: no evidence of a difference between conditions"
ALPHA = 0.05


def comparisons(
    measures: Sequence[Measure], cells: Sequence[tuple[str, Measured]], conditions: Sequence[str]
) -> dict[str, Any]:
    """Of every measure: title, each condition, and each pair of them where it is tested.

    Parameters
    ----------
    cells
        Condition of each, and what was measured.
    conditions
        In their order.
    """
    return {
        measure.key: {
            "title": measure.title, "conditions": _by_condition(measure, cells, conditions),
            "pairs": _pairs(measure, cells, conditions) if measure.tested else [],
        }
        for measure in measures
    }


def cautions(found: Mapping[str, Any], counts: Mapping[str, int]) -> list[str]:
    """What a reader of the comparison should know.

    Parameters
    ----------
    found
        From `comparisons`, missing numbers being None.
    counts
        Cells of every condition that have values.
    """
    lines = []
    lone = [f"{name} ({n})" for name, n in counts.items() if n < FEWEST]
    if len(counts) < 2:
        lines.append("there is one condition: values without a test")
    elif lone:
        lines.append(f"fewer than {FEWEST} cells, so values without a test: {', '.join(lone)}")
    for first, second in itertools.combinations(counts, 2):
        n = counts[first], counts[second]
        if min(n) >= FEWEST and (least := smallest_p(*n)) > ALPHA:
            lines.append(
                f"{second} ({n[1]} cells) and {first} ({n[0]}): no p below {told(least)} can be "
                "reached, however far apart they are"
            )
    n_tests = sum(
        any(pair["labels_p"] is not None for pair in c["pairs"]) for c in found.values()
    )
    if n_tests > 1:
        lines.append(
            f"{n_tests} measures are compared: where nothing differs, about "
            f"{max(1, round(ALPHA * n_tests))} of them would lie below p = {ALPHA} by chance"
        )
    return lines


def pair_text(pair: Mapping[str, Any], *, corrected: bool) -> str:
    """One pair of conditions in words."""
    g = spanned(pair, "effect_size", "effect_low", "effect_high")
    words = (
        f"{pair['second']} less {pair['first']}: {spanned(pair, 'difference', 'low', 'high')}, "
        f"g {g}, p = {told(pair['labels_p'])}"
    )
    return f"{words}, {told(pair['holm_p'])} by Holm" if corrected else words


def spanned(of: Mapping[str, Any], value: str, low: str, high: str) -> str:
    """A number with its interval.

    >>> spanned({"d": -0.5, "a": -1.0, "b": None}, "d", "a", "b"), spanned({"d": None}, "d", "", "")
    ('−0.5', '–')
    >>> spanned({"d": 0.5, "a": 0.25, "b": 0.75}, "d", "a", "b")
    '0.5 (0.25 to 0.75)'
    """
    if of[value] is None or of[low] is None or of[high] is None:
        return told(of[value])
    return f"{told(of[value])} ({told(of[low])} to {told(of[high])})"


def told(value: float | None) -> str:
    """A number to three digits, with a true minus, or a dash where it is missing.

    >>> told(-1234.5), told(12), told(None)
    ('−1,230', '12', '–')
    """
    if value is None:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 1e5 else f"{float(f'{value:.3g}'):,g}"
    return text.replace("-", "−")


def _values(
    measure: Measure, cells: Sequence[tuple[str, Measured]], condition: str
) -> NDArray[np.float64]:
    """One value of each cell of a condition, NaN where it has none."""
    return np.array(
        [m.values.get(measure.key, np.nan) for name, m in cells if name == condition], np.float64
    )


def _by_condition(
    measure: Measure, cells: Sequence[tuple[str, Measured]], conditions: Sequence[str]
) -> dict[str, Any]:
    """Mean and interval of the cells of each condition."""
    return {name: group_mean(_values(measure, cells, name)) for name in conditions}


def _pairs(
    measure: Measure, cells: Sequence[tuple[str, Measured]], conditions: Sequence[str]
) -> list[dict[str, Any]]:
    """Each pair of conditions; of means of objects also all objects together."""
    rows = compared_conditions({name: _values(measure, cells, name) for name in conditions})
    found: list[dict[str, Any]] = []
    for row in rows:
        pooled = None
        if measure.statistic == "mean":
            pooled = pooled_objects(*(
                [
                    finite_of(m.tables[measure.of], measure.what)
                    for name, m in cells if name == row[side] and measure.of in m.tables
                ]
                for side in ("first", "second")
            ))
        found.append({**row, "pooled": pooled})
    return found
