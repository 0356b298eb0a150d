"""What the report says of a store: facts, objects, scores, methods, runs."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fibseg
from fibseg.errors import DataError
from fibseg.export import ModelSpec, load_spec, weights_digest
from fibseg.metrics import SCORE_NAMES, score_text
from fibseg.pictures import Color
from fibseg.report import (
    Fact,
    ObjectSection,
    RunRow,
    ScoreTable,
    View,
    plane_scores,
    svg_uri,
    volume_histogram,
)
from fibseg.report.methods import ModelFacts, ObjectFacts, methods_text, plain_name, spacing_text
from fibseg.types import Table
from fibseg.volume import Volume

GAUGED = (
    "iou", "dice", "precision", "recall", "boundary_f1", "object_f1_50", "object_f1_75",
    "panoptic_quality",
)
OTHERS = ("voi_split", "voi_merge", "volume_error", "n_objects", "n_true_objects", "n_scored")
BARS = "#5b8db8"
N_HEADLINES = 8
FEW = 3
"""Kinds of up to this many objects have one colour and no histogram."""


@dataclass(frozen=True)
class Recorded:
    """An evaluation from the runs of a store; `stale` if the labels have changed since."""

    data: dict[str, Any]
    stale: bool = False


def shown_labels(store: Volume, labels: Sequence[str] | None) -> list[str]:
    """Label images for the page: those asked for, or all objects that are not truth.

    Raises
    ------
    DataError
        If one is not there.
    """
    there = store.label_names(kind="labels")
    if labels is None:
        truths = {r.data["truth"] for r in latest_evaluations(store, store.runs())}
        return [
            n for n in there if f"labels/{n}" not in truths and not n.startswith("truth_")
        ]
    missing = [n for n in labels if n not in there]
    if missing:
        raise DataError(f"labels={list(labels)}: {store.path} has {there or 'none'}.")
    return list(labels)


def latest_evaluations(store: Volume, runs: Sequence[Mapping[str, Any]]) -> list[Recorded]:
    """Newest evaluation of every pair of prediction and truth, oldest pair first."""
    found: dict[tuple[str, str, str], Recorded] = {}
    for record in runs:
        data = record.get("metrics") or {}
        if record["verb"] != "evaluate" or record["status"] != "done" or "scores" not in data:
            continue
        key = (data["prediction"], data["truth"], data["where"])
        found.pop(key, None)
        found[key] = Recorded(data, _stale(store, record))
    return list(found.values())


def _stale(store: Volume, record: Mapping[str, Any]) -> bool:
    """Whether a label image that was compared is another one now."""
    names = store.label_names()
    for key, digest in record.get("inputs", {}).items():
        kind, _, name = key.partition("/")
        if kind == "labels" and (name not in names or store.labels_info(name).digest != digest):
            return True
    return False


def volume_facts(store: Volume) -> tuple[Fact, ...]:
    """Size, spacing, type and stain of the raw."""
    size = [n * s / 1000 for n, s in zip(store.shape, store.spacing, strict=True)]
    voxels = int(np.prod(store.shape, dtype=np.int64))
    return (
        Fact(" × ".join(f"{n:,}" for n in store.shape), "voxels (z × y × x)",
             _with_prefix(voxels) + "voxels"),
        Fact(" × ".join(f"{v:.3g}" for v in size) + " µm", "size (z × y × x)",
             f"{np.prod(size):,.4g} µm³"),
        Fact(spacing_text(store.spacing), "voxel"),
        Fact(str(store.dtype), "intensities",
             f"{store.percentiles['p0.5']:g} to {store.percentiles['p99.5']:g} for 99 %"),
        Fact(store.polarity, "stain in the raw"),
    )


def headline(
    store: Volume, names: Sequence[str], evaluations: Sequence[Recorded]
) -> tuple[Fact, ...]:
    """The few numbers that are read first."""
    facts = []
    for name in names:
        table = _table(store, name)
        if table is not None:
            total = float(np.nansum(table["volume_um3"]))
            facts.append(Fact(
                f"{len(table['label']):,}", plain_name(name),
                f"{total:.3g} µm³ in all, {_share(store, total)} of the volume",
            ))
    for record in evaluations:
        if not record.stale:
            for name, scores in record.data["scores"].items():
                if scores.get("iou") is not None:
                    facts.append(Fact(
                        f"{scores['iou']:.3f}", f"IoU, {plain_name(name)}",
                        _against(record.data),
                    ))
    for spec, model in _untested(store, evaluations):
        facts += [
            Fact(f"{scores['iou']:.3f}", f"IoU, {plain_name(name)}", f"{model}, held-out")
            for name, scores in (spec.metrics.get("classes") or {}).items()
            if scores.get("iou") is not None
        ]
    return tuple(facts[:N_HEADLINES])


def object_section(
    store: Volume, name: str, color: Color | None, n_largest: int
) -> ObjectSection:
    """Facts, histogram and largest objects of one label image."""
    table = _table(store, name)
    if table is None:
        return ObjectSection(
            plain_name(name), color, (), note="Not measured: labels/" + name + " has no table."
        )
    volumes = table["volume_um3"].astype(float)
    notes = []
    if store.table_info(name).get("labels_digest") != store.labels_info(name).digest:
        notes.append(
            f"tables/{name}.parquet was measured on an earlier version of these labels: "
            "measure again."
        )
    if not len(volumes):
        notes.append("No object was found.")
    columns, rows = _largest(table, n_largest) if len(volumes) > 1 else ((), ())
    drawing = volume_histogram(volumes, color=css_hex(color) if color else BARS)
    return ObjectSection(
        plain_name(name), color, _object_facts(store, table, volumes),
        histogram=svg_uri(drawing) if len(volumes) > FEW else None, columns=columns, rows=rows,
        note=" ".join(notes),
    )


def _object_facts(store: Volume, table: Table, volumes: Any) -> tuple[Fact, ...]:
    facts = [Fact(f"{len(volumes):,}", "objects" if len(volumes) != 1 else "object")]
    if len(volumes):
        total = float(np.nansum(volumes))
        facts.append(
            Fact(f"{total:.4g} µm³", "total volume", f"{_share(store, total)} of the volume")
        )
    if len(volumes) > FEW:
        low, middle, high = np.nanpercentile(volumes, (25, 50, 75))
        facts += [
            Fact(f"{middle:.3g} µm³", "median volume",
                 f"half lie between {low:.3g} and {high:.3g}"),
            Fact(f"{np.nanmax(volumes):.3g} µm³", "largest"),
        ]
    if "touches_border" in table:
        n = int(np.count_nonzero(table["touches_border"]))
        facts.append(Fact(f"{n:,}", "at the border", "cut off, so too small" if n else ""))
    return tuple(facts)


def _largest(table: Table, n: int) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Columns and rows of the table of the largest objects."""
    columns = {
        "label": ("label", "{:d}"), "volume_um3": ("volume (µm³)", "{:.4g}"),
        "n_voxels": ("voxels", "{:,d}"), "centroid_z_um": ("z (µm)", "{:.2f}"),
        "centroid_y_um": ("y (µm)", "{:.2f}"), "centroid_x_um": ("x (µm)", "{:.2f}"),
    }
    there = {k: v for k, v in columns.items() if k in table}
    order = np.argsort(-np.asarray(table["volume_um3"], float), kind="stable")[:n]
    rows = tuple(
        tuple(form.format(table[key][i].item()) for key, (_, form) in there.items())
        for i in order
    )
    return tuple(text for text, _ in there.values()), rows


