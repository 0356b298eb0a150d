"""Progress of long work: a bar with rate and time left on a terminal, a line every 30 s in the log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LOG_EVERY_S = 30.0


def track(items: Iterable[T], *, total: int, label: str, unit: str, done: int = 0) -> Iterator[T]:
    """Yield from `items` while showing how far the work is.

    Parameters
    ----------
    items
        What is worked through; one item is one `unit`.
    total
        How many items the whole work has, those `done` in an earlier run included.
    label, unit
        Words for the bar, e.g. ``"infer"`` and ``"block"``.
    done
        How many were finished before.
    """
    logger = logging.getLogger("fibseg.progress")
    start = last = time.monotonic()
    bar = tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        disable=not sys.stderr.isatty(),
        leave=False,
    )
    with bar:
        for n, item in enumerate(items, start=1):
            yield item
            bar.update()
            now = time.monotonic()
            if now - last >= LOG_EVERY_S or done + n == total:
                last = now
                rate = n / max(now - start, 1e-9)
                left = (total - done - n) / rate
                logger.info(
                    "%s: %d of %d %ss, %.3g %ss/s, %.0f s left",
                    label,
                    done + n,
                    total,
                    unit,
                    rate,
                    unit,
                    left,
                )
