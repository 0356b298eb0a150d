"""Worker processes of this machine, each of which reads ahead and writes behind on its own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fibseg.blocks.grid import Block
from fibseg.blocks.interrupt import TIME_IS_UP
from fibseg.blocks.task import Lane, Outcome, Task, failure, outcome_of
from fibseg.blocks.threads import thread_variables
from fibseg.errors import UsageError

_log = logging.getLogger("fibseg.blocks")

DIED_TWICE = "its worker process died twice (killed, or out of memory)"
CANNOT_START = (
    "worker processes could not start. A script that uses them needs "
    "'if __name__ == \"__main__\":' around its work, and must be a file. Or use blocks=serial."
)
STARTS = 3
"""So often a worker is started that is killed before it is there."""


class Worker:
    """One process, the line to it, and the blocks that it has been given."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, other_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(other_end,), name="fibseg worker")
        self.process.start()
        other_end.close()
        self.blocks: dict[int, Block] = {}

    def greet(self) -> bool:
        """Whether it is there, for which it waits; false if somebody killed it meanwhile.

        Raises
        ------
        UsageError
            If it ended by itself.
        """
        try:
            self.line.recv()
        except (EOFError, OSError) as error:
            self.close()
            if (self.process.exitcode or 0) < 0:  # a signal, of the out-of-memory killer, say
                return False
            raise UsageError(CANNOT_START) from error
        return True

    def send(self, message: Block | bytes) -> None:
        """Give it a block, or the task that those after it are for."""
        if isinstance(message, Block):
            self.blocks[message.index] = message
        with contextlib.suppress(OSError):  # it is dead, which `receive` notices
            self.line.send(message)

    def receive(self) -> Outcome | None:
        """One outcome, for which it waits; None if the worker is dead."""
        try:
            outcome: Outcome = self.line.recv()
        except (EOFError, OSError):
            return None
        del self.blocks[outcome.block.index]
        return outcome

    def close(self) -> None:
        """End it, after the block that it computes, and wait for that."""
        self.line.close()
        self.process.join()


class Pool:
    """So many workers, whose libraries use so many threads each.

    Raises
    ------
    UsageError
        If processes cannot start.
    """

    def __init__(self, n_workers: int, threads: int) -> None:
        self._threads = threads
        self._task = b""
        self._workers = self._started(range(n_workers))

    def begin(self, task: bytes) -> None:
        """Hand the pickled task to all workers, once; blocks follow."""
        self._task = task
        for worker in self._workers:
            worker.send(task)

    def send(self, block: Block) -> None:
        """Give a block to the worker that has the fewest."""
        min(self._workers, key=lambda worker: len(worker.blocks)).send(block)

    def landed(self) -> Iterator[Outcome]:
        """Yield what has come of blocks, at least one, for which it waits."""
        speaking = wait([worker.line for worker in self._workers if worker.blocks])
        for worker in [worker for worker in self._workers if worker.line in speaking]:
            outcome = worker.receive()
            if outcome is None:
                _log.warning("a worker process died; its blocks are tried again one by one")
                yield from self._after_a_death()
                return
            yield outcome

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.line.close()
        for worker in self._workers:
            worker.process.join()

    def kill(self) -> None:
        """End all workers at once; what they compute or write is lost, and done again next time."""
        for worker in self._workers:
            worker.process.kill()
        self.close()

    def _after_a_death(self) -> Iterator[Outcome]:
        """Yield what comes of all blocks in flight; those of dead workers are tried alone."""
        lost: list[Block] = []
        for worker in self._workers:
            while worker.blocks:
                outcome = worker.receive()
                if outcome is None:
                    lost += worker.blocks.values()
                    self._replace(worker)
                    break
                yield outcome
        for block in lost:
            alone = self._workers[0]
            alone.send(block)
            outcome = alone.receive()
            if outcome is None:
                self._replace(alone)
            yield outcome or Outcome(block, error=DIED_TWICE, trace=DIED_TWICE)

    def _replace(self, worker: Worker) -> None:
        worker.close()
        number = self._workers.index(worker)
        (other,) = self._started([number])
        other.send(self._task)
        self._workers[number] = other

    def _started(self, numbers: Sequence[int]) -> list[Worker]:
        workers = [self._launched(number) for number in numbers]
        try:
            for n, number in enumerate(numbers):
                for _ in range(STARTS):
                    if workers[n].greet():
                        break
                    workers[n] = self._launched(number)
                else:
                    raise UsageError(CANNOT_START)
        except UsageError:
            for worker in workers:
                worker.close()
            raise
        return workers

    def _launched(self, number: int) -> Worker:
        with thread_variables(self._threads, worker=number), _ctrl_c_later():
            return Worker()


_idle: dict[tuple[int, int, str], Pool] = {}
"""Pools by number of workers, threads, and the folder in which they look up relative paths."""


@contextlib.contextmanager
def borrowed(n_workers: int, threads: int) -> Iterator[Pool]:
    """A pool of this size, kept for the next who asks, since a start costs seconds."""
    key = (n_workers, threads, str(Path.cwd()))
    pool = _idle.pop(key, None)
    if pool is None:
        close()
        pool = Pool(n_workers, threads)
    try:
        yield pool
    except KeyboardInterrupt:  # Ctrl-C again: blocks in flight are not waited for
        pool.kill()
        raise
    except BaseException:
        pool.close()
        raise
    if key in _idle:
        pool.close()
    _idle.setdefault(key, pool)


def close() -> None:
    """End all workers that wait for work."""
    while _idle:
        _, pool = _idle.popitem()
        pool.close()


atexit.register(close)  # before multiprocessing waits for its children


@contextlib.contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Hold Ctrl-C back; processes that are started meanwhile never get it, not while they load."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Unusable(Task):
    """Stands for a task that could not be unpickled: every block of it fails."""

    error: Exception

    def compute(self, block: Block, parts: Any) -> Any:
        """Raise what went wrong."""
        raise self.error


def _serve(line: Connection) -> None:
    """What a worker does: blocks as they come, until the line is closed."""
    for number in (signal.SIGINT, TIME_IS_UP):  # those that come to all processes of a job
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):  # the coordinator was killed meanwhile, as `recv` finds too
        line.send("here")
    speaking = threading.Lock()
    task = Task()
    with Lane() as lane:
        while True:
            try:
                message = line.recv()
            except (EOFError, OSError):
                return
            if isinstance(message, bytes):
                task = _unpickled(message)
            else:
                lane.submit(task, message).add_done_callback(
                    functools.partial(_report, line, speaking, message)
                )


def _unpickled(task: bytes) -> Task:
    try:
        found: Task = pickle.loads(task)
    except Exception as error:  # of a module that is not there, for one
        return _Unusable(error)
    return found


def _report(line: Connection, speaking: threading.Lock, block: Block, future: Future[Any]) -> None:
    if future.cancelled():
        return
    with speaking, contextlib.suppress(OSError):  # nobody listens any more
        try:
            line.send(outcome_of(block, future))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            line.send(failure(block, error))


def _end_with_parent() -> None:
    # Without this, workers of a coordinator that was killed would finish their blocks, and write
    # into what a resumed run is already writing.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
