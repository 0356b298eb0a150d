"""How sure it is that a place is a pore: told by all places together, without a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from fibseg.errors import DataError
from fibseg.pseudolabel.envelope import Floats
from fibseg.types import Table

FEWEST = 12
"""Candidates below which a mixture means nothing."""
LEAST_SEPARATION = 2.0
"""Standard deviations (Ashman's D) that pores and chance have to lie apart."""


def confidence(
    table: Table, *, of: Table | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """Probability of each candidate to be a pore, (n,).

    A mixture of two normal distributions of both contrasts (McLachlan and Peel, Finite mixture
    models, Wiley 2000); the one with the higher mean is pores. What exceeds the mean of pores on
    both counts is as sure as the mean: a wide component of chance must not win back the extremes.

    Parameters
    ----------
    table
        Of `candidates`.
    of
        Other places, of `sites_at`, to tell of instead; both kinds are learned from the candidates.

    Raises
    ------
    DataError
        If there are too few candidates, or they are not of two kinds.
    """
    values = _contrasts(table)
    if len(values) < FEWEST:
        raise DataError(
            f"{len(values)} places on the envelope look like pores at all, at least {FEWEST} are "
            "needed to tell pores from chance. Check the nucleus mask, the polarity of the volume "
            "and its spacing."
        )
    mixture = GaussianMixture(2, n_init=5, random_state=seed).fit(values)
    pores = int(np.argmax(mixture.means_.sum(axis=1)))
    mean, other = mixture.means_[pores], mixture.means_[1 - pores]
    apart = _separation(mixture, pores)
    if not (mean > other).all() or apart < LEAST_SEPARATION:
        raise DataError(
            "places on the envelope are not of two kinds, pores and chance: the clearer ones have "
            f"a gap of contrast {mean[0]:.3g} against {other[0]:.3g} and a pocket of {mean[1]:.3g} "
            f"against {other[1]:.3g}, {apart:.2g} standard deviations apart (at least "
            f"{LEAST_SEPARATION:g} are needed). Check the nucleus mask and the polarity; an "
            "envelope without pores cannot be trained on."
        )
    asked = values if of is None else _contrasts(of)
    if not len(asked):
        return np.zeros(0)
    found: NDArray[np.float64] = mixture.predict_proba(np.minimum(asked, mean))[:, pores]
    return found


def _contrasts(table: Table) -> Floats:
    return np.stack([table["gap_contrast"], table["pocket_contrast"]], axis=1)


def _separation(mixture: GaussianMixture, pores: int) -> float:
    """Distance of both means in standard deviations, along the line between them.

    Ashman's D (Ashman, Bird and Zepf, Astron J 108:2348, 1994): above 2 two groups are clear.
    """
    line = mixture.means_[pores] - mixture.means_[1 - pores]
    length = float(np.linalg.norm(line))
    spread = sum(float(line @ c @ line) for c in mixture.covariances_) / max(length, 1e-12) ** 2
    return float(np.sqrt(2 / max(spread, 1e-12)) * length)
