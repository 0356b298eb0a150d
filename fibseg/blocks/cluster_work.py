"""How a task gets to the Dask workers of `Cluster`, and what they do with its blocks.

A task travels to every worker once, as a plugin, which Dask also hands to workers that start
later; what is submitted for a block is the block. So the scheduler holds one task and a few blocks
per worker, however many blocks there are.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from distributed import Client, Future, WorkerPlugin

from fibseg.blocks.grid import Block
from fibseg.blocks.task import Lane, Task, pickled
from fibseg.blocks.threads import WORKER
from fibseg.errors import UsageError

Submit: TypeAlias = Callable[[list[Block]], list[Future]]


@contextlib.contextmanager
def sent(client: Client, task: Task) -> Iterator[Submit]:
    """Function that submits blocks, once the task is on the workers.

    Raises
    ------
    UsageError
        If a part of the task cannot travel, or the workers cannot take it.
    """
    token = uuid.uuid4().hex
    work = _Work(token, task)
    _register(client, work)
    run = functools.partial(_run, token)
    try:
        yield lambda blocks: client.map(run, blocks, key="fibseg", pure=False)
    finally:
        if client.status == "running":
            with contextlib.suppress(Exception):  # the scheduler may go this moment
                client.unregister_worker_plugin(work.name)


def _register(client: Client, work: _Work) -> None:
    for last in (False, False, True):
        try:
            client.register_plugin(work)
            return
        except OSError:  # a worker died in this very moment
            if last:
                raise
        except Exception as error:
            raise UsageError(
                f"the workers of {client.scheduler.address} cannot take work: {error}. Their "
                "Python must have the same fibseg and Dask as this one."
            ) from error


class _Work(WorkerPlugin):  # type: ignore[misc]
    """The task of one call of `outcomes`, on its way to the workers."""

    def __init__(self, token: str, task: Task) -> None:
        self.name = f"fibseg-{token}"
        self._token = token
        self._pickled = pickled(task)
        self._folder = os.getcwd()  # noqa: PTH109 - relative paths mean the same to the workers

    def setup(self, worker: Any) -> None:
        """Keep the task; leave Ctrl-C to the coordinator; of several GPUs use the own one."""
        _tasks[self._token] = self._pickled
        if worker.nanny and str(worker.name).isdecimal():  # a process of its own, one of several
            os.environ.setdefault(WORKER, str(worker.name))
        with contextlib.suppress(OSError):
            os.chdir(self._folder)
        if worker.nanny and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Any) -> None:
        """Forget the task."""
        _tasks.pop(self._token, None)


_tasks: dict[str, bytes] = {}
"""In a worker: pickled tasks by token."""


@functools.lru_cache(maxsize=1)
def _task(token: str) -> Task:
    task: Task = pickle.loads(_tasks[token])
    return task


@functools.cache
def _lane() -> Lane:
    return Lane()


_unpacking = threading.Lock()


def _run(token: str, block: Block) -> Any:
    """In a thread of a worker, which waits while the lane of the process does the work."""
    with _unpacking:
        task, lane = _task(token), _lane()
    return lane.submit(task, block).result()
