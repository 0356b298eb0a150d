"""The Dask side of `Cluster`: one connection per process, and a bounded window of futures."""

from __future__ import annotations

import atexit
import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, Status
from distributed.client import FutureCancelledError
from distributed.deploy import SpecCluster
from tornado.ioloop import PeriodicCallback

from fibseg.blocks.cluster import needing_dask
from fibseg.blocks.cluster_work import Submit, sent
from fibseg.blocks.grid import Block, unless_empty
from fibseg.blocks.pool import CANNOT_START, DIED_TWICE, STARTS
from fibseg.blocks.task import IN_FLIGHT, Outcome, Task, failure
from fibseg.errors import InterruptedRunError, UsageError

if TYPE_CHECKING:
    from fibseg.blocks.cluster import Cluster

_log = logging.getLogger("fibseg.blocks")

BLOCKS_PER_WORKER = IN_FLIGHT + 1
"""In flight: one is computed, one read, one written, and one waits at the scheduler."""
COUNT_WORKERS_EVERY_S = 5.0
KEEP_EVERY_MS = 3000
CONNECT_S = 10
SETTINGS = {
    # A block that holds Python's lock for minutes is at work, not dead.
    "distributed.scheduler.worker-ttl": None,
    "distributed.scheduler.worker-saturation": 1.0,
}
NO_DASHBOARD = {"dashboard": False, "dashboard_address": ":0"}

_clients: dict[str, Client] = {}


def outcomes(
    place: Cluster, task: Task, blocks: Iterable[Block], *, ordered: bool
) -> Iterator[Outcome]:
    """Yield one outcome per block, as `Cluster.outcomes` says."""
    stream = unless_empty(blocks)
    if stream is None:
        return
    client = _client(place)
    window = _Window(client, place.workers, BLOCKS_PER_WORKER if task.ahead else 1)
    try:
        with sent(client, task) as submit:
            yield from _flown(submit, stream, window, ordered=ordered)
    except (FutureCancelledError, OSError) as error:
        raise InterruptedRunError(
            f"the connection to the Dask scheduler was lost ({error}). The same command continues "
            "once it is there again."
        ) from error


def _flown(
    submit: Submit, stream: Iterator[Block], window: _Window, *, ordered: bool
) -> Iterator[Outcome]:
    flying: dict[Future, Block] = {}
    landed: SimpleQueue[Future] = SimpleQueue()
    while True:
        # Many at once: Dask remembers every submission.
        if 2 * len(flying) <= window.size or window.per_worker == 1:
            batch = list(islice(stream, window.size - len(flying)))
            for future, block in zip(submit(batch), batch, strict=True):
                flying[future] = block
                if not ordered:
                    future.add_done_callback(landed.put)
        if not flying:
            return
        future = next(iter(flying)) if ordered else landed.get()
        outcome = _outcome(flying[future], future)
        if outcome is None:
            # Dask blames every block that was assigned to the worker: each is tried once more,
            # alone.
            _log.warning("a worker process died; its blocks are tried again one by one")
            yield from _one_by_one(submit, flying)
            landed = SimpleQueue()
        else:
            del flying[future]
            yield outcome


def close() -> None:
    """End the connection, and the workers that it started."""
    while _clients:
        _, client = _clients.popitem()
        cluster = client.cluster
        with contextlib.suppress(Exception):  # whatever is broken, it is over
            client.close()
        if cluster is not None:
            with contextlib.suppress(Exception):
                cluster.close()


atexit.register(close)  # before Dask's own clean-up, which was registered earlier


class _Window:
    """Number of blocks that may be in flight; follows workers that come and go."""

    def __init__(self, client: Client, expected: int, per_worker: int) -> None:
        self.per_worker = per_worker
        self._client = client
        self._expected = expected
        self._counted = -COUNT_WORKERS_EVERY_S
        self._size = 0

    @property
    def size(self) -> int:
        """A few blocks, or one, per worker that is there or is expected."""
        now = time.monotonic()
        if now - self._counted > COUNT_WORKERS_EVERY_S:
            there = len(self._client.nthreads())
            if not there:
                _log.info("no worker has joined yet; the blocks wait for one")
            self._size = self.per_worker * max(self._expected, there)
            self._counted = now
        return self._size


def _one_by_one(submit: Submit, flying: dict[Future, Block]) -> Iterator[Outcome]:
    for future in flying:
        future.exception()  # waits
    for future in list(flying):
        block = flying.pop(future)
        outcome = _outcome(block, future) or _outcome(block, submit([block])[0])
        yield outcome or Outcome(block, error=DIED_TWICE, trace=DIED_TWICE)


def _outcome(block: Block, future: Future) -> Outcome | None:
    """What came of a block, once it is known, and Dask forgets it; None if its worker died."""
    try:
        outcome = Outcome(block, future.result())
    except KilledWorker:
        return None
    except FutureCancelledError:
        raise
    except Exception as error:
        outcome = failure(block, error)
    future.release()
    return outcome


def _client(place: Cluster) -> Client:
    """The connection to `place`, made on first use."""
    key = repr(place)
    if key not in _clients or _clients[key].status != "running":
        close()
        _clients[key] = _connect(place)
    return _clients[key]


def _connect(place: Cluster) -> Client:
    if place.address:
        try:
            return Client(place.address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at blocks.address={place.address} ({error}). Start "
                "one with 'dask scheduler', or leave the address out."
            ) from error
    start = needing_dask("cluster_slurm").start if place.slurm else _local
    return Client(start(place), set_as_default=False)


def _local(place: Cluster) -> LocalCluster:
    for attempt in range(1, STARTS + 1):
        try:
            cluster = _started(place)
            break
        except RuntimeError as error:  # a worker was killed while it started, for one
            if attempt == STARTS:
                raise UsageError(CANNOT_START) from error
            _log.warning("the workers did not all start; trying again")
    keep_workers(cluster, place.workers)
    return cluster


def _started(place: Cluster) -> LocalCluster:
    # The first death of a worker is enough: its blocks are then tried alone.
    settings = {**SETTINGS, "distributed.scheduler.allowed-failures": 0}
    with dask.config.set(settings):
        return LocalCluster(
            n_workers=place.workers, threads_per_worker=IN_FLIGHT, processes=True,
            memory_limit=0,  # or Dask stops workers that hold much, and waits for ever
            scheduler_kwargs=NO_DASHBOARD, silence_logs=logging.CRITICAL,
        )


def keep_workers(cluster: SpecCluster, n_workers: int) -> None:
    """Start `n_workers` on a Dask cluster, and from now on others for those that are given up.

    Dask itself gives a worker up that is not there 15 s after an earlier death, and waits for ever
    once none is left.
    """
    def replace() -> None:
        """Forget workers that are closed or failed, and start as many again."""
        for name, worker in list(cluster.workers.items()):
            if worker.status in (Status.closed, Status.failed):
                del cluster.workers[name]
        cluster.scale(n_workers)

    def start() -> None:
        """Replace now, and from now on every few seconds."""
        replace()
        cluster.periodic_callbacks["fibseg"] = keeper = PeriodicCallback(replace, KEEP_EVERY_MS)
        keeper.start()

    cluster.loop.add_callback(start)
