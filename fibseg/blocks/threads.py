"""How many threads the libraries of a process use: threads × workers never exceed the cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CORES = "FIBSEG_CORES"
"""Variable with the number of cores that are left to a process which shares a machine."""
WORKER = "FIBSEG_WORKER"
"""Variable with the number of a worker process among those of its pool."""


def usable_cores() -> int:
    """Number of cores that this process may use, no more than the variable `CORES` says."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    given = os.environ.get(CORES, "")
    return min(there, int(given)) if given.isdecimal() and int(given) else there


def sharing(cores: int) -> dict[str, str]:
    """Environment of a process that may use so many cores, and no more threads than these."""
    return {**os.environ, CORES: str(cores), **dict.fromkeys(THREAD_VARIABLES, str(cores))}


def worker_number() -> int:
    """Number of this worker process among those of its pool; 0 in any other process."""
    given = os.environ.get(WORKER, "")
    return int(given) if given.isdecimal() else 0


@contextlib.contextmanager
def thread_variables(threads: int, *, worker: int | None = None) -> Iterator[None]:
    """Environment in which processes are started whose libraries use so many threads, at least 1.

    Libraries read the number when they are loaded, before any function of ours can run.

    Parameters
    ----------
    worker
        Number of the worker that is started, for `worker_number`.
    """
    before = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, WORKER)}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(max(1, threads))))
    if worker is not None:
        os.environ[WORKER] = str(worker)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
