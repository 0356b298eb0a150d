"""What is done on a block, in three steps, so that reading and writing overlap with computing.

::

    read      |--1--|--2--|       |--3--|
    compute         |----1----|----2----|----3----|
    write                     |--1--|   |--2--|   |--3--|      time ->
"""

from __future__ import annotations

import itertools
import pickle
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from fibseg.blocks.grid import Block
from fibseg.errors import DiskFullError, FibsegError, StoppedAtOnce, UsageError

IN_FLIGHT = 3
"""Blocks that a process holds: one is computed, one read ahead, one written behind it."""


class Task:
    """Work on blocks. A block is read, computed and written, each once, in threads of their own.

    What is read and what is written must be done when the method returns; `write` commits.
    """

    @property
    def threads(self) -> int:
        """Threads that `compute` uses well; where cores are shared out, a worker has as many."""
        return 1

    @property
    def ahead(self) -> bool:
        """Whether a worker is given more blocks than it computes; not where each takes hours."""
        return True

    def read(self, block: Block) -> Any:
        """What `compute` needs from the disk; nothing unless a subclass says so."""
        return None

    def compute(self, block: Block, parts: Any) -> Any:
        """Result of the block from what `read` returned."""
        raise NotImplementedError

    def write(self, block: Block, result: Any) -> Any:
        """Value of the outcome of the block, small, once its result is stored."""
        return result


@dataclass(frozen=True)
class Outcome:
    """What came of one block: `value`, or the last line and the whole text of the `error`.

    `full` says that there was no room for it on the disk, which is no fault of the block.
    """

    block: Block
    value: Any = None
    error: str | None = None
    trace: str = ""
    full: bool = False


class Lane:
    """Blocks of one process: one is computed while others are read ahead and written behind.

    One thread computes, so that libraries find the cores to themselves. It holds what was read for,
    or what came of, at most `IN_FLIGHT` blocks: two more than one block after the other would.
    """

    def __init__(self) -> None:
        self._blocks = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="block")
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="compute")
        # Threads of their own, so that who stops at once can wait for what is being written alone.
        self._writing = ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="write")
        self._turns = itertools.count()
        self._turn = 0
        self._reading = threading.Condition()

    def submit(self, task: Task, block: Block) -> Future[Any]:
        """What `task` will return for `block`; blocks are begun in the order of submission."""
        return self._blocks.submit(self._run, task, block)

    def __enter__(self) -> Lane:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the block that is computed; drop those after it.

        Raises
        ------
        StoppedAtOnce
            In place of a KeyboardInterrupt, which waits for no more than what is being written.
        """
        self._blocks.shutdown(wait=False, cancel_futures=True)
        at_once = isinstance(error, KeyboardInterrupt)
        self._computing.shutdown(wait=not at_once, cancel_futures=True)
        if at_once:
            self._writing.shutdown()  # a block that comes too late finds it closed
            raise StoppedAtOnce from error
        self._blocks.shutdown()
        self._writing.shutdown()

    def _run(self, task: Task, block: Block) -> Any:
        result = self._computed(next(self._turns), task, block).result()
        return self._writing.submit(task.write, block, result).result()

    def _computed(self, turn: int, task: Task, block: Block) -> Future[Any]:
        """Read a block and put it in line; no block overtakes another, however threads are run.

        One is read at a time, for sources that are a file with a position.
        """
        with self._reading:
            self._reading.wait_for(lambda: self._turn == turn)
            try:
                # No name is kept for what was read: it is freed before the result is written.
                return self._computing.submit(task.compute, block, task.read(block))
            finally:
                self._turn += 1
                self._reading.notify_all()


def outcome_of(block: Block, future: Future[Any]) -> Outcome:
    """What came of a block, once it is known."""
    error = future.exception()
    return Outcome(block, future.result()) if error is None else failure(block, error)


def failure(block: Block, error: BaseException) -> Outcome:
    """Outcome of a block whose task raised `error`."""
    known = isinstance(error, FibsegError)  # says all that there is to say
    trace = str(error) if known else "".join(traceback.format_exception(error))
    if isinstance(error, DiskFullError):
        return Outcome(block, error=str(error), trace=trace, full=True)
    return Outcome(block, error=f"{type(error).__name__}: {error}", trace=trace)


def pickled(task: Task) -> bytes:
    """The task as it travels to other processes.

    Raises
    ------
    UsageError
        If a part of it cannot.
    """
    try:
        return pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"a part of the work cannot travel to other processes: {error}. "
            "Use functions defined in a module, or blocks=serial."
        ) from error