def score_tables(
    store: Volume, evaluations: Sequence[Recorded], pictures: Mapping[int, tuple[View, ...]]
) -> tuple[ScoreTable, ...]:
    """Every evaluation, one table per class; held-out scores of models that made these labels."""
    tables = []
    for number, record in enumerate(evaluations):
        for name, scores in record.data["scores"].items():
            subtitle = _comparison(record.data)
            if record.stale:
                subtitle += " The labels have changed since: evaluate again."
            planes = record.data["planes"].get(name, {})
            tables.append(ScoreTable(
                plain_name(name), subtitle, _score_rows(scores), _plane_figure(planes),
                pictures.get(number, ()),
            ))
    for spec, model in _untested(store, evaluations):
        tables += _held_out_tables(spec, model)
    return tuple(tables)


def _untested(
    store: Volume, evaluations: Sequence[Recorded]
) -> list[tuple[ModelSpec, str]]:
    """Models that ran here and were not evaluated again since their training."""
    tested = {r.data["prediction"] for r in evaluations}
    return [(spec, model) for spec, model in _models(store) if f"model {model}" not in tested]


def _held_out_tables(spec: ModelSpec, model: str) -> list[ScoreTable]:
    """Scores that training left in the model."""
    tables = []
    for name, scores in (spec.metrics.get("classes") or {}).items():
        planes = {
            str(row["z"]): row["classes"][name] for row in spec.metrics.get("planes", [])
            if len(spec.training.get("volumes", [])) == 1
        }
        subtitle = (
            f"Model {model} on what was held out of its training "
            f"({spec.metrics.get('split', 'planes')}), as recorded in model.json."
        )
        if "note" in spec.metrics:
            subtitle += f" {spec.metrics['note']}"
        rows = _score_rows(scores)
        tables.append(ScoreTable(plain_name(name), subtitle, rows, _plane_figure(planes)))
    return tables


