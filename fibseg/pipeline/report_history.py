"""How the contents of a store came about: methods text and the list of runs."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fibseg
from fibseg.errors import DataError
from fibseg.export import ModelSpec, forest_digest, load_forest_spec
from fibseg.pipeline.report_distribution import distribution_of
from fibseg.pipeline.report_facts import measured_of, table_of
from fibseg.pipeline.report_scores import Recorded, models_of
from fibseg.report import RunRow
from fibseg.report.methods import (
    ClassifierFacts,
    ModelFacts,
    ObjectFacts,
    methods_text,
    plain_name,
)
from fibseg.report.methods_distribution import distribution_text
from fibseg.report.methods_measure import measurement_text
from fibseg.volume import Volume

PREDICT = ("infer", "classify")
"""Verbs that make probabilities."""


def text_for_methods(
    store: Volume, names: Sequence[str], evaluations: Sequence[Recorded],
    runs: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """Paragraphs for a paper."""
    specs = {model: spec for spec, model in models_of(runs)}
    objects = []
    for name in names:
        table = table_of(store, name)
        made = [r for r in runs if r["verb"] in (*PREDICT, "objects") and _product(r, name)]
        config = made[-1]["config"] if made else {}
        predicted = [r["verb"] for r in made if r["verb"] in PREDICT]
        model = next((m for r in reversed(made) if (m := r["config"].get("model"))), None)
        spec = specs.get(Path(model).name) if model else None
        facts: ModelFacts | ClassifierFacts | None = None
        if predicted[-1:] == ["classify"]:
            facts = _classifier_facts(made)
        elif model:
            facts = _model_facts(Path(model).name, spec)
        objects.append(ObjectFacts(
            name, n_objects=None if table is None else len(table["label"]), model=facts,
            postprocess=config.get("postprocess") or {},
        ))
    scores = [
        (plain_name(name).capitalize(), f"{r.data['truth']}, {r.data['where']}", found)
        for r in evaluations if not r.stale for name, found in r.data["scores"].items()
    ]
    measurements = [text for name in names if (text := _measurement(store, name, runs))]
    measurements += [
        text for name in names if (text := distribution_text(name, distribution_of(store, name)))
    ]
    return methods_text(
        shape=store.shape, dtype=str(store.dtype), version=fibseg.__version__, objects=objects,
        scores=scores, measurements=measurements, versions=_versions(runs), spacing=store.spacing,
    )


def _measurement(store: Volume, name: str, runs: Sequence[Mapping[str, Any]]) -> str:
    measured = measured_of(store, name)
    if "to" not in measured:  # fibseg measure was not there
        return ""
    table = store.table(name)
    made = [r for r in runs if r["verb"] == "measure" and f"tables/{name}" in _products(r)]
    return measurement_text(
        name, n_objects=len(table["label"]), n_cut=int(np.count_nonzero(table["touches_border"])),
        measured=measured, settings=made[-1]["config"] if made else None,
    )


def _versions(runs: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of what the last run that finished was computed with."""
    finished = [r for r in runs if r.get("status") == "done" and r.get("environment")]
    return {k: str(v) for k, v in finished[-1]["environment"].items()} if finished else {}


def _model_facts(name: str, spec: ModelSpec | None) -> ModelFacts:
    if spec is None:
        return ModelFacts(name)
    split = spec.training.get("split", {})
    train = split.get("train_planes", {})
    return ModelFacts(
        name, network=spec.network, n_planes=sum(len(z) for z in train.values()) or None,
        n_volumes=max(1, len(train)), n_steps=spec.training.get("n_steps"), spacing=spec.spacing,
    )


def _classifier_facts(made: Sequence[Mapping[str, Any]]) -> ClassifierFacts:
    """Facts of the last classifier that ran, as far as it still stands as it ran."""
    record = next(r for r in reversed(made) if r["verb"] == "classify")
    folder = Path(str(record["config"].get("model")))
    try:
        same = forest_digest(folder) == record["inputs"].get("model")
        spec = load_forest_spec(folder) if same else None
    except DataError:
        spec = None  # a report of what is there; classify is the one to complain
    if spec is None:
        return ClassifierFacts()
    lesson = spec.training.get("lesson", {})
    return ClassifierFacts(
        n_painted=sum(spec.training.get("learned_from", {}).values()) or None,
        n_trees=lesson.get("n_trees"), seed=lesson.get("seed"), precision_nm=spec.precision_nm,
        sigmas_nm=spec.sigmas_nm,
    )


def _product(record: Mapping[str, Any], name: str) -> bool:
    """Whether a run made these labels, or the probabilities that they come from."""
    made = {f"labels/{name}", f"probabilities/{name}"} & set(_products(record))
    return bool(made) or record["config"].get("name") == name


def _products(record: Mapping[str, Any]) -> Mapping[str, str]:
    return record.get("products") or {}


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
