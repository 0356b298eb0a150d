"""Two drawings on a model's probabilities: do they mean what they say, and where to cut them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fibseg.report.figures import GRID, INK, MUTED, STYLE, bare

CURVES = {"iou": ("IoU", "#0072B2"), "precision": ("precision", "#D55E00"),
          "recall": ("recall", "#009E73")}


def threshold_figure(name: str, scores: Mapping[str, Any]) -> Figure:
    """Reliability diagram, and scores over the threshold.

    Parameters
    ----------
    name
        Of the class.
    scores
        As `fibseg.metrics.ThresholdScores.as_dict` gives them.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw_reliability(left, scores["reliability"], scores["calibration_error"])
        _draw_curve(right, scores)
        title = f"{name.replace('_', ' ')}, {scores['extent']}"
        figure.suptitle(title, color=INK, fontsize=11)
    return figure


def _draw_reliability(
    axes: Axes, diagram: Mapping[str, Sequence[float | None]], off: float | None
) -> None:
    """Share of true voxels over probability; bars tell how many voxels there are."""
    predicted, observed = (
        np.array([np.nan if v is None else v for v in diagram[key]], float)
        for key in ("predicted", "observed")
    )
    n = np.array(diagram["n_voxels"], float)
    edges = np.linspace(0, 1, len(n) + 1)
    # Nearly all voxels are sure: on a linear scale the bars between would not be seen.
    share = np.log10(n + 1) / max(float(np.log10(n + 1).max()), 1.0)
    axes.bar(
        edges[:-1], 0.3 * share, width=np.diff(edges), align="edge", color=GRID, edgecolor="white"
    )
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
    axes.plot(predicted, observed, "o-", color="#0072B2", markersize=4.5, linewidth=1.3)
    if off is not None:
        axes.text(0.03, 0.95, f"off by {off:.3f} on average", color=MUTED, fontsize=9.5, va="top")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability", ylabel="share truly inside")
    bare(axes)


def _draw_curve(axes: Axes, scores: Mapping[str, Any]) -> None:
    """IoU, precision and recall over the threshold; one half, and the best of all planes."""
    curve = scores["curve"]
    for key, (label, color) in CURVES.items():
        values = [np.nan if v is None else v for v in curve[key]]
        axes.plot(curve["threshold"], values, color=color, linewidth=1.5, label=label)
    half = scores["at_half"]["iou"]
    if half["low"] is not None:
        axes.errorbar(
            0.5, half["value"], [[half["value"] - half["low"]], [half["high"] - half["value"]]],
            color=CURVES["iou"][1], marker="o", markersize=4.5, capsize=3, linewidth=1.2,
        )
    axes.axvline(scores["best_threshold"], color=MUTED, linewidth=1, linestyle=":")
    at_right = scores["best_threshold"] > 0.7
    axes.text(
        scores["best_threshold"], 0.16, f" best {scores['best_threshold']:.2f} ", color=MUTED,
        fontsize=9.5, ha="right" if at_right else "left",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="threshold")
    axes.legend(frameon=False, fontsize=9.5, loc="lower center", ncols=3)
    bare(axes)