def _score_rows(
    scores: Mapping[str, float | None]
) -> tuple[tuple[str, str, float | None], ...]:
    rows = []
    for key in (*GAUGED, *OTHERS):
        value = scores.get(key)
        if value is not None:
            share = round(100 * min(max(value, 0), 1), 1) if key in GAUGED else None
            rows.append((SCORE_NAMES[key], score_text(value, key).replace("-", "−"), share))
    return tuple(rows)


def _plane_figure(planes: Mapping[str, Mapping[str, float | None]]) -> str | None:
    if len(planes) < 2:
        return None
    z = sorted(planes, key=int)
    shown = {
        SCORE_NAMES[k]: [planes[n].get(k) for n in z] for k in ("iou", "boundary_f1")
    }
    return svg_uri(plane_scores([int(n) for n in z], shown))


def text_for_methods(
    store: Volume, names: Sequence[str], evaluations: Sequence[Recorded],
    runs: Sequence[Mapping[str, Any]],
) -> tuple[str, ...]:
    """Paragraphs for a paper."""
    specs = {name: spec for spec, model in _models(store) for name in (model,)}
    objects = []
    for name in names:
        table = _table(store, name)
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


def _models(store: Volume) -> list[tuple[ModelSpec, str]]:
    """Descriptions of the models that ran on this store, as far as they still stand as they ran."""
    found: dict[str, ModelSpec] = {}
    for record in store.runs():
        model = record["config"].get("model") if record["verb"] == "infer" else None
        if model and Path(model).is_dir():
            try:
                if weights_digest(model) == record["inputs"].get("model"):
                    found[Path(model).name] = load_spec(model)
            except DataError:
                continue  # a report of what is there; infer is the one to complain
    return [(spec, name) for name, spec in found.items()]


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


def _table(store: Volume, name: str) -> Table | None:
    if name not in store.table_names():
        return None
    table = store.table(name)
    return table if {"label", "volume_um3"} <= set(table) else None


def _share(store: Volume, volume_um3: float) -> str:
    size = np.prod([n * s / 1000 for n, s in zip(store.shape, store.spacing, strict=True)])
    return f"{volume_um3 / float(size):.1%}"


def _against(data: Mapping[str, Any]) -> str:
    """Truth and place, in a few words."""
    truth = data["truth"].removeprefix("labels/")
    return f"{plain_name(truth)} ({data['where']})"


def _comparison(data: Mapping[str, Any]) -> str:
    return (
        f"{data['prediction']} against {data['truth']}, {data['where']}, boundaries within "
        f"{data['tolerance_nm']:g} nm."
    )


def _with_prefix(n: int) -> str:
    """Number with a prefix of its unit.

    >>> _with_prefix(8830976)
    '8.83 mega'
    """
    for size, prefix in ((10**12, "tera"), (10**9, "giga"), (10**6, "mega")):
        if n >= size:
            return f"{n / size:.3g} {prefix}"
    return f"{n:,} "


def css_hex(color: Color) -> str:
    """Colour for a drawing.

    >>> css_hex((230, 159, 0))
    '#e69f00'
    """
    return "#{:02x}{:02x}{:02x}".format(*color)
