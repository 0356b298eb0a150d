"""Drawings of the report, as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

INK = "#1f2933"
MUTED = "#7b8794"
FONTS = "Inter, system-ui, &quot;Segoe UI&quot;, Roboto, Arial"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "fibseg",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
}
MANY = 10.0
"""Axes that span more than this factor are logarithmic."""


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
            _bars(axes, values, color)
        axes.set_xlabel(f"volume ({unit})")
        axes.set_ylabel("objects")
        _bare(axes)
        return _svg(figure)


def _bars(axes: Axes, values: NDArray[np.float64], color: str) -> None:
    low, high = float(values.min()), float(values.max())
    logarithmic = high > MANY * low
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
        pad = max((high - low) * 0.02, high * 0.05)
        bins = np.linspace(max(0, low - pad), high + pad, n_bins + 1)
    axes.hist(values, bins=bins.tolist(), color=color, edgecolor="white", linewidth=0.7)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.14)  # room for the word at the median
    median = float(np.median(values))
    axes.axvline(median, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        f"median {median:.3g}", (median, 1.0), xycoords=("data", "axes fraction"),
        xytext=(5, -2), textcoords="offset points", va="top", fontsize=10,
    )
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def plane_scores(z: Sequence[int], scores: Mapping[str, Sequence[float | None]]) -> str:
    """SVG of scores of single planes over the depth of the volume; gaps where undefined.

    Parameters
    ----------
    z
        Plane numbers.
    scores
        Name to one value per plane, 0–1.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.6), layout="constrained")
        axes = figure.subplots()
        for (name, values), color in zip(
            scores.items(), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=False
        ):
            numbers = [np.nan if v is None else v for v in values]
            axes.plot(z, numbers, "o-", color=color, markersize=4.5, linewidth=1.3, label=name)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("plane z")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.legend(frameon=False, ncols=4, loc="lower left", fontsize=10)
        _bare(axes)
        return _svg(figure)


def _two_and_five(value: float, _: int | None = None) -> str:
    """Label of a minor tick, where it is 2 or 5 times a power of ten.

    >>> _two_and_five(0.05), _two_and_five(0.06)
    ('0.05', '')
    """
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _bare(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(which="both", length=3, pad=4)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=metadata, transparent=True)
    text = buffer.getvalue()
    # Measured with a font that comes with matplotlib, drawn with one that the reader has.
    return text[text.index("<svg") :].replace("'DejaVu Sans'", FONTS)
