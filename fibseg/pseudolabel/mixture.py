"""How sure it is that a place is a pore: told by all places together, without a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.mixture import GaussianMixture

from fibseg.errors import DataError
from fibseg.pseudolabel.envelope import Floats
from fibseg.types import Table

FEWEST = 12
"""Candidates below which a mixture means nothing."""
LEAST_SEPARATION = 2.0
"""Standard deviations (Ashman's D) that pores and chance have to lie apart."""
LEAST_CLEARNESS, LEAST_OF_EACH = 4.0, 1.5
"""Standard deviations of all places that their mean has to lie from no contrast for all to be
pores: of both contrasts together, and of each alone.

Places of chance are maxima of a random field, whose heights scatter by a third of their mean or
more: together they lie at 1.7 to 3.0 on five phantoms, also without pores, with the stain inverted
and with the mask 200 nm off, and pores beside chance at 2.1; the pores of these phantoms alone lie
at 5.6 to 6.7. A pocket of chance lies at 1.4 at most, of pores at 2.3 at least.
"""


def confidence(
    table: Table, *, of: Table | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """Probability of each candidate to be a pore, (n,).

    A mixture of two normal distributions of both contrasts (McLachlan and Peel, Finite mixture
    models, Wiley 2000); the one with the higher mean is pores. What exceeds the mean of pores on
    both counts is as sure as the mean: a wide component of chance must not win back the extremes.

    On an envelope that is full of pores, or hardly noisy, every candidate is a pore, and a mixture
    would part them at random. So where the mean contrast of all is far from none, in units of their
    own scatter (`LEAST_CLEARNESS`), each is told from chance of no contrast that scatters alike.
    Whether one or two normal distributions fit better (by BIC) is not asked: of the pores of a
    phantom alone it found two, and of 16 to 24 of its places, half of them pores, one in a third of
    the draws.

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
    asked = values if of is None else _contrasts(of)
    mean, covariance = values.mean(axis=0), np.cov(values.T)
    if _all_pores(mean, covariance):
        return _against_none(asked, mean, np.diag(covariance))
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
    if not len(asked):
        return np.zeros(0)
    found: NDArray[np.float64] = mixture.predict_proba(np.minimum(asked, mean))[:, pores]
    return found


def _contrasts(table: Table) -> Floats:
    return np.stack([table["gap_contrast"], table["pocket_contrast"]], axis=1)


def _all_pores(mean: Floats, covariance: Floats) -> bool:
    """Whether all places are pores, but for a few: a normal distribution of them far from none."""
    variance = np.diag(covariance)
    if not (variance > 0).all() or np.linalg.det(covariance) <= 1e-9 * variance.prod():
        return False  # places of one line tell of one contrast only
    together = float(np.sqrt(mean @ np.linalg.solve(covariance, mean)))  # Mahalanobis
    return together >= LEAST_CLEARNESS and bool((mean / np.sqrt(variance) >= LEAST_OF_EACH).all())


def _against_none(asked: Floats, mean: Floats, variance: Floats) -> NDArray[np.float64]:
    """Probability to be one of these, rather than chance of no contrast that scatters alike.

    Each contrast counts for itself, so that more of one never tells against a pore.
    """
    if not len(asked):
        return np.zeros(0)
    odds = (np.minimum(asked, mean) - mean / 2) @ (mean / variance)
    found: NDArray[np.float64] = expit(odds)
    return found


def _separation(mixture: GaussianMixture, pores: int) -> float:
    """Distance of both means in standard deviations, along the line between them.

    Ashman's D (Ashman, Bird and Zepf, Astron J 108:2348, 1994): above 2 two groups are clear.
    """
    line = mixture.means_[pores] - mixture.means_[1 - pores]
    length = float(np.linalg.norm(line))
    spread = sum(float(line @ c @ line) for c in mixture.covariances_) / max(length, 1e-12) ** 2
    return float(np.sqrt(2 / max(spread, 1e-12)) * length)
