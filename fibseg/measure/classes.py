"""Where in the cell an object sits: perinuclear, intermediate or peripheral, by a stated rule."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from fibseg.errors import UsageError

NAMES = ("perinuclear", "intermediate", "peripheral")
"""From the nucleus outwards."""
MISSING = ""
"""Class of an object without a distance."""
MIN_OBJECTS = 10
"""To fewer objects no mixture is fitted."""


@dataclass(frozen=True)
class Classes:
    """The class of every object and the rule that gave it.

    Attributes
    ----------
    names
        One of `NAMES` for every object, or `MISSING`.
    limits
        Where the first class ends and where the last begins; NaN if no rule could be found.
    rule
        The rule in words and numbers, for a methods section.
    """

    names: NDArray[np.str_]
    limits: tuple[float, float]
    rule: str


def by_thresholds(
    values: NDArray[Any], *, near: float, far: float, column: str = "distance_nucleus_um"
) -> Classes:
    """Perinuclear up to `near`, peripheral from `far` on, intermediate between them.

    Parameters
    ----------
    values
        How far from the nucleus every object is, NaN where that is not known.
    near, far
        In the unit of `values`.
    column
        What `values` are, for the rule.

    Raises
    ------
    UsageError
        If the thresholds are not in order.

    >>> by_thresholds(np.array([0.2, 1.0, 7.0, np.nan]), near=0.5, far=3).names.tolist()
    ['perinuclear', 'intermediate', 'peripheral', '']
    """
    if not near < far:
        raise UsageError(
            f"near={near} is not below far={far}. Give them from the nucleus outwards."
        )
    rule = (
        f"{NAMES[0]} where {column} ≤ {near:.4g}, {NAMES[2]} where it is ≥ {far:.4g}, "
        f"{NAMES[1]} between"
    )
    return Classes(_classified(values, near, far), (float(near), float(far)), rule)


def by_mixture(
    values: NDArray[Any], *, column: str = "distance_nucleus_um", seed: int = 0
) -> Classes:
    """Classes by a mixture of three normal distributions that is fitted to the objects.

    An object belongs to the component that is the likelier at its value, between the means of two
    components; beyond the outer means to the outer component, even where a wide one would win
    again, so that the classes follow each other outwards.

    Parameters
    ----------
    values
        How far from the nucleus every object is, NaN where that is not known.
    column
        What `values` are, for the rule.
    seed
        Of the starts of the fit.

    Returns
    -------
    Classes
        With all objects `MISSING`, and the reason as the rule, if fewer than `MIN_OBJECTS` have a
        value, or these are fewer than three different ones.
    """
    values = np.asarray(values, dtype=float)
    known = np.sort(values[np.isfinite(values)])
    if len(known) < MIN_OBJECTS or len(np.unique(known)) < len(NAMES):
        n, values_of = len(known), len(np.unique(known))
        reason = (
            f"no classes: {n} object{'s' * (n != 1)} with {values_of} different "
            f"value{'s' * (values_of != 1)} of {column} allow{'s' * (n == 1)} no mixture of three "
            f"(at least {MIN_OBJECTS} objects)"
        )
        none = np.full(len(values), MISSING, dtype=_TYPE)
        return Classes(none, (math.nan, math.nan), reason)
    parts = _fitted(known, seed)
    near, far = (_border(*pair) for pair in itertools.pairwise(parts))
    described = "; ".join(
        f"{name} mean {part.mean:.4g}, sd {part.sd:.4g}, share {part.share:.3f}"
        for name, part in zip(NAMES, parts, strict=True)
    )
    rule = (
        f"mixture of three normal distributions of {column} of {len(known)} objects (seed {seed}): "
        f"{described}; borders at {near:.4g} and {far:.4g}"
    )
    return Classes(_classified(values, near, far), (near, far), rule)


_TYPE = f"<U{max(map(len, NAMES))}"


@dataclass(frozen=True)
class _Part:
    """One component of a mixture."""

    mean: float
    sd: float
    share: float


def _fitted(values: NDArray[np.float64], seed: int) -> list[_Part]:
    """The three components, in order of their means; fitted in units of the values' spread."""
    spread = values.std()
    mixture = GaussianMixture(len(NAMES), n_init=10, random_state=seed, max_iter=1000)
    mixture.fit((values / spread)[:, None])
    means, variances = mixture.means_[:, 0], mixture.covariances_[:, 0, 0]
    return [
        _Part(float(means[i] * spread), float(math.sqrt(variances[i]) * spread),
              float(mixture.weights_[i]))
        for i in np.argsort(means)
    ]


def _border(low: _Part, high: _Part) -> float:
    """Where, between their means, two components are equally likely; half-way if nowhere."""
    inverse = [1 / part.sd**2 for part in (low, high)]
    a = (inverse[1] - inverse[0]) / 2
    b = low.mean * inverse[0] - high.mean * inverse[1]
    c = (high.mean**2 * inverse[1] - low.mean**2 * inverse[0]) / 2 + math.log(
        low.share * high.sd / (high.share * low.sd)
    )
    roots = np.roots([a, b, c]) if a else np.array([-c / b])
    between = [
        float(root.real) for root in roots
        if abs(root.imag) < 1e-9 * abs(root) and low.mean <= root.real <= high.mean
    ]
    return between[0] if between else (low.mean + high.mean) / 2


def _classified(values: NDArray[Any], near: float, far: float) -> NDArray[np.str_]:
    values = np.asarray(values, dtype=float)
    names = np.full(len(values), NAMES[1], dtype=_TYPE)
    names[values <= near] = NAMES[0]
    names[values >= far] = NAMES[2]
    names[~np.isfinite(values)] = MISSING
    return names
