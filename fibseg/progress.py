"""Progress of long work: a bar on a terminal, a line every 30 s in the log, both with time left."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
LOG_EVERY_S = 30.0


@dataclass(frozen=True)
class Load:
    """What a stretch of work moves, in uncompressed bytes, and the grid of its blocks.

    Attributes
    ----------
    grid
        Shape of the volume and of a block, in voxels, where the work is done in blocks.
    threads
        How many a block uses well.
    """

    read_bytes: int = 0
    written_bytes: int = 0
    grid: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    threads: int = 1


NO_LOAD = Load()


@dataclass(frozen=True)
class Stage:
    """A stretch of work that was tracked: how many `unit`s, in how many seconds, moving what.

    Attributes
    ----------
    first_s
        Seconds of the first unit, in which libraries are loaded and networks compiled.
    """

    label: str
    unit: str
    n_units: int
    seconds: float
    first_s: float = 0.0
    load: Load = NO_LOAD

    @property
    def once_s(self) -> float:
        """Seconds of the first unit beyond what each of the others took: not per unit."""
        if self.n_units < 2:
            return 0.0
        return max(0.0, self.first_s - (self.seconds - self.first_s) / (self.n_units - 1))


_ledgers: list[list[Stage]] = []


@contextlib.contextmanager
def recorded() -> Iterator[list[Stage]]:
    """Context in which everything that is tracked is also written down, in the order it ended."""
    ledger: list[Stage] = []
    _ledgers.append(ledger)
    try:
        yield ledger
    finally:
        _ledgers.remove(ledger)


def recording() -> bool:
    """Whether anybody writes down what is tracked: whether it is worth knowing the load."""
    return bool(_ledgers)


def track(
    items: Iterable[T], *, total: int, label: str, unit: str, done: int = 0, load: Load = NO_LOAD
) -> Iterator[T]:
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
    load
        What all of it moves, for whoever records it.
    """
    begin, n, first = time.monotonic(), 0, 0.0
    lines = _Lines(label, unit, total=total, done=done)
    bar = tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        disable=not sys.stderr.isatty(),
        leave=False,
    )
    try:
        with bar, lines:
            for item in items:
                n += 1
                first = first or time.monotonic() - begin
                yield item
                bar.update()
                lines.one_more()
    finally:
        stage = Stage(label, unit, n, time.monotonic() - begin, first, load)
        for ledger in _ledgers:
            ledger.append(stage)


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
