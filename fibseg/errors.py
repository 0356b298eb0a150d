"""Every error that fibseg raises on purpose, each with the exit code that the command ends with."""

from __future__ import annotations

import errno
from collections.abc import Iterable

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the system's errors that a `DiskFullError` stands for."""


class FibsegError(Exception):
    """What is wrong with the values seen, then what to do about it."""

    exit_code = 65


class DataError(FibsegError):
    """A volume, annotation, table or model that cannot be worked with (exit code 65)."""


class ExistsError(DataError):
    """A product stands already with other contents (exit code 65)."""


class BusyError(DataError):
    """Another run is writing to the same target (exit code 65)."""


class RoomError(DataError):
    """Memory or disk will not do for what was asked (exit code 65)."""


class UsageError(FibsegError):
    """A command or a setting that cannot be meant (exit code 2)."""

    exit_code = 2


class PartlyDoneError(FibsegError):
    """Some blocks failed and are listed; all others are finished (exit code 3).

    Attributes
    ----------
    reasons
        The error of each failed block, as text that begins with its kind.
    """

    exit_code = 3

    def __init__(self, message: str, reasons: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.reasons = tuple(reasons)


class InterruptedRunError(FibsegError):
    """The run was stopped from outside; the same command continues it (exit code 75).

    Attributes
    ----------
    time_is_up
        Whether that was because the time of a job is nearly over.
    """

    exit_code = 75

    def __init__(self, message: str, *, time_is_up: bool = False) -> None:
        super().__init__(message)
        self.time_is_up = time_is_up


class StoppedAtOnce(KeyboardInterrupt):
    """Ctrl-C was pressed again: a block is still computed, in a thread, and will not be written.

    An ordinary end of the process would wait for it.
    """


class DiskFullError(InterruptedRunError):
    """No room on a disk or in a quota (exit code 75).

    Nothing is wrong with the command or the data: once there is room, the same command continues
    it, as it does a run that was stopped from outside.
    """
