"""SIGINT and SIGTERM as a wish to stop: blocks in flight are finished first.

A second one ends the run at once. That is safe, as a crash is: a block is marked done only once it
is written.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """Context in which the first SIGINT or SIGTERM sets `requested` and a second acts as ever.

    Outside the main thread, where Python takes no signals, it does nothing.

    Parameters
    ----------
    then
        Called at the first, to pass the wish on.
    """

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self.requested = False
        self._then = then
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()
        if self._then is not None:
            self._then()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
