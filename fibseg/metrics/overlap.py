"""How well two masks cover each other: IoU, Dice, precision, recall, volume error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.types import Mask


@dataclass(frozen=True)
class Overlap:
    """Voxel counts of a mask against its truth; `update` and ``+`` add, `compute` ends.

    Counts are integers, so the sum over blocks is the same for any blocks.

    >>> a = np.array([[[True, True, False]]])
    >>> b = np.array([[[True, False, False]]])
    >>> Overlap().update(a, b).compute()["iou"]
    0.5
    """

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def update(
        self,
        prediction: NDArray[np.generic],
        truth: NDArray[np.generic],
        *,
        scored: Mask | None = None,
    ) -> Overlap:
        """Return these counts plus those of two masks of equal shape.

        Parameters
        ----------
        prediction, truth
            Masks; anything that is not 0 counts as inside.
        scored
            True where a voxel counts; everywhere if left out.

        Raises
        ------
        DataError
            If the shapes differ.
        """
        require_same_shape(prediction, truth, scored)
        p = np.asarray(prediction).astype(bool, copy=False)
        t = np.asarray(truth).astype(bool, copy=False)
        n = t.size
        if scored is not None:
            n = int(np.count_nonzero(scored))
            p, t = p & scored, t & scored
        both, n_p, n_t = (int(np.count_nonzero(m)) for m in (p & t, p, t))
        return self + Overlap(both, n_p - both, n_t - both, n - n_p - n_t + both)

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def n_scored(self) -> int:
        """Number of voxels that were compared."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    def compute(self) -> dict[str, float]:
        """Scores `iou dice precision recall volume_error`, fractions; NaN where undefined.

        `volume_error` is (predicted - true) / true, so 0.1 means 10 % too much.
        """
        tp, fp, fn = self.true_positive, self.false_positive, self.false_negative
        return {
            "iou": ratio(tp, tp + fp + fn),
            "dice": ratio(2 * tp, 2 * tp + fp + fn),
            "precision": ratio(tp, tp + fp),
            "recall": ratio(tp, tp + fn),
            "volume_error": ratio(fp - fn, tp + fn),
        }


def overlap_per_class(
    prediction: NDArray[np.generic],
    truth: NDArray[np.generic],
    *,
    classes: dict[str, int],
    scored: Mask | None = None,
) -> dict[str, Overlap]:
    """Overlap of every class of two class images that use the same values.

    >>> image = np.array([[[1, 2, 2]]])
    >>> overlap_per_class(image, image, classes={"nucleus": 2})["nucleus"].true_positive
    2
    """
    return {
        name: Overlap().update(prediction == value, truth == value, scored=scored)
        for name, value in classes.items()
    }


def ratio(numerator: float, denominator: float) -> float:
    """Quotient; NaN where the denominator is 0.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, nan)
    """
    return float(numerator / denominator) if denominator else float("nan")


def require_same_shape(
    prediction: NDArray[np.generic],
    truth: NDArray[np.generic],
    scored: NDArray[np.generic] | None = None,
) -> None:
    """Pass only if all arrays have one shape.

    Raises
    ------
    DataError
        Naming the shapes; with a hint if they are a transposition of each other.
    """
    shapes = [np.shape(a) for a in (prediction, truth, scored) if a is not None]
    if len(set(shapes)) == 1:
        return
    swapped = len({tuple(sorted(s)) for s in shapes}) == 1
    raise DataError(
        f"shapes differ: {', '.join(str(s) for s in shapes)}. "
        + ("The axes look swapped; " if swapped else "")
        + "compare arrays of one (z, y, x) grid."
    )
