"""Scores of cells that were left out of training one by one: each cell counts once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from fibseg.metrics.comparison import aligned
from fibseg.metrics.evaluation import Evaluation
from fibseg.metrics.thresholds import SCORES, Interval

NOTE = (
    "Each cell was scored by a model that never saw it. Intervals of a cell are from drawing its "
    "planes. That of the mean is a 95 % confidence interval of the mean over cells: a single "
    "further cell may lie far outside of it. It is rather too narrow, as the models share cells "
    "that they were trained on."
)


@dataclass(frozen=True)
class LeftOutCell:
    """A cell, scored by the model that was trained on the others.

    Parameters
    ----------
    name
        Of the cell.
    model
        Name of the model.
    evaluation
        Its scores.
    """

    name: str
    model: str
    evaluation: Evaluation


@dataclass(frozen=True)
class LeaveOneOut:
    """Leave-one-cell-out: every cell with its scores, and their mean over cells.

    Parameters
    ----------
    cells
        At least two, all with the same classes.
    """

    cells: tuple[LeftOutCell, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(self.cells[0].evaluation.thresholds)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What is known of each cell for one class, plain data."""
        return [
            {
                "cell": cell.name, "model": cell.model, "n_planes": len(at.planes),
                **{k: v.as_dict() for k, v in at.at_half.items()},
            }
            for cell in self.cells for at in [cell.evaluation.thresholds[name]]
        ]

    def mean(self, name: str) -> dict[str, Interval]:
        """Mean of each score over cells for one class; see `mean_of_cells`."""
        return {score: mean_of_cells(self._values(name, score)) for score in SCORES}

    def n_cells(self, name: str) -> dict[str, int]:
        """Number of cells that each score of a class is known of; the others are not in its mean.

        A precision, say, is not known where nothing was found.
        """
        return {
            score: sum(not math.isnan(v) for v in self._values(name, score)) for score in SCORES
        }

    def _values(self, name: str, score: str) -> list[float]:
        """A score of each cell, NaN where it is not known."""
        return [cell.evaluation.thresholds[name].at_half[score].value for cell in self.cells]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "unit": "cell", "note": NOTE,
            "cells": {name: self.rows(name) for name in self.classes},
            "mean": {
                name: {
                    k: {**v.as_dict(), "n_cells": self.n_cells(name)[k]}
                    for k, v in self.mean(name).items()
                }
                for name in self.classes
            },
            "evaluations": {cell.name: cell.evaluation.as_dict() for cell in self.cells},
        }

    def text(self) -> str:
        """A table for each class; the last line is the same as JSON, for scripts."""
        lines = [f"leave-one-cell-out, {len(self.cells)} cells", NOTE]
        for name in self.classes:
            lines += ["", f"{name}, threshold 0.5", *self._table(name)]
        return "\n".join([*lines, "", json.dumps(self.as_dict())])

    def _table(self, name: str) -> list[str]:
        """Lines of one class."""
        lines: list[Sequence[str]] = [("cell left out", "planes", "IoU (95 %)", *SCORES[1:])]
        for cell in self.cells:
            at = cell.evaluation.thresholds[name]
            half = at.at_half
            others = (Interval(half[k].value).text() for k in SCORES[1:])
            lines.append((cell.name, str(len(at.planes)), half["iou"].text(), *others))
        mean, n_cells = self.mean(name), self.n_cells(name)
        shown = {k: v if k == "iou" else Interval(v.value) for k, v in mean.items()}
        few = {k: f" of {n} cells" if 0 < n < len(self.cells) else "" for k, n in n_cells.items()}
        lines.append(("mean of cells", "", *(shown[k].text() + few[k] for k in SCORES)))
        return aligned(lines)


def mean_of_cells(values: Sequence[float]) -> Interval:
    """Mean with its 95 % confidence interval by Student's t, of the cells that have a value.

    The interval is cut off at 0 and 1. It is one of the mean: for what to expect of one more cell
    it would be sqrt(n + 1) times as wide.

    Parameters
    ----------
    values
        A score of each cell, 0 to 1; NaN where it is undefined. One cell has no interval.

    >>> mean_of_cells([0.8, 0.9, 0.7]).text()
    '0.800 (0.552–1.000)'
    """
    known = np.array([v for v in values if not math.isnan(v)])
    if not len(known):
        return Interval(math.nan)
    mean = float(known.mean())
    if len(known) < 2:
        return Interval(mean)
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known)))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))
