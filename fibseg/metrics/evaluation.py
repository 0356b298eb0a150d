"""The result of an evaluation: scores with their names, as a table and as plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fibseg.metrics.edits import LIMIT_HOURS, SECONDS_PER_EDIT, Edits, hours
from fibseg.metrics.thresholds import ThresholdScores

SCORE_NAMES = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "boundary_f1": "boundary F1",
    "object_precision_50": "object precision, IoU > 0.5",
    "object_recall_50": "object recall, IoU > 0.5",
    "object_f1_50": "object F1, IoU > 0.5",
    "object_precision_75": "object precision, IoU > 0.75",
    "object_recall_75": "object recall, IoU > 0.75",
    "object_f1_75": "object F1, IoU > 0.75",
    "panoptic_quality": "panoptic quality",
    "voi_split": "variation of information, split (bit)",
    "voi_merge": "variation of information, merge (bit)",
    "adapted_rand_error": "adapted Rand error",
    "volume_error": "volume error, total",
    "object_volume_error": "volume error, mean of matched objects",
    "n_merges": "merges needed: pieces to be joined",
    "n_splits": "splits needed: objects to be parted",
    "n_additions": "objects to be added",
    "n_deletions": "objects to be deleted",
    "n_objects": "objects found",
    "n_true_objects": "true objects",
    "n_scored": "voxels compared",
}
PLACE_NAMES = {
    "place_precision": "precision of places",
    "place_recall": "recall of places",
    "place_f1": "F1 of places",
    "place_error_nm": "distance of matched places, median (nm)",
}
"""Of small objects, where they were asked for."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a segmentation: what was compared, where, and how well it agrees.

    Parameters
    ----------
    scores
        Class → score → value; NaN where a score is undefined.
    planes
        Class → plane number → score → value; empty when the whole volume was scored at once.
    seconds_per_edit
        What one edit costs a person who makes the prediction equal to the truth.
    thresholds
        Class → scores at thresholds with intervals over planes; empty where no probabilities were
        scored.
    """

    volume: str
    prediction: str
    truth: str
    where: str
    tolerance_nm: float
    scores: dict[str, dict[str, float]]
    planes: dict[str, dict[int, dict[str, float]]] = field(default_factory=dict)
    seconds_per_edit: float = SECONDS_PER_EDIT
    thresholds: dict[str, ThresholdScores] = field(default_factory=dict)

    @property
    def proof_editing(self) -> dict[str, dict[str, float]]:
        """Class → number of edits, hours they take, and hours allowed; where edits are known."""
        n_edits = {
            name: sum(s.get(f.name, math.nan) for f in fields(Edits))
            for name, s in self.scores.items()
        }
        return {
            name: {
                "n_edits": n,
                "seconds_per_edit": self.seconds_per_edit,
                "hours": hours(n, seconds_per_edit=self.seconds_per_edit),
                "limit_hours": LIMIT_HOURS,
            }
            for name, n in n_edits.items() if not math.isnan(n)
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; undefined scores are None."""
        return {
            "volume": self.volume,
            "prediction": self.prediction,
            "truth": self.truth,
            "where": self.where,
            "tolerance_nm": self.tolerance_nm,
            "scores": {name: _plain(s) for name, s in self.scores.items()},
            "proof_editing": self.proof_editing,
            "planes": {
                name: {str(z): _plain(s) for z, s in planes.items()}
                for name, planes in self.planes.items()
            },
            "thresholds": {name: t.as_dict() for name, t in self.thresholds.items()},
        }

    def text(self) -> str:
        """Table for the terminal; the last line is the same as JSON, for scripts."""
        with_places = any(PLACE_NAMES.keys() & s.keys() for s in self.scores.values())
        names = SCORE_NAMES | PLACE_NAMES if with_places else SCORE_NAMES
        width = max(len(text) for text in names.values())
        columns = [max(len(name), 10) for name in self.scores]
        lines = [
            f"{self.prediction} against {self.truth}, {self.volume}, {self.where}",
            f"boundary tolerance {self.tolerance_nm:g} nm",
            "",
        ]
        heads = [f"{n:>{w}}" for n, w in zip(self.scores, columns, strict=True)]
        lines.append("  ".join([" " * width, *heads]))
        for key, text in names.items():
            values = [s.get(key, math.nan) for s in self.scores.values()]
            cells = [f"{score_text(v, key):>{w}}" for v, w in zip(values, columns, strict=True)]
            lines.append("  ".join([f"{text:<{width}}", *cells]))
        lines += [*self._edit_lines(), *self._threshold_lines(), *self._plane_lines()]
        return "\n".join([*lines, "", json.dumps(self.as_dict())])

    def _edit_lines(self) -> list[str]:
        return [
            f"proof-editing of {name}: {e['n_edits']:,.0f} edits of {e['seconds_per_edit']:g} s, "
            f"{e['hours']:.2g} h; the limit of 2 person-days ({e['limit_hours']:g} h) is "
            f"{'kept' if e['hours'] <= e['limit_hours'] else 'exceeded'}"
            for name, e in self.proof_editing.items()
        ]

    def _threshold_lines(self) -> list[str]:
        """Intervals, and what another threshold would do, a few lines a class."""
        lines: list[str] = []
        for name, t in self.thresholds.items():
            half, best = t.at_half, t.at_best
            lines += [
                "",
                f"{name}, {t.extent}, 95 % interval from drawing {t.unit}",
                f"  threshold 0.5: IoU {half['iou'].text()}, precision {half['precision'].text()}, "
                f"recall {half['recall'].text()}",
                f"  best threshold {t.best_threshold:.2f}" + (
                    "" if best is None else
                    f": IoU {best['iou'].text()} where {t.others} chose it"
                ),
                f"  probabilities are off by {t.reliability.calibration_error:.3f} on average, "
                f"Brier score {t.total.brier():.3f}",
            ]
        return lines

    def _plane_lines(self) -> list[str]:
        shown = ("iou", "dice", "boundary_f1", "object_f1_50")
        lines: list[str] = []
        for name, planes in self.planes.items():
            heads = "".join(f"{SCORE_NAMES[k][:12]:>14}" for k in shown)
            lines += ["", f"{name}, plane by plane", f"{'z':>8}{heads}"]
            for z, scores in planes.items():
                lines.append(f"{z:>8}" + "".join(f"{score_text(scores[k], k):>14}" for k in shown))
        return lines


def _plain(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {k: None if math.isnan(v) else v for k, v in scores.items()}


def score_text(value: float, key: str) -> str:
    """A score as people read it: fractions with three digits, volume errors in percent.

    >>> score_text(0.91234, "iou"), score_text(-0.031, "volume_error")
    ('0.912', '-3.1%')
    """
    if math.isnan(value):
        return "–"
    if key.startswith("n_"):
        return f"{value:,.0f}"
    if key.endswith("_nm"):
        return f"{value:.1f}"
    if key == "volume_error":
        return f"{value:+.1%}"
    return f"{value:.1%}" if key == "object_volume_error" else f"{value:.3f}"
