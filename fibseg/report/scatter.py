"""Surface to volume against distances: points, fits, coefficients, and what geometry alone gives.

Numbers come from the metadata of the table, as `fibseg measure` wrote them; what is missing there
is said to be missing, and never worked out anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from fibseg.pictures import MISSING, column_colors
from fibseg.report.figures import (
    ACCENT,
    INK,
    MUTED,
    STYLE,
    bare,
    css,
    number,
    p_value,
    say,
)
from fibseg.types import Table

Values = NDArray[np.float64]

MIN_POINTS = 4
"""Through fewer points no line is drawn."""
_BAND = 0.95
_MARKERS = ("o", "s", "^", "D", "v")
_BINS = 24


@dataclass(frozen=True)
class Relation:
    """One column with another, and what is stated of both.

    Parameters
    ----------
    x, y
        Values of all objects; NaN where one is missing.
    x_title, y_title
        What they are, with units.
    stated
        Row of `fibseg.measure.statistics.correlations`, or None.
    null
        Row of `fibseg.measure.null.SpatialNull`, or None.
    simulated
        Pearson's coefficient in every simulation of the null.
    """

    x: Values
    y: Values
    x_title: str
    y_title: str
    stated: Mapping[str, Any] | None = None
    null: Mapping[str, Any] | None = None
    simulated: Values = field(default_factory=lambda: np.zeros(0))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which objects have both values."""
        return np.isfinite(self.x) & np.isfinite(self.y)


def relations(
    table: Table, measured: Mapping[str, Any], *, column: str = "surface_to_volume_per_um",
    titles: Mapping[str, str],
) -> list[Relation]:
    """One column of a table with others, in the order of `titles`.

    Parameters
    ----------
    table, measured
        Columns and metadata (``measured``) of the table: ``correlations`` and ``null`` may be
        missing or None. Objects in ``correlated_without`` are no points: nothing is stated of them.
    titles
        Words and unit for `column` and, for each of the others, the column to draw it against;
        those that the table does not have are left out.
    """
    if column not in table:
        return []
    null = measured.get("null") or {}
    values = np.asarray(table[column], float)
    without = measured.get("correlated_without") or []
    if without:
        values = np.where(np.isin(table["label"], without), np.nan, values)
    found = []
    for name, title in titles.items():
        if name == column or name not in table:
            continue
        simulated = ((null.get("simulated") or {}).get(name) or {}).get("pearson_r") or []
        found.append(Relation(
            x=np.asarray(table[name], float), y=values, x_title=title,
            y_title=titles.get(column, column),
            stated=_row(measured.get("correlations"), name, column=column),
            null=_row(null.get("table"), name),
            simulated=np.array([np.nan if v is None else v for v in simulated], float),
        ))  # fmt: skip
    return found


def scatter_figure(
    found: Sequence[Relation], *, classes: NDArray[np.str_] | None = None, with_null: bool = True
) -> Figure:
    """Figure with a scatter plot for each relation, and below it the null.

    Each has the least-squares line with the 95 % band of its mean (Draper and Smith: *Applied
    Regression Analysis*, 1998, section 1.4), Pearson's and Spearman's coefficients with intervals
    and p-values, and the coefficients that objects at random places give, the measured one marked.

    Parameters
    ----------
    found
        From `relations`.
    classes
        Class of every object, for colours and markers.
    with_null
        Whether the null has a place below; without, there is none to be had for these columns.
    """
    with mpl.rc_context(STYLE):
        n = max(len(found), 1)
        figure = Figure(figsize=(4.1 * n + 0.3, 5.2 if with_null else 4.1), layout="constrained")
        ratios = (4.2, 1) if with_null else (4.2, 0.02)
        axes = figure.subplots(2, n, squeeze=False, height_ratios=ratios)
        if not found:
            say(axes[0][0], "no column to compare was measured")
            axes[1][0].set_axis_off()
        for (above, below), relation in zip(axes.T, found, strict=False):
            _draw_points(above, relation, classes)
            if with_null:
                _draw_null(below, relation)
            else:
                below.set_axis_off()
        handles, words = axes[0][0].get_legend_handles_labels()
        if handles:
            figure.legend(
                handles, words, loc="outside lower center", ncols=len(words), frameon=False,
                fontsize=10, markerscale=1.8,
            )
    return figure


