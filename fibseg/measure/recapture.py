"""How many there are, from how often two detectors found the same: capture and recapture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fibseg.errors import UsageError


@dataclass(frozen=True)
class Recapture:
    """What two detectors tell together.

    Attributes
    ----------
    n_first, n_second, n_both
        Found by the first, by the second, by both.
    n_total
        Estimate of how many there are (Chapman 1951, Univ. Calif. Publ. Stat. 1:131).
    low, high
        Its 95 % interval (variance of Seber 1970, Biometrics 26:13).
    """

    n_first: int
    n_second: int
    n_both: int
    n_total: float
    low: float
    high: float

    @property
    def recall(self) -> float:
        """Share that the second detector found: the most that it can be.

        Both detectors miss what is hard to see for both, and a detector that has learned from the
        other misses what that one missed. Then there are more than estimated.
        """
        return min(1.0, self.n_second / self.n_total) if self.n_total else float("nan")


def recapture(n_first: int, n_second: int, n_both: int) -> Recapture:
    """Estimate how many there are.

    Raises
    ------
    UsageError
        If more were found by both than by one of them.

    >>> found = recapture(n_first=60, n_second=50, n_both=30)
    >>> round(found.n_total, 1), round(found.recall, 3)
    (99.4, 0.503)
    """
    if not 0 <= n_both <= min(n_first, n_second):
        raise UsageError(
            f"{n_both} found by both cannot be, with {n_first} by the first and {n_second} by the "
            "second detector."
        )
    a, b, c = n_first, n_second, n_both
    total = (a + 1) * (b + 1) / (c + 1) - 1
    variance = (a + 1) * (b + 1) * (a - c) * (b - c) / ((c + 1) ** 2 * (c + 2))
    half = 1.959964 * math.sqrt(variance)
    return Recapture(a, b, c, total, max(total - half, float(a + b - c)), total + half)
