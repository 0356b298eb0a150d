"""The scores of several models side by side, or over the number of planes they learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fibseg.report.figures import INK, STYLE, bare

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def comparison_figure(compared: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """IoU with intervals of every model: over training planes where these differ, else by name.

    Parameters
    ----------
    compared
        Rows of each class, as `fibseg.metrics.Comparison.rows` gives them.
    """
    rows = next(iter(compared.values()))
    numbers = [row["n_planes"] for row in rows]
    curve = None not in numbers and len(set(numbers)) > 1
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.4), layout="constrained")
        axes = figure.subplots()
        for i, (name, of_class) in enumerate(compared.items()):
            at = np.array(numbers if curve else range(len(rows)), float)
            at = at if curve else at + 0.12 * (i - (len(compared) - 1) / 2)
            value, low, high = (
                np.array([np.nan if r["iou"][k] is None else r["iou"][k] for r in of_class])
                for k in ("value", "low", "high")
            )
            order = np.argsort(at)
            axes.errorbar(
                at[order], value[order], [(value - low)[order], (high - value)[order]], capsize=3,
                color=COLORS[i % len(COLORS)], marker="o", markersize=5, linewidth=1.2,
                linestyle="-" if curve else "none", label=name.replace("_", " "),
            )
        axes.set_ylabel("IoU on held-out planes", color=INK)
        axes.set_ylim(0, 1.02)
        if curve:
            axes.set_xlim(0, 1.05 * max(numbers))
            axes.set_xlabel("painted planes trained on")
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        else:
            axes.set_xticks(range(len(rows)), [row["model"] for row in rows], rotation=20)
        axes.legend(frameon=False, loc="lower right", fontsize=10)
        bare(axes)
    return figure
