"""How many objects have which value, alone or by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from fibseg.pictures import Color, column_colors
from fibseg.report.figures import ACCENT, INK, STYLE, bare, css, say, svg_text

MANY = 10.0
"""Axes that span more than this factor are logarithmic."""
NO_CLASS = "no class"


def volume_histogram(volume_um3: NDArray[np.floating], *, color: str, unit: str = "µm³") -> str:
    """SVG of how many objects have which volume, median marked.

    Parameters
    ----------
    volume_um3
        Of every object, positive.
    color
        Of the bars, as CSS writes it.
    """
    values = np.asarray(volume_um3, float)
    values = values[np.isfinite(values) & (values > 0)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.9), layout="constrained")
        axes = figure.subplots()
        if values.size:
            _bars(axes, {"": values}, [color])
        axes.set_xlabel(f"volume ({unit})")
        axes.set_ylabel("objects")
        bare(axes)
    return svg_text(figure)


def column_histogram(
    values: NDArray[np.generic], *, title: str, classes: NDArray[np.str_] | None = None,
    color: Color = ACCENT,
) -> Figure:
    """Figure of how many objects have which value, median marked, classes on top of each other.

    The axis is logarithmic where all values are positive and span more than a factor of `MANY`.
    What is missing (NaN) is counted in words.

    Parameters
    ----------
    values
        A column of numbers or truth values.
    title
        What it is, with its unit.
    classes
        Class of every object, in the colours of `fibseg.pictures.column_colors`.
    color
        Of all bars, where there are no classes.
    """
    numbers = np.asarray(values, float)
    known = np.isfinite(numbers)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.subplots()
        if not known.any():
            say(axes, f"{title}: no value is known")
            return figure
        groups, colors = _grouped(numbers[known], None if classes is None else classes[known])
        _bars(axes, groups, colors or [css(color)])
        axes.set_xlabel(title)
        axes.set_ylabel("objects")
        bare(axes)
        if colors:
            figure.legend(
                frameon=False, fontsize=9, loc="outside upper left", ncols=4, handlelength=1.2,
                columnspacing=1.2,
            )
        n_missing = int(np.count_nonzero(~known))
        if n_missing:
            axes.set_title(f"{n_missing:,} without a value", fontsize=9, loc="right", color=INK)
    return figure


def _grouped(
    values: NDArray[np.float64], classes: NDArray[np.str_] | None
) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Values by class and the colours of classes; all together and none where there are none."""
    if classes is None:
        return {"": values}, []
    colored = column_colors(np.asarray(classes))
    groups = {name: values[np.asarray(classes) == name] for name in colored.classes}
    colors = [css(c) for c in colored.classes.values()]
    if colored.n_missing:
        rest = ~np.isin(classes, list(colored.classes))
        groups[NO_CLASS] = values[rest]
        colors.append(css((150, 150, 150)))
    return groups, colors


def _bars(
    axes: Axes, groups: Mapping[str, NDArray[np.float64]], colors: Sequence[str]
) -> None:
    values = np.concatenate(list(groups.values()))
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high > MANY * low
    n_bins = int(np.clip(np.ceil(2 * np.cbrt(values.size)), 6, 40))
    if logarithmic:
        bins = np.geomspace(low * 0.98, high * 1.02, n_bins + 1)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
        if high > 100 * low:
            axes.xaxis.set_minor_formatter(NullFormatter())
        else:
            axes.xaxis.set_minor_formatter(FuncFormatter(_two_and_five))
    else:
        pad = max((high - low) * 0.02, abs(high) * 0.05, 1e-12)
        first = max(0.0, low - pad) if low >= 0 else low - pad
        bins = np.linspace(first, high + pad, n_bins + 1)
    axes.hist(
        list(groups.values()), bins=bins.tolist(), color=list(colors), edgecolor="white",
        linewidth=0.7, stacked=True, label=[f"{k} ({len(v)})" for k, v in groups.items()],
    )
    axes.set_ylim(top=axes.get_ylim()[1] * 1.14)  # room for the word at the median
    median = float(np.median(values))
    axes.axvline(median, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        f"median {median:.3g}", (median, 1.0), xycoords=("data", "axes fraction"),
        xytext=(5, -2), textcoords="offset points", va="top", fontsize=10,
    )
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _two_and_five(value: float, _: int | None = None) -> str:
    """Label of a minor tick, where it is 2 or 5 times a power of ten.

    >>> _two_and_five(0.05), _two_and_five(0.06)
    ('0.05', '')
    """
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""
