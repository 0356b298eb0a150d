"""How the contents of a store came about: methods text and the list of runs."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fibseg
from fibseg.export import ModelSpec
from fibseg.pipeline.report_facts import table_of
from fibseg.pipeline.report_scores import Recorded, models_of
from fibseg.report import RunRow
from fibseg.report.methods import ModelFacts, ObjectFacts, methods_text, plain_name
from fibseg.volume import Volume


def text_for_methods(
    store: Volume, names: Sequence[str], evaluations: Sequence[Recorded],
    runs: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """Paragraphs for a paper."""
    specs = {model: spec for spec, model in models_of(runs)}
    objects = []
    for name in names:
        table = table_of(store, name)
        made = [r for r in runs if r["verb"] in ("infer", "objects") and _product(r, name)]
        config = made[-1]["config"] if made else {}
        model = next((m for r in reversed(made) if (m := r["config"].get("model"))), None)
        spec = specs.get(Path(model).name) if model else None
        objects.append(ObjectFacts(
            name, n_objects=None if table is None else len(table["label"]),
            model=_model_facts(Path(model).name, spec) if model else None,
            postprocess=config.get("postprocess") or {},
        ))
    scores = [
        (plain_name(name).capitalize(), f"{r.data['truth']}, {r.data['where']}", found)
        for r in evaluations if not r.stale for name, found in r.data["scores"].items()
    ]
    return methods_text(
        shape=store.shape, dtype=str(store.dtype), version=fibseg.__version__, objects=objects,
        scores=scores, spacing=store.spacing,
    )


def _model_facts(name: str, spec: ModelSpec | None) -> ModelFacts:
    if spec is None:
        return ModelFacts(name)
    split = spec.training.get("split", {})
    train = split.get("train_planes", {})
    return ModelFacts(
        name, network=spec.network, n_planes=sum(len(z) for z in train.values()) or None,
        n_volumes=max(1, len(train)), n_steps=spec.training.get("n_steps"), spacing=spec.spacing,
    )


def _product(record: Mapping[str, Any], name: str) -> bool:
    """Whether a run made these labels."""
    products = record.get("products") or {}
    return f"labels/{name}" in products or record["config"].get("name") == name


def run_rows(runs: Sequence[Mapping[str, Any]]) -> tuple[RunRow, ...]:
    """History of the store, newest first."""
    return tuple(_run_row(r) for r in reversed(runs))


def _run_row(record: Mapping[str, Any]) -> RunRow:
    words = " ".join(shlex.quote(str(o)) for o in record.get("overrides", []))
    environment = record.get("environment", {})
    settings = {k: v for k, v in record.get("config", {}).items() if v is not None}
    return RunRow(
        verb=str(record["verb"]),
        started=str(record["started"])[:19].replace("T", " ") + " UTC",
        duration=_duration(record.get("started"), record.get("finished")),
        status=str(record["status"]),
        command=f"fibseg {record['verb']} {words}".strip(),
        settings=json.dumps(settings, indent=2, ensure_ascii=False) if settings else "no settings",
        versions=", ".join(f"{k} {v}" for k, v in environment.items()),
    )


def _duration(started: str | None, finished: str | None) -> str:
    """Time between two ISO stamps, in words.

    >>> _duration("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:05+00:00")
    '1 min 5 s'
    """
    if not started or not finished:
        return ""
    ends = (datetime.datetime.fromisoformat(t) for t in (finished, started))
    seconds = round((next(ends) - next(ends)).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
