"""What comes of a sweep: the best settings as an experiment, their gain on the test, a page."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fibseg.errors import DataError
from fibseg.metrics import Comparison, default_tolerance_nm
from fibseg.pipeline.compare_models import compare_models, models_to_compare
from fibseg.pipeline.sweep_folder import TRIALS, trial_lock
from fibseg.pipeline.sweep_page import sweep_page
from fibseg.pipeline.sweep_plan import GROUPS, SweepPlan, base_settings
from fibseg.pipeline.sweep_space import typed
from fibseg.pipeline.sweep_trial import MODEL
from fibseg.report import render
from fibseg.volume import Volume, locked
from fibseg.volume.files import write_bytes, write_json
from fibseg.volume.lock import lock_path, read_holder

if TYPE_CHECKING:
    from fibseg.pipeline.sweep_study import Study, Tried

logger = logging.getLogger("fibseg.sweep")
RESULT, PAGE, BEST = "sweep.json", "report.html", "best"
WAIT_S = 600.0
"""Another process may be at the test of the same two models."""


class SweepSummary(dict[str, Any]):
    """What came of a sweep, plain data; `text` is what the command prints."""

    def text(self) -> str:
        """Counts, the best settings, their gain, and what to type next."""
        lines = [self["counts"]]
        lines += [f"trial {t['number']} failed: {t['reason']}" for t in self["failed"]]
        if "best" not in self:
            return "\n".join([*lines, self["note"]])
        best = self["best"]
        lines += ["", f"best: trial {best['number']}, validation IoU {best['score']:.3f}"
                  + ("" if self["default_score"] is None else
                     f" (as it was: {self['default_score']:.3f})")]
        lines += [f"  {key}={typed(value)}" for key, value in best["params"].items()]
        lines += ["", *self["test_lines"], "", f"model: {best['model']}"]
        lines += [f"experiment: {self['experiment']}", f"report: {self['report']}", "", "next:"]
        return "\n".join([*lines, *self["next"]])


def finish(plan: SweepPlan, study: Study) -> SweepSummary:
    """The summary; writes result, experiment and page once no trial is at work any more.

    Raises
    ------
    DataError
        If no trial came to its end.
    """
    tried = study.tried()
    summary = SweepSummary(
        counts=counted(tried),
        failed=[{"number": t.number, "reason": t.reason} for t in tried if t.state == "failed"],
    )
    if any(t.state == "running" for t in tried):
        return SweepSummary(summary | {"note": "\n".join(_at_work(plan, tried))})
    done = [t for t in tried if t.state == "done"]
    if not done:
        raise DataError(
            f"None of {len(tried)} trials came to its end. The first said: "
            f"{next((t.reason for t in tried if t.reason), 'nothing')}"
        )
    best = max(done, key=lambda t: (t.score or 0.0, -t.number))
    with locked(plan.folder / "result", wait_s=WAIT_S):
        return _written(plan, study, tried, best, summary)


def _at_work(plan: SweepPlan, tried: Sequence[Tried]) -> list[str]:
    """Who is still at work, and what to do if that is not true."""
    lines = ["Others are still at work; the last one to end writes the report."]
    for trial in (t for t in tried if t.state == "running"):
        path = lock_path(plan.folder / trial_lock(trial.number))
        lines.append(
            f"  trial {trial.number}: {read_holder(path) or 'between two processes'}; if that is "
            f"dead on another machine, remove {path} and type the same command again"
        )
    return lines


def _written(
    plan: SweepPlan, study: Study, tried: Sequence[Tried], best: Tried, summary: SweepSummary
) -> SweepSummary:
    """The whole summary; the same trials are tested once."""
    default = next((t for t in tried if t.number == 0 and t.state == "done"), None)
    found: dict[str, Any] = {
        "trials": [vars(t) | {"looks": {str(k): v for k, v in t.looks.items()}} for t in tried],
        "space": {d.key: d.text() for d in plan.dimensions},
        "importance": study.importance(),
    }
    path = plan.folder / RESULT
    before = _before(path)
    if before is not None and before["trials"] == json.loads(json.dumps(found["trials"])):
        test = before["test"]
    else:
        test = _test(plan, default, best)
    experiment = _write_experiment(plan, best, default, test)
    model = _model(plan, best)
    summary.update(
        best={"number": best.number, "score": best.score, "params": best.params,
              "model": str(model)},
        default_score=None if default is None else default.score,
        test_lines=test_lines(test), experiment=str(experiment), report=str(plan.folder / PAGE),
        next=_next_commands(plan, experiment, model),
    )
    write_json(path, json.loads(json.dumps(found | {"test": test, "summary": dict(summary)})))
    page = sweep_page(plan, tried, best, default, found["importance"], summary)
    write_bytes(plan.folder / PAGE, render(page).encode())
    return summary


def _before(path: Path) -> dict[str, Any] | None:
    """The result of an earlier run, None if there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found if {"trials", "test"} <= set(found) else None
    except (OSError, ValueError, TypeError):
        return None


