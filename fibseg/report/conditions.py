"""A figure of cells by condition: a dot for each, the mean of the cells and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fibseg.pictures import OKABE_ITO
from fibseg.report.figures import INK, STYLE, bare, css, p_value, say

PANELS_ACROSS = 3
_SPREAD = 0.22


def conditions_figure(
    values: Mapping[str, Mapping[str, Sequence[float]]],
    intervals: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *, chances: Mapping[str, float] | None = None,
) -> Figure:
    """Figure with a panel for each measure: the value of each cell, side by side by condition.

    Dots of one condition are spread by their rank, which shows equal ones, and not at random: the
    same cells give the same figure.

    Parameters
    ----------
    values
        By the title of the measure and the condition: one value per cell, NaN where it has none.
    intervals
        Mean, low and high end of its interval likewise; ends are NaN where there is none.
    chances
        p of each measure, where it is to be written; NaN leaves it out.
    """
    with mpl.rc_context(STYLE):
        n = max(len(values), 1)
        across = min(n, PANELS_ACROSS)
        down = -(-n // across)
        figure = Figure(figsize=(3.1 * across, 2.7 * down), layout="constrained")
        axes = list(figure.subplots(down, across, squeeze=False).flat)
        if not values:
            say(axes[0], "no measure is known of any cell")
        for place, (title, groups) in zip(axes, values.items(), strict=False):
            _draw(place, title, groups, intervals[title], (chances or {}).get(title, np.nan))
        for place in axes[len(values) or 1 :]:
            place.set_axis_off()
    return figure


def _draw(
    axes: Axes, title: str, groups: Mapping[str, Sequence[float]],
    intervals: Mapping[str, tuple[float, float, float]], chance: float,
) -> None:
    for number, (name, listed) in enumerate(groups.items()):
        color = css(OKABE_ITO[number % len(OKABE_ITO)])
        known = np.sort(np.asarray([v for v in listed if np.isfinite(v)], float))
        across = _SPREAD * np.linspace(-1, 1, len(known)) if len(known) > 1 else np.zeros(1)
        axes.plot(
            number + across[: len(known)], known, "o", color=color, markersize=6, alpha=0.85,
            markeredgecolor="white", markeredgewidth=0.6,
        )
        mean, low, high = intervals[name]
        if np.isfinite(mean):
            axes.plot([number - 0.3, number + 0.3], [mean, mean], color=INK, linewidth=1.6)
        if np.isfinite([low, high]).all():
            axes.plot([number, number], [low, high], color=INK, linewidth=1.0)
    axes.set_xticks(range(len(groups)), [f"{name}\n{_n(v)}" for name, v in groups.items()])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.margins(y=0.18)
    head, _, rest = title.partition(": ")
    axes.set_title(f"{head}\n{rest}" if rest else head, fontsize=9.5, loc="left", color=INK)
    if np.isfinite(chance):
        axes.text(
            0.99, 0.99, p_value(chance), transform=axes.transAxes, ha="right", va="top",
            fontsize=9, color=INK,
        )
    axes.tick_params(labelsize=9)
    bare(axes)


def _n(values: Sequence[float]) -> str:
    return f"n = {sum(bool(np.isfinite(v)) for v in values)}"
