"""The page of a sweep: history, importance, every setting against the score, the best one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import fibseg
from fibseg.pipeline.sweep_plan import SweepPlan
from fibseg.pipeline.sweep_space import typed
from fibseg.report import (
    Fact,
    Figure,
    Page,
    Section,
    TrialPoint,
    history_figure,
    importance_figure,
    slices_figure,
    svg_text,
    svg_uri,
)

if TYPE_CHECKING:
    from fibseg.pipeline.sweep_study import Tried

IMPORTANCE = (
    "Importance: how much a setting tells the best trials from the others (PED-ANOVA, Watanabe et "
    "al. 2023). Of few trials it is a hint, no finding."
)
LOOKED = (
    "A trial that was ended early is shown with its last look, which is taken on part of the "
    "held-out planes."
)


def sweep_page(
    plan: SweepPlan, tried: Sequence[Tried], best: Tried, default: Tried | None,
    importance: Mapping[str, float], summary: Mapping[str, Any],
) -> Page:
    """The page of a sweep that is finished.

    Parameters
    ----------
    tried, best, default
        All trials, the best, and the one with the settings as they were if it was done.
    importance
        Share of each setting.
    summary
        As `fibseg.pipeline.sweep_result.finish` makes it.
    """
    points = [_point(t, best) for t in tried]
    figures = [Figure("Trials", _uri(history_figure(points)), wide=True)]
    if importance:
        figures.append(Figure("Importance of settings", _uri(importance_figure(importance))))
    drawn = slices_figure(points, [d.key for d in plan.dimensions], [
        d.key for d in plan.dimensions if d.log
    ])
    figures.append(Figure("Every setting against the score", _uri(drawn), wide=True))
    return Page(
        name=plan.folder.absolute().name,
        subtitle=f"Settings of a training, searched: {summary['counts']}",
        facts=(
            Fact(", ".join(s.name for s in plan.stores), "volumes"),
            Fact(str(len(plan.dimensions)), "settings searched"),
            Fact(_planes(plan.held_out) or "parts", "validation", "chooses the settings"),
            Fact(_planes(plan.reserved) or ("a part" if plan.in_space else "none"), "test",
                 "seen by no trial"),
        ),
        headline=_headline(best, default),
        sections=(
            _best_section(plan, best, default, summary),
            Section("All trials", figures=tuple(figures), note=(
                f"{LOOKED} {IMPORTANCE}" if importance else LOOKED
            ), columns=("trial", "state", "IoU", *(d.key for d in plan.dimensions)),
                rows=tuple(_row(plan, t) for t in tried)),
        ),
        made_with=f"Made with fibseg {fibseg.__version__}",
    )


def _headline(best: Tried, default: Tried | None) -> tuple[Fact, ...]:
    """Validation scores."""
    facts = [Fact(f"{best.score:.3f}", "validation IoU", f"trial {best.number}, the best")]
    if default is not None:
        facts.append(Fact(f"{default.score:.3f}", "validation IoU", "settings as they were"))
    return tuple(facts)


def _best_section(
    plan: SweepPlan, best: Tried, default: Tried | None, summary: Mapping[str, Any]
) -> Section:
    """What was found, what it gains, and how to run it."""
    by_key = {d.key: d for d in plan.dimensions}
    rows = tuple(
        (key, typed(value), typed(by_key[key].default), by_key[key].text())
        for key, value in best.params.items()
    )
    return Section(
        "The best settings", note=" ".join(line.strip() for line in summary["test_lines"]),
        columns=("setting", "best", "as it was", "searched"), rows=rows,
        commands=(shlex.join(["fibseg", "train", *plan.trial_words(best.params)]),
                  *summary["next"]),
    )


def _point(trial: Tried, best: Tried) -> TrialPoint:
    """A trial as figures show it."""
    last = trial.looks[max(trial.looks)] if trial.looks else None
    return TrialPoint(
        trial.number, trial.state, trial.score if trial.score is not None else last, trial.params,
        best=trial.number == best.number,
    )


def _row(plan: SweepPlan, trial: Tried) -> tuple[str, ...]:
    """A trial in words."""
    score = "–" if trial.score is None else f"{trial.score:.3f}"
    values = (
        typed(trial.params[d.key]) if d.key in trial.params else "as it was"
        for d in plan.dimensions
    )
    return (str(trial.number), trial.state, score, *values)


def _planes(planes: Sequence[Sequence[int]]) -> str:
    """How many planes, in words; nothing of none."""
    n = sum(map(len, planes))
    return f"{n} plane{'s' * (n != 1)}" if n else ""


def _uri(figure: Any) -> str:
    """A figure as the page takes it."""
    return svg_uri(svg_text(figure))
