"""How small objects lie on an envelope: pair correlation, and two sections beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fibseg.pictures import column_colors
from fibseg.report.figures import ACCENT, INK, MUTED, STYLE, bare, css, number, p_value, say

Values = NDArray[np.float64]
_BINS = 18


def pairs_figure(found: Mapping[str, Any]) -> Figure:
    """Figure of the pair correlation and of Ripley's L less the radius, with bands of chance.

    Parameters
    ----------
    found
        ``curves`` and p-values, of `fibseg.measure.pair_correlation.PairCorrelation` as JSON
        holds them.
    """
    curves = {name: _values(column) for name, column in found["curves"].items()}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        middle = (curves["radius_from_um"] + curves["radius_to_um"]) / 2
        _curve(
            left, middle, curves["pair_correlation"], curves["pair_correlation_low"],
            curves["pair_correlation_high"], random=1.0,
        )
        left.set_ylabel("pair correlation")
        left.set_title(_chance(found["p_pair_correlation"]), fontsize=9.5, loc="left", color=INK)
        radius = curves["radius_to_um"]
        ends = (curves[f"ripley_l_{end}um"] - radius for end in ("", "low_", "high_"))
        _curve(right, radius, *ends, random=0.0)
        right.set_ylabel("Ripley's L less the radius (µm)")
        right.set_title(_chance(found["p_value"]), fontsize=9.5, loc="left", color=INK)
        for axes in (left, right):
            axes.set_xlabel("distance along the envelope (µm)")
    return figure


def sections_figure(
    columns: Mapping[str, tuple[str, Values]], section: Values,
    comparisons: Mapping[str, Mapping[str, Any]],
) -> Figure:
    """Figure of how columns are distributed in section 1 and 2, with what compares them.

    Parameters
    ----------
    columns
        Title with unit, and values of all objects, by the name of the column.
    section
        1, 2, or NaN.
    comparisons
        `fibseg.measure.section_comparison.Comparison` as JSON holds it, by column.
    """
    with mpl.rc_context(STYLE):
        n = max(len(columns), 1)
        figure = Figure(figsize=(4.2 * n, 3.4), layout="constrained")
        row = figure.subplots(1, n, squeeze=False)[0]
        if not columns:
            say(row[0], "no column to compare was measured")
        for axes, (name, (title, values)) in zip(row, columns.items(), strict=False):
            _distributions(axes, values, section)
            axes.set_xlabel(title)
            axes.set_ylabel("share of objects")
            axes.set_title(
                "\n".join(comparison_lines(comparisons.get(name))), fontsize=9.5, loc="left",
                color=INK,
            )
        handles, words = row[0].get_legend_handles_labels()
        if handles:
            figure.legend(
                handles, words, loc="outside lower center", ncols=2, frameon=False, fontsize=10
            )
    return figure


def comparison_lines(found: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What is stated of the difference between two sections, in words.

    >>> comparison_lines(None)
    ('not compared',)
    """
    if not found or found.get("blocks_p") is None:
        return ("not compared",)
    low, high = number(found["hedges_low"]), number(found["hedges_high"])
    return (
        f"g = {number(found['hedges_g'])} [{low}, {high}], {p_value(found['blocks_p'])} (blocks)",
        f"every object for itself (Welch): {p_value(found['welch_p'])}",
    )


def _curve(
    axes: Axes, at: Values, found: Values, low: Values, high: Values, *, random: float
) -> None:
    axes.fill_between(at, low, high, color=MUTED, alpha=0.25, linewidth=0)
    axes.axhline(random, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot(at, found, color=css(ACCENT), linewidth=1.6)
    axes.set_xlim(left=0)
    bare(axes)


def _distributions(axes: Axes, values: Values, section: Values) -> None:
    known = np.isfinite(values) & np.isfinite(section)
    if not known.any():
        say(axes, "no value is known")
        return
    low, high = np.quantile(values[known], [0.0, 1.0])
    bins = np.linspace(low, high if high > low else low + 1e-9, _BINS + 1)
    colors = column_colors(section_names(section[known])).classes
    for number_, name in ((1, "section 1"), (2, "section 2")):
        mine = values[known & (section == number_)]
        if not len(mine):
            continue
        color = css(colors[name])
        axes.hist(
            mine, bins=bins.tolist(), weights=np.full(len(mine), 1 / len(mine)), color=color,
            alpha=0.45, edgecolor="white", linewidth=0.5, label=f"{name} ({len(mine)})",
        )
        axes.axvline(float(mine.mean()), color=color, linewidth=1.6)
    bare(axes)


def section_names(section: Values) -> NDArray[np.str_]:
    """Section of every object in words, empty where it has none.

    >>> section_names(np.array([1.0, np.nan, 2.0])).tolist()
    ['section 1', '', 'section 2']
    """
    return np.array(["" if not np.isfinite(s) else f"section {int(s)}" for s in section], str)


def _chance(p: float | None) -> str:
    return "no test" if p is None else f"{p_value(p)} against random placement"


def _values(column: Any) -> Values:
    """Numbers as JSON holds them, None where one is missing."""
    return np.array([np.nan if v is None else v for v in column], float)
