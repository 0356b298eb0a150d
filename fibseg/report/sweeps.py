"""Figures of a search over settings: its history, what matters, every setting against the score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from fibseg.report.figures import GRID, INK, MUTED, STYLE, bare, say

DONE, BEST, EARLY = "#0072B2", "#D55E00", "#9aa5b1"
ACROSS = 3
"""Panels in a row."""


@dataclass(frozen=True)
class TrialPoint:
    """One trial.

    Parameters
    ----------
    number
        From 0; 0 has the settings as they were.
    state
        ``done``, ``ended early``, ``failed`` or ``running``.
    score
        0 to 1; of one that was ended early its last look; None if there is none.
    params
        Values by setting.
    best
        Whether it is the best of all.
    """

    number: int
    state: str
    score: float | None
    params: Mapping[str, Any] = field(default_factory=dict)
    best: bool = False


def history_figure(points: Sequence[TrialPoint]) -> Figure:
    """Score of every trial in order, the best so far, and where it began."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.2), layout="constrained")
        axes = figure.subplots()
        done = [p for p in points if p.state == "done" and p.score is not None]
        if done:
            at, scores = [p.number for p in done], [float(p.score or 0) for p in done]
            axes.step(
                at, np.maximum.accumulate(scores), where="post", color=DONE, linewidth=1.2,
                label="best so far",
            )
        for label, chosen, color, fill in (
            ("done", done, DONE, "full"),
            ("ended early", [p for p in points if p.state == "ended early"], EARLY, "none"),
            ("best", [p for p in done if p.best], BEST, "full"),
        ):
            shown = [(p.number, p.score) for p in chosen if p.score is not None]
            if shown:
                axes.plot(*zip(*shown, strict=True), "o", color=color, fillstyle=fill,
                          markersize=6, label=label)
        low = min((p.score for p in points if p.score is not None), default=0.0)
        failed = [p.number for p in points if p.state == "failed"]
        if failed:
            axes.plot(failed, [low] * len(failed), "x", color=INK, label="failed")
        first = next((p.score for p in done if p.number == 0), None)
        if first is not None:
            axes.axhline(first, color=MUTED, linewidth=1, linestyle="--", label="as it was")
        axes.set_xlabel("trial")
        axes.set_ylabel("validation IoU")
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        if done or failed:
            axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
        bare(axes)
    return figure


def importance_figure(importance: Mapping[str, float]) -> Figure:
    """A bar for each setting, the most important on top.

    Parameters
    ----------
    importance
        Share of each setting, 0 to 1.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 0.8 + 0.32 * max(1, len(importance))), layout="constrained")
        axes = figure.subplots()
        order = sorted(importance.items(), key=lambda item: item[1])
        axes.barh([k for k, _ in order], [v for _, v in order], color=DONE, height=0.6)
        axes.set_xlabel("importance")
        bare(axes, grid=False)
        axes.grid(axis="x", color=GRID, linewidth=0.8)
    return figure


def slices_figure(
    points: Sequence[TrialPoint], settings: Sequence[str], logarithmic: Sequence[str] = ()
) -> Figure:
    """A panel for each setting: its value against the score.

    Parameters
    ----------
    points
        All trials.
    settings
        In the order of the panels, at least one.
    logarithmic
        Those drawn on such a scale.
    """
    rows = math.ceil(len(settings) / ACROSS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.9 * ACROSS, 2.3 * rows), layout="constrained")
        panels = figure.subplots(rows, ACROSS, squeeze=False, sharey=True).ravel()
        for axes, key in zip(panels, settings, strict=False):
            _slice(axes, [p for p in points if key in p.params and p.score is not None], key)
            if key in logarithmic and axes.has_data():
                axes.set_xscale("log")
                # Numbers as they are typed: names on the axes may hold signs of formulas.
                axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
        for axes in panels[len(settings) :]:
            axes.set_axis_off()
        for row in range(rows):
            panels[row * ACROSS].set_ylabel("IoU")
    return figure


def _slice(axes: Axes, points: Sequence[TrialPoint], key: str) -> None:
    """One setting."""
    axes.set_title(key, fontsize=10, color=INK)
    if not points:
        say(axes, "no trial has a score")
        return
    values = [p.params[key] for p in points]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers:
        labels = [v if isinstance(v, str) else json.dumps(v).replace(" ", "") for v in values]
        names = sorted(set(labels))
        axes.set_xticks(range(len(names)), names, rotation=15, fontsize=8)
        values = [names.index(label) for label in labels]
    for value, p in zip(values, points, strict=True):
        color = BEST if p.best else DONE if p.state == "done" else EARLY
        axes.plot(
            value, p.score or 0.0, "s" if p.number == 0 else "o", color=color, markersize=5,
            fillstyle="full" if p.state == "done" else "none", zorder=3 if p.best else 2,
        )
    bare(axes)
