"""Several models on the same planes: their scores, and what one gains over the first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.metrics.evaluation import Evaluation


@dataclass(frozen=True)
class Compared:
    """One of the models.

    Parameters
    ----------
    name
        Of the model.
    n_planes
        Planes that it was trained on; None where its record does not tell.
    evaluation
        Its scores.
    """

    name: str
    n_planes: int | None
    evaluation: Evaluation


@dataclass(frozen=True)
class Comparison:
    """Models scored on the same planes; a learning curve, where they had more and more planes.

    Parameters
    ----------
    models
        At least two, all with the same classes.
    """

    models: tuple[Compared, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.models[0].evaluation.thresholds)

    @property
    def is_learning_curve(self) -> bool:
        """Whether the models differ in how many planes they were trained on."""
        numbers = [m.n_planes for m in self.models]
        return None not in numbers and len(set(numbers)) > 1

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What is known of each model for one class, plain data."""
        first = self.models[0].evaluation.thresholds[name]
        return [
            {
                "model": m.name, "n_planes": m.n_planes,
                **{k: v.as_dict() for k, v in m.evaluation.thresholds[name].at_half.items()},
                "gain": m.evaluation.thresholds[name].gain(first).as_dict(),
            }
            for m in self.models
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        one = self.models[0].evaluation
        return {
            "volume": one.volume, "truth": one.truth, "where": one.where,
            "compared": {name: self.rows(name) for name in self.classes},
            "models": {m.name: m.evaluation.as_dict() for m in self.models},
        }

    def text(self) -> str:
        """A table for each class; the last line is the same as JSON, for scripts."""
        one = self.models[0].evaluation
        lines = [f"{len(self.models)} models on {one.truth}, {one.volume}, {one.where}"]
        for name in self.classes:
            lines += ["", *self._table(name)]
        return "\n".join([*lines, "", json.dumps(self.as_dict())])

    def _table(self, name: str) -> list[str]:
        """Lines of one class."""
        scores = [m.evaluation.thresholds[name] for m in self.models]
        cells = [("", "planes", "IoU (95 %)", "precision", "recall", "gain (95 %)")]
        for m, s in zip(self.models, scores, strict=True):
            half = s.at_half
            cells.append((
                m.name, "–" if m.n_planes is None else str(m.n_planes), half["iou"].text(),
                f"{half['precision'].value:.3f}", f"{half['recall'].value:.3f}",
                "" if s is scores[0] else s.gain(scores[0]).text(),
            ))
        head = f"{name}, {scores[0].extent}, intervals from drawing {scores[0].unit}"
        return [head, *aligned(cells)]


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, with the first column to the left, the others to the right.

    Parameters
    ----------
    cells
        Texts of each row.
    """
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return [
        "  ".join([
            f"{row[0]:<{widths[0]}}",
            *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]).rstrip()
        for row in cells
    ]