def _model(plan: SweepPlan, trial: Tried) -> Path:
    """Model folder of a trial."""
    return plan.folder / TRIALS / f"{trial.number:03d}" / MODEL


def _test(plan: SweepPlan, default: Tried | None, best: Tried) -> dict[str, Any] | None:
    """Scores of the first and the best model on what no trial saw; None if there is nothing."""
    if not plan.tested:
        return None
    chosen = [t for t in (default, best) if t is not None]
    models = list(dict.fromkeys(str(_model(plan, t)) for t in chosen))
    stores = [Volume.open(path) for path in plan.tested]
    tested = models_to_compare(stores, models, None, None, runner=None)
    compared: Comparison = compare_models(
        tested, models, backend="auto",
        tolerances_nm=[default_tolerance_nm(s.spacing) for s in stores],
    )[-1]
    scores = [m.evaluation.thresholds for m in compared.models]
    return {
        "where": compared.models[0].evaluation.where,
        "extent": next(iter(scores[0].values())).extent,
        "unit": next(iter(scores[0].values())).unit,
        "default_known": default is not None,
        "classes": {
            name: {
                "iou": [s[name].at_half["iou"].text() for s in scores],
                "gain": None if len(models) < 2 else scores[1][name].gain(scores[0][name]).text(),
            } for name in scores[0]
        },
    }


def test_lines(test: Mapping[str, Any] | None) -> list[str]:
    """What the test says, in words."""
    if test is None:
        return [
            "No planes were kept for the test: the validation IoU of the best of many trials is "
            "too good, and what it gains is not known."
        ]
    lines = [f"test on {test['extent']} that no trial saw ({test['where']}), "
             f"95 % intervals from drawing {test['unit']}:"]
    for name, row in test["classes"].items():
        if row["gain"] is not None:
            lines.append(
                f"  {name}: IoU {row['iou'][1]}, as it was {row['iou'][0]}, gain {row['gain']}"
            )
        elif test["default_known"]:
            lines.append(f"  {name}: IoU {row['iou'][0]}; no trial was better than the first, "
                         "which has the settings as they were")
        else:
            lines.append(f"  {name}: IoU {row['iou'][0]}; the first trial, with the settings as "
                         "they were, failed, so that the gain is not known")
    return lines


def counted(tried: Sequence[Tried]) -> str:
    """How many trials there are of each state, in words."""
    states = ("done", "ended early", "failed", "running")
    numbers = {s: sum(t.state == s for t in tried) for s in states}
    return f"{len(tried)} trials: " + ", ".join(f"{n} {s}" for s, n in numbers.items() if n)


def _write_experiment(
    plan: SweepPlan, best: Tried, default: Tried | None, test: Mapping[str, Any] | None
) -> Path:
    """Path of the experiment file with the best settings: a diff, as any experiment."""
    path = plan.folder / BEST / "experiment" / f"{plan.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    first = "" if default is None else f", as it was {default.score:.3f}"
    words = ["volume=cell.ome.zarr", f"annotation={_annotation(plan)}", f"out=models/{plan.name}"]
    head = [
        "# @package _global_",
        f"# fibseg train experiment={plan.name} {shlex.join(words)}",
        "",
        f"# Found by fibseg sweep: trial {best.number}, validation IoU {best.score:.3f}{first}.",
        *(f"# {line.strip()}" for line in test_lines(test)),
        "# Lies in the folder conf/experiment beside which the command is typed.",
    ]
    body = yaml.safe_dump(
        experiment_settings(plan, best.params), sort_keys=False, allow_unicode=True
    )
    write_bytes(path, ("\n".join(head) + "\n" + body).encode())
    return path


def experiment_settings(plan: SweepPlan, params: Mapping[str, Any]) -> dict[str, Any]:
    """Contents of the experiment: what was typed for all trials, and what was found."""
    defaults: list[Any] = [
        w.partition("=")[2] for w in plan.words if w.startswith("experiment=")
    ]
    defaults += [
        {f"override /{group}": w.partition("=")[2]}
        for group in GROUPS for w in plan.words if w.startswith(f"{group}=")
    ]
    found: dict[str, Any] = {"defaults": [*defaults, "_self_"]} if defaults else {}
    for key, value in (base_settings(plan) | dict(params)).items():
        *path, last = key.split(".")
        node = found
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    return found


def _annotation(plan: SweepPlan) -> str:
    """Annotation as it was typed, of one store."""
    word = next((w for w in plan.words if w.startswith("annotation=")), "annotation=mitochondria")
    value = word.partition("=")[2]
    return "mitochondria" if value.startswith("[") else value


def _next_commands(plan: SweepPlan, experiment: Path, model: Path) -> list[str]:
    """Take the settings over, or use the model."""
    stored = shlex.quote(str(plan.stores[0].path))
    return [
        f"mkdir -p conf/experiment && cp {shlex.quote(str(experiment))} conf/experiment/",
        f"fibseg train experiment={plan.name} volume={stored} annotation={_annotation(plan)} "
        f"out=models/{plan.name}",
        f"fibseg infer model={shlex.quote(str(model))} volume={stored} name={_annotation(plan)}",
    ]
