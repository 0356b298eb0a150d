"""Progress of long work: a bar on a terminal, a line every 30 s in the log, both with time left."""

from __future__ import annotations

import logging
import sys
import threading
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
    lines = _Lines(label, unit, total=total, done=done)
    bar = tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        disable=not sys.stderr.isatty(),
        leave=False,
    )
    with bar, lines:
        for item in items:
            yield item
            bar.update()
            lines.one_more()


class _Lines:
    """A line in the log every 30 s, also while one item takes longer, and one at the end."""

    def __init__(self, label: str, unit: str, *, total: int, done: int) -> None:
        self._label, self._unit, self._total, self._before = label, unit, total, done
        self._n = 0
        self._start = time.monotonic()
        self._stop = threading.Event()
        self._clock = threading.Thread(target=self._tick, name=f"progress {label}", daemon=True)

    def __enter__(self) -> _Lines:
        self._clock.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def one_more(self) -> None:
        """Count one item; the last one gets its line at once."""
        self._n += 1
        if self._before + self._n == self._total:
            self._stop.set()
            self._log()

    def _tick(self) -> None:
        while not self._stop.wait(LOG_EVERY_S):
            self._log()

    def _log(self) -> None:
        n, seconds = self._n, max(time.monotonic() - self._start, 1e-9)
        done = f"{self._label}: {self._before + n} of {self._total} {self._unit}s"
        if n:
            left = (self._total - self._before - n) * seconds / n
            rest = f"{n / seconds:.3g} {self._unit}s/s, {left:.0f} s left"
        else:
            rest = f"{seconds:.0f} s so far"
        logging.getLogger("fibseg.progress").info("%s, %s", done, rest)
