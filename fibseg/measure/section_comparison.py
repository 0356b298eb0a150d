"""What is said of a column in two sections of one nucleus."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Comparison:
    """What a column is in section 1 and 2, and how far the difference can be chance.

    Attributes
    ----------
    n_1, n_2, mean_1, mean_2
        Objects with a value, and their mean.
    difference, low, high
        Mean of section 1 less that of section 2, and its interval by drawing patches anew.
    welch_t, welch_df, welch_p
        Two-tailed, every object counted, as in the case study.
    hedges_g, hedges_low, hedges_high
        Difference in standard deviations (Hedges, J Educ Stat 6:107, 1981), the interval by
        drawing patches.
    blocks_p
        The recommended one: of as large a difference if a dozen large blocks of envelope are dealt
        to the sections at random, or by Welch's test of the means of the blocks, whichever is
        larger; the median over several ways to cut the blocks.
    patches_p
        The same of patches of about 1 µm², dealt at random.
    splits_p
        Of as large a difference if the same envelope is split by planes in random directions: the
        strictest, right even where density changes from one end of the nucleus to the other, and
        blind to most differences that are there.
    n_patches_1, n_patches_2, n_blocks_1, n_blocks_2
        How many patches and blocks have a value.
    """

    n_1: int
    n_2: int
    mean_1: float
    mean_2: float
    difference: float
    low: float
    high: float
    welch_t: float
    welch_df: float
    welch_p: float
    hedges_g: float
    hedges_low: float
    hedges_high: float
    blocks_p: float
    patches_p: float
    splits_p: float
    n_patches_1: int
    n_patches_2: int
    n_blocks_1: int
    n_blocks_2: int


def undefined(one: NDArray[np.float64], two: NDArray[np.float64]) -> Comparison:
    """Numbers and means of two sections, and NaN for all that cannot be said of so few."""
    means = [float(part.mean()) if len(part) else float("nan") for part in (one, two)]
    known: dict[str, Any] = {
        "n_1": len(one), "n_2": len(two), "mean_1": means[0], "mean_2": means[1],
        "difference": means[0] - means[1],
    }
    for field in fields(Comparison):
        known.setdefault(field.name, 0 if field.name.startswith("n_") else float("nan"))
    return Comparison(**known)
