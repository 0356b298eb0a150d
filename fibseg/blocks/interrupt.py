"""SIGINT, SIGTERM and SIGUSR1 as a wish to stop: blocks in flight are finished first.

A second one ends the run at once. That is safe, as a crash is: a block is marked done only once it
is written.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from fibseg.errors import InterruptedRunError

TIME_IS_UP: signal.Signals | None = getattr(signal, "SIGUSR1", None)
"""What SLURM is asked to send before the time of a job is over; not on Windows."""


def free(number: signal.Signals) -> bool:
    """Whether a signal acts as ever, or is handled here: no one else has a use for it."""
    handler = signal.getsignal(number)
    as_ever = handler in (signal.SIG_DFL, signal.default_int_handler)
    return as_ever or getattr(handler, "__module__", None) == __name__


class Interrupt:
    """Context in which the first SIGINT or SIGTERM sets `requested` and a second acts as ever.

    So does SIGUSR1, which also sets `time_is_up`, unless a launcher of jobs waits for it. Outside
    the main thread, where Python takes no signals, it does nothing.

    Parameters
    ----------
    then
        Called at the first, to pass the wish on.
    """

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self.requested = self.time_is_up = False
        self._then = then
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            taken = [signal.SIGINT, signal.SIGTERM]
            if TIME_IS_UP is not None and free(TIME_IS_UP):
                taken.append(TIME_IS_UP)
            self._before = {number: signal.signal(number, self._note) for number in taken}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested, self.time_is_up = True, number == TIME_IS_UP
        self._restore()
        if self._then is not None:
            self._then()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Context in which SIGTERM and SIGUSR1 raise: for work that cannot be stopped in between.

    Signals that another program has taken, as a launcher of jobs does, are left to it.

    Raises
    ------
    InterruptedRunError
        At a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [n for n in (signal.SIGTERM, TIME_IS_UP) if n is not None and free(n)]
    before = {number: signal.signal(number, _raise) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise InterruptedRunError(
        f"Stopped by {signal.Signals(number).name}. The same command goes on from what is stored.",
        time_is_up=number == TIME_IS_UP,
    )