def fitted_line(x: Values, y: Values, at: Values) -> tuple[Values, Values]:
    """Least-squares line at places `at`, and half the width of the 95 % band of its mean.

    >>> line, half = fitted_line(np.arange(4.0), 2 * np.arange(4.0), np.array([5.0]))
    >>> round(float(line[0]), 6), round(float(half[0]), 6)
    (10.0, 0.0)
    """
    fit = stats.linregress(x, y)
    line = fit.intercept + fit.slope * at
    around = y - fit.intercept - fit.slope * x
    spread = np.sqrt((around**2).sum() / (x.size - 2))
    away = (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    half = stats.t.ppf((1 + _BAND) / 2, x.size - 2) * spread * np.sqrt(1 / x.size + away)
    return np.asarray(line, float), np.asarray(half, float)


def coefficient_lines(relation: Relation) -> tuple[str, ...]:
    """What is stated of the correlation, in words."""
    row, n = relation.stated, int(relation.known.sum())
    if row is None:
        return (f"correlation not measured (n = {n:,})",)
    counted = row.get("n_objects")
    if counted is not None and int(counted) != n:
        return (f"the correlation is that of {int(counted):,} objects, not of these {n:,}",)
    if _missing(row, "pearson_r"):
        return (f"no correlation can be stated (n = {n:,})",)
    r = _stated("r", row, "pearson", "r")
    return (r, f"{_stated('ρ', row, 'spearman', 'rho')}, n = {n:,}")


def null_line(relation: Relation) -> str:
    """What the spatial null says, in words."""
    row = relation.null
    if row is None:
        return "spatial null not measured"
    stated = [
        f"{sign}: {p_value(float(row[f'{kind}_null_p']))}"
        for sign, kind, value in (("r", "pearson", "r"), ("ρ", "spearman", "rho"))
        if not _missing(row, f"{kind}_null_p", f"{kind}_{value}")
    ]
    return f"{', '.join(stated)} (spatial null)" if stated else "no spatial null can be stated"


def _draw_points(axes: Axes, relation: Relation, classes: NDArray[np.str_] | None) -> None:
    known = relation.known
    x, y = relation.x[known], relation.y[known]
    axes.set_title(
        "\n".join(coefficient_lines(relation)), fontsize=9.5, loc="left", color=INK
    )
    if not x.size:
        say(axes, "no object has both values")
        return
    small = float(np.clip(900 / x.size, 8, 34))
    looks: dict[str, Any] = {"s": small, "linewidths": 0.4, "edgecolors": "white", "alpha": 0.9}
    if classes is None:
        axes.scatter(x, y, color=css(ACCENT), **looks)
    else:
        colored = column_colors(np.asarray(classes))
        rest = ~np.isin(classes, list(colored.classes))[known]
        axes.scatter(x[rest], y[rest], color=css(MISSING), **looks)
        for (name, color), marker in zip(colored.classes.items(), _MARKERS * 9, strict=False):
            mine = np.asarray(classes)[known] == name
            axes.scatter(x[mine], y[mine], color=css(color), marker=marker, label=name, **looks)
    if x.size >= MIN_POINTS and np.ptp(x) > 0 and np.ptp(y) > 0:
        at = np.linspace(x.min(), x.max(), 60)
        line, half = fitted_line(x, y, at)
        axes.fill_between(at, line - half, line + half, color=INK, alpha=0.13, linewidth=0)
        axes.plot(at, line, color=INK, linewidth=1.4)
    axes.set_xlabel(relation.x_title)
    axes.set_ylabel(relation.y_title)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    bare(axes)


def _draw_null(axes: Axes, relation: Relation) -> None:
    row, simulated = relation.null, relation.simulated[np.isfinite(relation.simulated)]
    if row is None or _missing(row, "pearson_r") or not simulated.size:
        say(axes, null_line(relation))
        return
    measured = float(row["pearson_r"])
    ends = np.concatenate([simulated, [measured]])
    pad = max(float(np.ptp(ends)), 0.02) * 0.06
    bins = np.linspace(simulated.min() - 1e-9, simulated.max() + 1e-9, _BINS + 1)
    axes.hist(simulated, bins=bins.tolist(), color=MUTED, alpha=0.55)
    if not _missing(row, "pearson_null_low", "pearson_null_high"):
        low, high = float(row["pearson_null_low"]), float(row["pearson_null_high"])
        axes.axvspan(low, high, color=MUTED, alpha=0.18, linewidth=0)
    axes.axvline(measured, color="#D55E00", linewidth=2)
    axes.set_xlim(ends.min() - pad, ends.max() + pad)
    axes.set_title(null_line(relation), fontsize=9.5, loc="left", color=INK)
    axes.set_xlabel("r of objects at random places; measured one marked", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda v, _: number(v))
    axes.tick_params(axis="x", labelsize=9)
    axes.set_yticks([])
    bare(axes, grid=False)
    axes.spines["left"].set_visible(False)


def _stated(sign: str, row: Mapping[str, Any], kind: str, value: str) -> str:
    """A coefficient with interval and p-value, as far as they are known."""
    if _missing(row, f"{kind}_{value}"):
        return f"{sign} not stated"
    text = f"{sign} = {number(row[f'{kind}_{value}'])}"
    if not _missing(row, f"{kind}_low", f"{kind}_high"):
        text += f" [{number(row[f'{kind}_low'])}, {number(row[f'{kind}_high'])}]"
    if not _missing(row, f"{kind}_p"):
        text += f", {p_value(float(row[f'{kind}_p']))}"
    return text


def _row(
    columns: Mapping[str, Sequence[Any]] | None, name: str, *, column: str | None = None
) -> dict[str, Any] | None:
    """The row about one column, of a table that JSON holds; None where there is none."""
    if not columns or name not in columns.get("with_column", ()):
        return None
    at = list(columns["with_column"]).index(name)
    row = {key: values[at] for key, values in columns.items()}
    if column is not None and row.get("column", column) != column:
        return None
    return row


def _missing(row: Mapping[str, Any], *names: str) -> bool:
    values = [row.get(name) for name in names]
    return any(v is None or not math.isfinite(v) for v in values)
