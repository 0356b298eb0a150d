"""Correlations of objects that are drawn anew, with replacement: what the bootstrap looks at.

A draw is how often it holds each object. Pearson's coefficient comes from weighted sums, of all
draws in one product of matrices; for Spearman's, objects are sorted once, and ranks within a draw
are running sums. So a draw costs about 10 ns an object, and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.runs import first_of_equal

Values = NDArray[np.float64]
Counts = NDArray[np.int64]
"""How often each object is drawn, shape (draws, objects)."""

_AT_ONCE = 2**16
_CONSTANT = 1e-12
_LOST = 1e-6
_ENOUGH, _FEWEST = 40_000_000, 400


def n_draws(n_objects: int, n_bootstrap: int) -> int:
    """How many of `n_bootstrap` draws are made of so many objects.

    The coefficient itself is known to some 1/√n, and an end of its interval, by B draws, to a
    fraction 2.7/√B of that. So where n B is 4·10⁷, every end of a 95 % interval is right to some
    0.0004, which more draws would not tell from the truth; 400 are made of any number of objects.

    >>> n_draws(10_000, 2000), n_draws(50_000, 2000), n_draws(10**6, 2000)
    (2000, 800, 400)
    """
    return min(n_bootstrap, max(_FEWEST, _ENOUGH // n_objects))


def drawn_coefficients(
    x: Values, y: Values, *, draws: int, seed: int
) -> tuple[Values, Values]:
    """Pearson's and Spearman's coefficient of every draw, NaN where all values drawn are equal.

    Parameters
    ----------
    x, y
        Finite values of the objects, not all equal, in the order of `x`.
    draws, seed
        How often as many objects are drawn, with replacement, and from where.
    """
    pearson, spearman = _Pearson.of(x, y), _Spearman.of(x, y)
    found = [(pearson(times), spearman(times)) for times in _draws(len(x), draws, seed)]
    r, rho = zip(*found, strict=True)
    return np.concatenate(r), np.concatenate(rho)


def _draws(n: int, draws: int, seed: int) -> Iterator[Counts]:
    """How often each of `n` objects is drawn, shape (draws, n), as many draws as fit the cache."""
    rng = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // n)
    for start in range(0, draws, at_once):
        some = min(at_once, draws - start)
        picked = rng.integers(0, n, (some, n)) + np.arange(some)[:, None] * n
        yield np.bincount(picked.ravel(), minlength=some * n).reshape(some, n)


@dataclass(frozen=True)
class _Pearson:
    """Pearson's coefficient of draws, from sums of products: one product of matrices."""

    x: Values
    y: Values
    products: Values
    """x, y, x², y², xy of every object, shape (objects, 5)."""

    @classmethod
    def of(cls, x: Values, y: Values) -> _Pearson:
        """Ready for draws from the pairs `x`, `y`."""
        x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
        return cls(x, y, np.stack([x, y, x * x, y * y, x * y], axis=1))

    def __call__(self, times: Counts) -> Values:
        """Coefficient of every draw; NaN where all that were drawn have one value."""
        means = (times.astype(float) @ self.products).T / times.shape[1]
        mean_x, mean_y, xx, yy, xy = means
        spread_x, spread_y = xx - mean_x**2, yy - mean_y**2
        # Of all but equal values the difference of the sums would be little but their rounding.
        safe = (spread_x > _LOST * xx) & (spread_y > _LOST * yy)
        found = np.empty(len(times))
        scale = np.sqrt(spread_x[safe] * spread_y[safe])
        found[safe] = (xy - mean_x * mean_y)[safe] / scale
        found[~safe] = _in_two_passes(self.x, self.y, times[~safe])
        return found


@dataclass(frozen=True)
class _Spearman:
    """Spearman's coefficient of draws: objects are sorted once, the ranks of a draw are sums.

    Attributes
    ----------
    by_y, by_x
        Objects, sorted by x, in the order of y; and which of these is each object.
    equal_x, equal_y
        Where in either order each run of equal values begins, None if there are no equal ones.
    """

    by_y: NDArray[np.intp]
    by_x: NDArray[np.intp]
    equal_x: NDArray[np.intp] | None
    equal_y: NDArray[np.intp] | None

    @classmethod
    def of(cls, x: Values, y: Values) -> _Spearman:
        """Ready for draws from the pairs `x`, `y`."""
        by_y = np.argsort(y, kind="stable")
        return cls(by_y, np.argsort(by_y), _starts(x), _starts(y[by_y]))

    def __call__(self, times: Counts) -> Values:
        """Coefficient of every draw; NaN where all that were drawn have one value."""
        a = _ranks(times, self.equal_x)
        b = _ranks(times.take(self.by_y, axis=1), self.equal_y).take(self.by_x, axis=1)
        weighted_a, weighted_b = times * a, times * b
        spread = np.vecdot(weighted_a, a) * np.vecdot(weighted_b, b)
        found = np.full(len(times), np.nan)
        np.divide(np.vecdot(weighted_a, b), np.sqrt(spread), out=found, where=spread > 0)
        return found


def _starts(values: Values) -> NDArray[np.intp] | None:
    starts = first_of_equal(values)
    return None if len(starts) == len(values) else starts


def _ranks(times: Counts, equal: NDArray[np.intp] | None) -> Values:
    """Twice the rank of every object in every draw less its mean, the mean one among equals.

    Columns of `times` are in the order of the values. Whole numbers, whose mean over a draw is 0.
    """
    n = times.shape[1]
    together = times if equal is None else np.add.reduceat(times, equal, axis=1)
    ranks = 2 * np.cumsum(together, axis=1) - together - n
    if equal is not None:
        ranks = ranks.repeat(np.diff(equal, append=n), axis=1)
    return np.asarray(ranks, dtype=np.float64)


def _in_two_passes(x: Values, y: Values, times: Counts) -> Values:
    """Pearson's coefficient of every draw about its own mean; NaN where all have one value."""
    n = times.sum(axis=1, keepdims=True)
    x = x - (times * x).sum(axis=1, keepdims=True) / n
    y = y - (times * y).sum(axis=1, keepdims=True) / n
    spread = (times * x * x).sum(axis=1) * (times * y * y).sum(axis=1)
    least = _CONSTANT**2 * np.square(x).max(axis=1) * np.square(y).max(axis=1)
    found = np.full(len(times), np.nan)
    np.divide((times * x * y).sum(axis=1), np.sqrt(spread), out=found, where=spread > least)
    return found
