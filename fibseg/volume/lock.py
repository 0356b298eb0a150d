"""One writer per target: a file beside the product names the run that is writing it.

``probabilities/m`` has the lock ``probabilities/.m.lock``, a line of JSON with host, process id,
start time and command line of the writer. Readers need no lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import logging
import os
import platform
import shlex
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from fibseg.errors import BusyError
from fibseg.volume.files import partial_path, room_for

_log = logging.getLogger("fibseg.volume")
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Errors of writing where nothing can be written."""

_LOOK_EVERY_S = 0.01
MOST_RETRIES = 100
_SAME_START_S = 10.0
"""Process starts that differ by less are one: a clock that is set shifts all of them."""

READER = "reading-"
"""Begin of the name that a run locks in a folder which it only reads."""

_held: dict[Path, int] = {}
"""Locks of this process, and the thread that took each."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; `token` tells two runs of one process apart."""

    host: str
    pid: int
    started: float
    command: str
    token: str

    @classmethod
    def this_process(cls) -> Holder:
        """The running process."""
        return cls(
            host=platform.node(), pid=os.getpid(), started=psutil.Process().create_time(),
            command=" ".join(shlex.join(sys.orig_argv).split()), token=uuid.uuid4().hex,
        )

    @classmethod
    def of(cls, pid: int, command: Sequence[str]) -> Holder:
        """A process of this machine that was started a moment ago and not waited for yet."""
        return cls(
            host=platform.node(), pid=pid, started=psutil.Process(pid).create_time(),
            command=shlex.join(command), token=uuid.uuid4().hex,
        )

    @property
    def gone(self) -> bool:
        """Whether it certainly does not run any more; false for a process of another host."""
        if self.host != platform.node():
            return False
        try:
            process = psutil.Process(self.pid)
            ended = process.status() == psutil.STATUS_ZOMBIE
            return ended or abs(process.create_time() - self.started) > _SAME_START_S
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False

    def __str__(self) -> str:
        start = datetime.datetime.fromtimestamp(self.started).isoformat(" ", "seconds")
        return f"process {self.pid} on {self.host}, started {start} ({self.command})"


@contextlib.contextmanager
def locked(target: str | Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Context in which no other run writes to `target`, a file or folder that need not exist yet.

    The lock goes also after an error. One that a killed run left is taken over. The same thread
    may lock again what it holds. Where nothing can be written no lock is needed and none is made.
    A folder that is made for the lock goes with it, unless something else is in it by then.

    Parameters
    ----------
    target
        What is going to be written.
    wait_s
        Seconds to wait for a lock that others hold for a moment only.

    Raises
    ------
    DiskFullError
        If there is no room for the lock.
    BusyError
        If another run holds the lock, or one of another host does that cannot be judged from here.
    """
    path = lock_path(Path(target))
    if _held.get(path) == threading.get_ident():
        yield
        return
    new_folder = not path.parent.exists()
    holder = _acquire(path, Path(target), until=time.monotonic() + wait_s)
    if holder is None:
        yield
        return
    _held[path] = threading.get_ident()
    try:
        yield
    finally:
        del _held[path]
        if read_holder(path) == holder:
            path.unlink(missing_ok=True)
        if new_folder:
            with contextlib.suppress(OSError):
                path.parent.rmdir()


@contextlib.contextmanager
def reading(folder: str | Path, *, name: str) -> Iterator[None]:
    """Context in which no other run replaces `folder`, for one that writes no product in it.

    Parameters
    ----------
    folder
        What is read.
    name
        Name of the run; the same one takes over what it left when it was killed.

    Raises
    ------
    BusyError
        If another run is replacing it, or one of this name is reading it.
    """
    with locked(Path(folder) / f"{READER}{name}"):
        refuse_locked(folder)
        yield


def refuse_locked(target: str | Path) -> None:
    """`BusyError` if another run holds the lock of `target` at this moment."""
    path = lock_path(Path(target))
    holder = read_holder(path)
    if holder is not None and not holder.gone and _held.get(path) != threading.get_ident():
        raise BusyError(_refusal(Path(target), holder, path))


def refuse_used(folder: Path) -> None:
    """`BusyError` if another run works in `folder`: if it holds the lock of something inside."""
    whole = Path(os.path.abspath(folder))  # noqa: PTH100 - as for locks
    for path in sorted([*whole.glob(".*.lock"), *whole.glob("*/.*.lock")]):
        holder = read_holder(path)
        if holder is not None and not holder.gone and _held.get(path) != threading.get_ident():
            raise BusyError(
                f"{folder} cannot be replaced: {holder} is working in it. Wait until it is done, "
                f"or stop it; if it is dead on another machine, remove {path}."
            )


def free(target: str | Path) -> None:
    """Remove the lock that a run left which was killed when `target` was finished already."""
    holder = read_holder(lock_path(Path(target)))
    if holder is not None and holder.gone:
        with contextlib.suppress(BusyError), locked(target):
            pass


def lock_path(target: Path) -> Path:
    """Where the lock of `target` lies: hidden, beside it."""
    whole = Path(os.path.abspath(target))  # noqa: PTH100 - a link is replaced itself, not followed
    return whole.with_name(f".{whole.name}.lock")


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock at `path`; None if there is none, or no line that can be read."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _acquire(path: Path, target: Path, *, until: float) -> Holder | None:
    """The holder, which is this process; None where nothing can be written."""
    holder = Holder.this_process()
    gone = 0
    while True:
        try:
            with room_for(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                if _create(path, json.dumps(asdict(holder)) + "\n"):
                    return holder
        except FileNotFoundError:  # the folder went with another lock
            gone += 1
            if gone > MOST_RETRIES:  # or is one in which no file can be made, such as /proc
                raise
            continue
        except OSError as error:
            if error.errno in READ_ONLY:
                return None
            raise
        try:
            _remove_if_stale(path, target)
        except BusyError:
            if time.monotonic() >= until:
                raise
            time.sleep(_LOOK_EVERY_S)


def _create(path: Path, text: str) -> bool:
    """Make the file with its contents in one step; false if there is one already."""
    draft = partial_path(path)
    try:
        draft.write_text(text, encoding="utf-8")
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    except OSError:
        if not draft.exists():
            raise
        return _create_plainly(path, text)  # a file system without hard links
    finally:
        draft.unlink(missing_ok=True)
    return True


def _create_plainly(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise
    return True


def _remove_if_stale(path: Path, target: Path) -> None:
    """Clear a lock that a killed run left.

    Raises
    ------
    BusyError
        If it is not known to be one.
    """
    holder = read_holder(path)
    if holder is None and not path.exists():
        return  # released this moment
    if holder is None or not holder.gone:
        raise BusyError(_refusal(target, holder, path))
    # Of several runs that see the same stale lock only the one that locks the lock itself may
    # remove it, and only if it is still that one: not the lock of a run that was quicker.
    with locked(path):
        if read_holder(path) == holder:
            _log.info("%s was being written by %s, which is gone: taken over", target, holder)
            path.unlink()


def _refusal(target: Path, holder: Holder | None, path: Path) -> str:
    if holder is None:
        return (
            f"{target} is locked by {path}, which does not say by whom. If no run writes to it, "
            "remove that file."
        )
    if holder.host != platform.node():
        return (
            f"{target} is being written by {holder}. Wait for it; if that run is dead, which "
            f"cannot be seen from {platform.node()}, remove {path}."
        )
    return (
        f"{target} is being written by {holder}. Wait until it is done, or stop it and run the "
        "same command again."
    )
