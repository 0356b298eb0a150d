"""Learning rate and decay of the average as pure functions of the step."""

from __future__ import annotations

import math

UNKNOWN_TOTAL = 5000
"""Steps assumed for the rise while the speed is still being measured."""

LAST = 1e-3
"""Share of the highest learning rate that is left at the end."""


def one_cycle(step: int, total: int | None, *, warm_up: float) -> float:
    """Share of the highest learning rate at `step` (from 0) of `total`.

    A linear rise, then a half cosine down (Smith 2018, arXiv:1708.07120). While `total` is not
    known the rise is that of `UNKNOWN_TOTAL` steps.

    >>> [round(one_cycle(k, 10, warm_up=0.2), 3) for k in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.039]
    """
    if total is None:
        return min(1.0, (step + 1) / max(1, round(warm_up * UNKNOWN_TOTAL)))
    rise = round(warm_up * total)
    if step < rise:
        return (step + 1) / rise
    done = (step - rise) / max(1, total - rise)
    return LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def average_decay(step: int, longest: float) -> float:
    """Decay of the moving average at `step`, short at first so that it forgets the start.

    >>> average_decay(0, 0.995), average_decay(10_000, 0.995)
    (0.1, 0.995)
    """
    return min(longest, (1 + step) / (10 + step))


def steps_in_time(
    *, timed: int, step_s: float, elapsed_s: float, reserve_s: float, max_s: float
) -> int:
    """Total number of steps that fit into `max_s` seconds.

    Parameters
    ----------
    timed
        Steps done when this is asked.
    step_s
        Seconds per step.
    elapsed_s, reserve_s
        Seconds gone since the start, set-up included, and seconds to keep for the test.

    >>> steps_in_time(timed=50, step_s=0.1, elapsed_s=15.0, reserve_s=5.0, max_s=60.0)
    450
    """
    left = max_s - elapsed_s - reserve_s
    return timed + max(0, int(left / max(step_s, 1e-6)))
