"""How good a segmentation is, from the evaluations recorded in a store and in its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fibseg.errors import DataError
from fibseg.export import ModelSpec, load_spec, weights_digest
from fibseg.metrics import PLACE_NAMES, SCORE_NAMES, score_text
from fibseg.report import (
    ScoreTable,
    View,
    plane_scores,
    svg_text,
    svg_uri,
    threshold_figure,
)
from fibseg.report.methods import plain_name
from fibseg.volume import Volume

GAUGED = (
    "iou", "dice", "precision", "recall", "boundary_f1", "object_f1_50", "object_f1_75",
    "panoptic_quality",
)
PLACES = tuple(PLACE_NAMES)
SHARES = (*GAUGED, *(name for name in PLACES if not name.endswith("_nm")))
"""Scores from 0 to 1, shown as bars."""
OTHERS = (
    "voi_split", "voi_merge", "volume_error", "n_merges", "n_splits", "n_additions", "n_deletions",
    "n_objects", "n_true_objects", "n_scored",
)


@dataclass(frozen=True)
class Recorded:
    """An evaluation from the runs of a store; `stale` if the labels have changed since."""

    data: dict[str, Any]
    stale: bool = False


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


@dataclass(frozen=True)
class TrueRecall:
    """Share of true objects that were found at their places.

    Attributes
    ----------
    recall
        Found of all true ones.
    truth
        Name of the true labels.
    within_nm
        Largest distance of a pair; None where nobody wrote it down.
    """

    recall: float
    truth: str
    within_nm: float | None


def true_recall(
    store: Volume, name: str, runs: Sequence[Mapping[str, Any]]
) -> TrueRecall | None:
    """What the newest evaluation of the places of these labels tells, if it is of those of today.

    Parameters
    ----------
    name
        Of the label image.
    runs
        Records of the store, oldest first.
    """
    for record in reversed(runs):
        data = record.get("metrics") or {}
        if (
            record["verb"] != "evaluate" or record["status"] != "done"
            or data.get("prediction") != f"labels/{name}" or _stale(store, record)
        ):
            continue
        for scores in data.get("scores", {}).values():
            if scores.get("place_recall") is not None:
                truth = str(data["truth"]).removeprefix("labels/")
                within = (record.get("config") or {}).get("within_nm")
                return TrueRecall(float(scores["place_recall"]), truth, within)
    return None


def _stale(store: Volume, record: Mapping[str, Any]) -> bool:
    """Whether a label image that was compared is another one now."""
    names = store.label_names()
    for key, digest in record.get("inputs", {}).items():
        kind, _, name = key.partition("/")
        if kind == "labels" and (name not in names or store.labels_info(name).digest != digest):
            return True
    return False


def score_tables(
    runs: Sequence[Mapping[str, Any]], evaluations: Sequence[Recorded],
    pictures: Mapping[int, tuple[View, ...]],
) -> tuple[ScoreTable, ...]:
    """Every evaluation, one table per class; held-out scores of models that made these labels."""
    tables = []
    for number, record in enumerate(evaluations):
        for name, scores in record.data["scores"].items():
            subtitle = _comparison(record.data) + _effort(record.data, name)
            if record.stale:
                subtitle += " The labels have changed since: evaluate again."
            planes = record.data["planes"].get(name, {})
            tables.append(ScoreTable(
                plain_name(name), subtitle, _score_rows(scores), _plane_figure(planes),
                pictures.get(number, ()), _threshold_figure(record.data, name),
            ))
    for spec, model in untested(runs, evaluations):
        tables += _held_out_tables(spec, model)
    return tuple(tables)


def untested(
    runs: Sequence[Mapping[str, Any]], evaluations: Sequence[Recorded]
) -> list[tuple[ModelSpec, str]]:
    """Models that ran here and were not evaluated again since their training."""
    tested = {r.data["prediction"] for r in evaluations}
    return [(spec, model) for spec, model in models_of(runs) if f"model {model}" not in tested]


def models_of(runs: Sequence[Mapping[str, Any]]) -> list[tuple[ModelSpec, str]]:
    """Descriptions of the models of these runs, as far as they still stand as they ran."""
    found: dict[str, ModelSpec] = {}
    for record in runs:
        model = record["config"].get("model") if record["verb"] == "infer" else None
        if model and Path(model).is_dir():
            try:
                if weights_digest(model) == record["inputs"].get("model"):
                    found[Path(model).name] = load_spec(model)
            except DataError:
                continue  # a report of what is there; infer is the one to complain
    return [(spec, name) for name, spec in found.items()]


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
    names = SCORE_NAMES | PLACE_NAMES
    for key in (*GAUGED, *PLACES, *OTHERS):
        value = scores.get(key)
        if value is not None:
            share = round(100 * min(max(value, 0), 1), 1) if key in SHARES else None
            rows.append((names[key], score_text(value, key).replace("-", "−"), share))
    return tuple(rows)


def _plane_figure(planes: Mapping[str, Mapping[str, float | None]]) -> str | None:
    if len(planes) < 2:
        return None
    z = sorted(planes, key=int)
    shown = {
        SCORE_NAMES[k]: [planes[n].get(k) for n in z] for k in ("iou", "boundary_f1")
    }
    return svg_uri(plane_scores([int(n) for n in z], shown))


def _threshold_figure(data: Mapping[str, Any], name: str) -> str | None:
    scores = data.get("thresholds", {}).get(name)
    return None if scores is None else svg_uri(svg_text(threshold_figure(name, scores)))


def against(data: Mapping[str, Any]) -> str:
    """Truth and place, in a few words."""
    truth = data["truth"].removeprefix("labels/")
    return f"{plain_name(truth)} ({data['where']})"


def _effort(data: Mapping[str, Any], name: str) -> str:
    """A sentence on the work that is left, where it is known."""
    if name not in data.get("proof_editing", {}):
        return ""
    e = data["proof_editing"][name]
    return (
        f" Proof-editing would take {e['n_edits']:,} edits, {e['hours']:.2g} h at "
        f"{e['seconds_per_edit']:g} s each, of {e['limit_hours']:g} h that the study allows."
    )


def _comparison(data: Mapping[str, Any]) -> str:
    return (
        f"{data['prediction']} against {data['truth']}, {data['where']}, boundaries within "
        f"{data['tolerance_nm']:g} nm."
    )
