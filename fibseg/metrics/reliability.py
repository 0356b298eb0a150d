"""Probabilities against painted truth: what any threshold scores, and whether they mean it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.metrics.overlap import Overlap, require_same_shape
from fibseg.types import Labels

N_LEVELS = 256
"""Probabilities are whole numbers, 0 to 255."""
HALF = 128
"""A probability of one half."""

Counts = NDArray[np.int64]
"""Voxels by truth (0 outside, 1 inside) and level, shape (2, 256)."""


def _nothing() -> Counts:
    return np.zeros((2, N_LEVELS), np.int64)


@dataclass(frozen=True)
class ProbabilityCounts:
    """Scored voxels by their probability and their truth; ``+`` joins planes and volumes.

    All that thresholds, reliability and calibration need, in 512 whole numbers.

    >>> probs = np.array([[0, 200, 255]], np.uint8)
    >>> painted = np.array([[1, 1, 2]], np.uint8)
    >>> ProbabilityCounts.of(probs, painted, value=2).at(128).compute()["iou"]
    0.5
    """

    counts: Counts = field(default_factory=_nothing)

    @classmethod
    def of(cls, probs: NDArray[np.uint8], annotation: Labels, *, value: int) -> ProbabilityCounts:
        """Counts where the annotation is not 0.

        Parameters
        ----------
        probs
            Probability of the class, 0 to 255.
        annotation
            0 unlabelled, 1 background, 2… classes; the shape of `probs`.
        value
            Value of the class in the annotation.

        Raises
        ------
        DataError
            If the shapes differ.
        """
        require_same_shape(probs, annotation)
        scored = np.asarray(annotation) > 0
        inside = (np.asarray(annotation) == value)[scored]
        levels = np.asarray(probs)[scored].astype(np.int64) + N_LEVELS * inside
        return cls(np.bincount(levels, minlength=2 * N_LEVELS).reshape(2, N_LEVELS))

    def __add__(self, other: ProbabilityCounts) -> ProbabilityCounts:
        return ProbabilityCounts(self.counts + other.counts)

    @property
    def n_scored(self) -> int:
        """Number of voxels."""
        return int(self.counts.sum())

    def at_least(self) -> Counts:
        """Voxels at or above each level, shape (2, 256): false and true positives."""
        return np.asarray(self.counts[:, ::-1].cumsum(axis=1)[:, ::-1])

    def at(self, level: int) -> Overlap:
        """Overlap of what has at least probability `level` / 255."""
        outside, inside = self.counts
        return Overlap(
            int(inside[level:].sum()), int(outside[level:].sum()),
            int(inside[:level].sum()), int(outside[:level].sum()),
        )

    def best_level(self) -> int:
        """Level of the highest IoU, the nearest to one half among equals; that if none is inside.

        >>> nothing = ProbabilityCounts()
        >>> nothing.best_level()
        128
        """
        if not self.counts[1].any():
            return HALF
        false_positive, true_positive = self.at_least()
        iou = true_positive / (self.counts[1].sum() + false_positive)
        iou[0] = -1.0  # a threshold of 0 takes everything
        best = np.flatnonzero(iou == iou.max())
        return int(best[np.argmin(np.abs(best - HALF))])

    def brier(self) -> float:
        """Mean squared difference of probability and truth (Brier 1950), 0 is best.

        NaN of nothing.
        """
        if not self.n_scored:
            return float("nan")
        p = np.arange(N_LEVELS) / (N_LEVELS - 1)
        return float((self.counts[0] @ p**2 + self.counts[1] @ (1 - p) ** 2) / self.n_scored)

    def reliability(self, *, n_bins: int = 10) -> Reliability:
        """Share of voxels inside among those of like probability, in bins of equal width."""
        at = np.arange(N_LEVELS) * n_bins // N_LEVELS
        n = np.bincount(at, self.counts.sum(axis=0), minlength=n_bins)
        inside = np.bincount(at, self.counts[1], minlength=n_bins)
        p = np.bincount(
            at, self.counts.sum(axis=0) * (np.arange(N_LEVELS) / (N_LEVELS - 1)), minlength=n_bins
        )
        some = np.where(n > 0, n, np.nan)
        return Reliability(p / some, inside / some, n.astype(np.int64))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: NaN where a bin is empty.

    Attributes
    ----------
    predicted, observed
        Mean probability, and share of voxels that are inside, in each bin.
    n_voxels
        In each bin.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    n_voxels: NDArray[np.int64]

    @property
    def calibration_error(self) -> float:
        """Mean difference of probability and share over all voxels; NaN of nothing.

        The expected calibration error of Naeini, Cooper and Hauskrecht (2015).
        """
        if not self.n_voxels.sum():
            return float("nan")
        known = self.n_voxels > 0
        off = np.abs(self.predicted - self.observed)[known]
        return float(off @ self.n_voxels[known] / self.n_voxels.sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain data; None where a bin is empty."""
        return {
            "predicted": [None if np.isnan(v) else float(v) for v in self.predicted],
            "observed": [None if np.isnan(v) else float(v) for v in self.observed],
            "n_voxels": self.n_voxels.tolist(),
        }
