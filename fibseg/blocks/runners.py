"""Where blocks are computed: in this process, or on a pool of processes (or `Cluster`).

A runner takes a picklable task and a lazy stream of blocks, keeps a bounded window of them in
flight and yields one `Outcome` per block. It never raises for a block that failed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for_sentinel
from typing import Any, Protocol

from fibseg.blocks.grid import Block
from fibseg.errors import UsageError

Task = Callable[[Block], Any]

DIED_TWICE = "its worker process died twice (killed, or out of memory)"
CANNOT_START = (
    "worker processes could not start. A script that uses them needs "
    "'if __name__ == \"__main__\":' around its work, and must be a file. Or use blocks=serial."
)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """What came of one block: `value`, or the last line and the whole text of the `error`."""

    block: Block
    value: Any = None
    error: str | None = None
    trace: str = ""


class Runner(Protocol):
    """One interface for every place where blocks are computed."""

    @property
    def in_process(self) -> bool:
        """Whether blocks see the memory of the caller, so that NumPy targets can be written."""
        ...

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block as they finish, or in the given order if `ordered`."""
        ...


@dataclass(frozen=True)
class Serial:
    """Blocks one after the other in this process."""

    @property
    def in_process(self) -> bool:
        """Always true: NumPy arrays may be written."""
        return True

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block, in order."""
        for block in blocks:
            try:
                outcome = Outcome(block, task(block))
            except Exception as error:  # a poisoned block must not take the others with it
                outcome = failure(block, error)
            yield outcome


@dataclass(frozen=True)
class Processes:
    """Blocks on a pool of worker processes of this machine.

    The pool is started once per Python process and kept, since a start costs seconds.

    Raises `UsageError` when used, if worker processes cannot start.

    Parameters
    ----------
    n_workers
        Number of processes; 0 means one per usable core. The cores are shared out among the
        workers through ``OMP_NUM_THREADS``, so that threads × workers never exceed them.
    """

    n_workers: int = 0

    @property
    def in_process(self) -> bool:
        """Always false: targets must be on disk."""
        return False

    @property
    def workers(self) -> int:
        """Number of processes that will run."""
        return self.n_workers or usable_cores()

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block as they finish, or in the given order if `ordered`."""
        stream = iter(blocks)
        flying: dict[Future[Any], Block] = {}
        window = 2 * self.workers + 1
        while True:
            for block in islice(stream, window - len(flying)):
                flying[self._submit(task, block)] = block
            if not flying:
                return
            finished = [next(iter(flying))] if ordered else _any_of(flying)
            for future in finished:
                if isinstance(future.exception(), BrokenProcessPool):
                    # Any block in flight may have broken the pool: each is tried once more, alone.
                    yield from self._one_by_one(task, flying)
                    break
                yield _outcome(flying.pop(future), future)

    def _submit(self, task: Task, block: Block) -> Future[Any]:
        try:
            # A pool starts its workers one by one, as blocks are submitted.
            with thread_variables(usable_cores() // self.workers), _ctrl_c_later():
                return _pool(self.workers).submit(task, block)
        except BrokenProcessPool as error:
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken

    def _one_by_one(self, task: Task, flying: dict[Future[Any], Block]) -> Iterator[Outcome]:
        _drop_pool(self.workers)
        for future in list(flying):
            block = flying.pop(future)
            if not isinstance(future.exception(), BrokenProcessPool):
                yield _outcome(block, future)
                continue
            again = self._submit(task, block)
            if isinstance(again.exception(), BrokenProcessPool):
                _drop_pool(self.workers)
                yield Outcome(block, error=DIED_TWICE, trace=DIED_TWICE)
            else:
                yield _outcome(block, again)


def usable_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _any_of(flying: dict[Future[Any], Block]) -> list[Future[Any]]:
    done = wait(flying, return_when=FIRST_COMPLETED).done
    return [future for future in flying if future in done]


def _outcome(block: Block, future: Future[Any]) -> Outcome:
    error = future.exception()
    return Outcome(block, future.result()) if error is None else failure(block, error)


def failure(block: Block, error: BaseException) -> Outcome:
    """Outcome of a block whose function raised `error`."""
    trace = "".join(traceback.format_exception(error))
    return Outcome(block, error=f"{type(error).__name__}: {error}", trace=trace)


_pools: dict[int, ProcessPoolExecutor] = {}


def _pool(workers: int) -> ProcessPoolExecutor:
    """The pool of this size, started on first use."""
    if workers not in _pools:
        for other in list(_pools):
            _drop_pool(other)
        _pools[workers] = _start_pool(workers)
    return _pools[workers]


def _start_pool(workers: int) -> ProcessPoolExecutor:
    try:
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
        )
        pool.submit(int).result()
    except BrokenProcessPool as error:
        raise UsageError(CANNOT_START) from error
    return pool


@contextlib.contextmanager
def thread_variables(threads: int) -> Iterator[None]:
    """Environment in which processes are started whose libraries use so many threads, at least 1.

    Libraries read the number when they are loaded, before any function of ours can run.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(max(1, threads))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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


def _drop_pool(workers: int) -> None:
    pool = _pools.pop(workers, None)
    if pool is not None:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Leave Ctrl-C to the coordinator, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # Without this, workers of a coordinator that was killed wait for work for ever, or write
    # into blocks that a resumed run is already writing.
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_sentinel([parent.sentinel])
        os._exit(1)
