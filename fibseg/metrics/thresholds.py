"""Scores at thresholds, with intervals over planes, and a threshold that no test plane chose.

The planes of one volume resemble each other, so that intervals come from drawing whole planes, and
of several volumes whole volumes first. A threshold that is the best on some planes is not as good
on others: its score is taken on planes, or volumes, that had no say in it (cross-fitting).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.metrics.reliability import HALF, N_LEVELS, ProbabilityCounts, Reliability

N_DRAWS = 2000
LEVELS = np.arange(5, N_LEVELS, 5)
"""Of the curve, 1/51 apart."""
SCORES = ("iou", "dice", "precision", "recall")


@dataclass(frozen=True)
class Interval:
    """A score with the 95 % interval of its bootstrap; NaN where it is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def text(self) -> str:
        """The score as papers write it.

        >>> Interval(0.9, 0.85, 0.94).text(), Interval(0.9).text()
        ('0.900 (0.850–0.940)', '0.900')
        """
        if math.isnan(self.value):
            return "–"
        if math.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"

    def as_dict(self) -> dict[str, float | None]:
        """Plain data, None where unknown."""
        return {
            name: None if math.isnan(value) else value
            for name, value in (("value", self.value), ("low", self.low), ("high", self.high))
        }


@dataclass(frozen=True)
class ThresholdScores:
    """One class on scored planes of one or several volumes.

    Parameters
    ----------
    planes
        Counts of each plane.
    volumes
        Number of the volume that each plane is of; planes of a volume in order of z.
    n_draws, seed
        Of the bootstrap.
    """

    planes: tuple[ProbabilityCounts, ...]
    volumes: tuple[int, ...]
    n_draws: int = N_DRAWS
    seed: int = 0

    @property
    def n_volumes(self) -> int:
        """Number of volumes."""
        return len(set(self.volumes))

    @property
    def extent(self) -> str:
        """How much was scored, in words."""
        planes = f"{len(self.planes)} plane{'s' * (len(self.planes) != 1)}"
        return planes if self.n_volumes == 1 else f"{planes} of {self.n_volumes} volumes"

    @property
    def unit(self) -> str:
        """What the bootstrap draws, in words."""
        return "planes" if self.n_volumes == 1 else "volumes, then their planes"

    @property
    def others(self) -> str:
        """Who chooses a threshold that is not tested on them, in words."""
        return "the other half of the planes" if self.n_volumes == 1 else "the other volumes"

    @cached_property
    def total(self) -> ProbabilityCounts:
        """All planes together."""
        return reduce(add, self.planes, ProbabilityCounts())

    @cached_property
    def at_half(self) -> dict[str, Interval]:
        """Scores of a threshold of 0.5."""
        return self._scores([HALF] * len(self.planes))

    @property
    def best_threshold(self) -> float:
        """The best threshold of all planes: to be used on others."""
        return self.total.best_level() / (N_LEVELS - 1)

    @property
    def parts(self) -> tuple[int, ...]:
        """Number of the part that each plane is of: its volume, or of one alone its half."""
        if self.n_volumes > 1:
            return self.volumes
        n = len(self.planes)
        return tuple(int(2 * i >= n) for i in range(n))

    @cached_property
    def at_best(self) -> dict[str, Interval] | None:
        """Scores where each part takes the threshold of the others; None of a single part."""
        parts = self.parts
        if len(set(parts)) < 2:
            return None
        levels = {
            part: reduce(
                add, (c for c, p in zip(self.planes, parts, strict=True) if p != part)
            ).best_level()
            for part in set(parts)
        }
        return self._scores([levels[p] for p in parts])

    @cached_property
    def reliability(self) -> Reliability:
        """Of all planes."""
        return self.total.reliability()

    def curve(self) -> dict[str, list[float | None]]:
        """Scores of thresholds, by name, beside the thresholds; None where undefined."""
        rows = [self.total.at(int(level)).compute() for level in LEVELS]
        return {
            "threshold": [float(level) / (N_LEVELS - 1) for level in LEVELS],
            **{s: [None if math.isnan(r[s]) else r[s] for r in rows] for s in SCORES},
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        brier, off = self.total.brier(), self.reliability.calibration_error
        best = self.at_best
        return {
            "extent": self.extent,
            "n_planes": len(self.planes),
            "n_volumes": self.n_volumes,
            "at_half": {k: v.as_dict() for k, v in self.at_half.items()},
            "best_threshold": self.best_threshold,
            "at_best_of_others": None if best is None else {
                k: v.as_dict() for k, v in best.items()
            },
            "brier": None if math.isnan(brier) else brier,
            "calibration_error": None if math.isnan(off) else off,
            "reliability": self.reliability.as_dict(),
            "curve": self.curve(),
        }

    def gain(self, other: ThresholdScores) -> Interval:
        """How much higher the IoU is than that of `other`, at a threshold of 0.5.

        Both are drawn on the same planes at once: what makes a plane hard, makes it so for both,
        and the interval is that of the difference.

        Raises
        ------
        ValueError
            If they are not of the same planes.
        """
        if self.volumes != other.volumes:
            raise ValueError("scores of other planes cannot be compared plane by plane")
        level = [HALF] * len(self.planes)
        mine, theirs = self._counts(level), other._counts(level)
        draws = _draws(self.volumes, self.n_draws, self.seed)
        value = self.at_half["iou"].value - other.at_half["iou"].value
        return _interval(
            value, _scores_of(draws @ mine)["iou"] - _scores_of(draws @ theirs)["iou"]
        )

    def _scores(self, levels: Sequence[int]) -> dict[str, Interval]:
        """Scores with intervals, each plane at its own level."""
        counts = self._counts(levels)
        total = _scores_of(counts.sum(axis=0, keepdims=True))
        drawn = _scores_of(_draws(self.volumes, self.n_draws, self.seed) @ counts)
        return {name: _interval(float(total[name][0]), drawn[name]) for name in SCORES}

    def _counts(self, levels: Sequence[int]) -> NDArray[np.float64]:
        """True positives, false positives and false negatives of each plane, shape (planes, 3)."""
        found = [c.at(level) for c, level in zip(self.planes, levels, strict=True)]
        rows = [(f.true_positive, f.false_positive, f.false_negative) for f in found]
        return np.array(rows, float).reshape(-1, 3)


def _draws(volumes: Sequence[int], n_draws: int, seed: int) -> NDArray[np.float64]:
    """How often each plane is drawn, shape (draws, planes); no draws where there is no choice.

    Of several volumes, as many volumes are drawn first, then the planes within each.
    """
    rng, of = np.random.default_rng(seed), np.asarray(volumes, np.int64)
    names = np.unique(of)
    if len(of) < 2:
        return np.zeros((0, len(of)))
    drawn = np.zeros((n_draws, len(of)))
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), n_draws)
    for name, often in zip(names, times.T, strict=True):
        planes = np.flatnonzero(of == name)
        even = np.full(len(planes), 1 / len(planes))
        drawn[:, planes] = rng.multinomial(len(planes) * often, even)
    return drawn


def _scores_of(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Scores of draws from their true positives, false positives and false negatives."""
    tp, fp, fn = counts.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "iou": tp / (tp + fp + fn), "dice": 2 * tp / (2 * tp + fp + fn),
            "precision": tp / (tp + fp), "recall": tp / (tp + fn),
        }


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """The middle 95 % of what was drawn; NaN where draws are undefined or there are none."""
    known = drawn[~np.isnan(drawn)]
    if math.isnan(value) or not len(known):
        return Interval(value)
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(value, float(low), float(high))
