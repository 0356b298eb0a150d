"""How unsure a network is of a pixel, from its probabilities alone: no truth is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Views = NDArray[np.uint8]
"""Probabilities, 0 to 255, of the classes as a plane laid down in several ways gives them; shape
(views, classes, y, x). Classes exclude each other, and what they leave of 1 is background."""
Plane = NDArray[np.float32]


def entropy(views: Views) -> Plane:
    """Entropy of the mean of all views, shape (y, x): 0 where sure, 1 where all are as likely.

    C. E. Shannon, Bell System Technical Journal 27 (1948) 379, here in units of its largest value.

    >>> entropy(np.array([0, 128, 255], np.uint8).reshape(1, 1, 1, 3)).round(2).tolist()
    [[0.0, 1.0, 0.0]]
    """
    return _entropy(_shares(views).mean(0))


def margin(views: Views) -> Plane:
    """1 less the distance of the two likeliest classes, background counted; shape (y, x).

    T. Scheffer et al., IDA (2001) 309.

    >>> margin(np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)).astype(float).round(2).tolist()
    [[0.0, 0.4, 0.0]]
    """
    ordered = np.sort(_shares(views).mean(0), axis=0)
    found: Plane = 1 - (ordered[-1] - ordered[-2])
    return found


def disagreement(views: Views) -> Plane:
    """How much the views contradict each other, shape (y, x): 0 where all give the same.

    Entropy of their mean less the mean of their entropies: mutual information, as N. Houlsby et al.
    (arXiv:1112.5745) take it of drawn networks. Unlike entropy it is low where every view is
    unsure in the same way, such as along each border.

    >>> unlike = np.array([[0, 128], [255, 128]], np.uint8).reshape(2, 1, 1, 2)
    >>> disagreement(unlike).round(2).tolist()
    [[1.0, 0.0]]
    """
    shares = _shares(views)
    apart = np.mean([_entropy(view) for view in shares], axis=0, dtype=np.float32)
    found: Plane = np.maximum(_entropy(shares.mean(0)) - apart, 0, dtype=np.float32)
    return found


UNCERTAINTIES: dict[str, Callable[[Views], Plane]] = {
    "margin": margin, "entropy": entropy, "views": disagreement,
}
"""By name; ``views`` needs more than one view."""


def _shares(views: Views) -> Plane:
    """Shares of 1 of background and classes, shape (views, 1 + classes, y, x)."""
    n, classes, *plane = views.shape
    shares = np.empty((n, classes + 1, *plane), np.float32)
    np.multiply(views, np.float32(1 / 255), out=shares[:, 1:])
    # Rounded to bytes, three classes may add up to a little more than 1.
    np.maximum(1 - shares[:, 1:].sum(1), 0, out=shares[:, 0])
    return shares


def _entropy(shares: Plane) -> Plane:
    """Entropy of shares (classes, y, x), 1 at most."""
    total = np.zeros(shares.shape[1:], np.float32)
    for share in shares:
        total -= share * np.log(np.maximum(share, np.float32(1e-12)))
    total /= np.float32(np.log(len(shares)))
    found: Plane = np.clip(total, 0, 1, out=total)
    return found
