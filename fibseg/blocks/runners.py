"""Where blocks are computed: in this process, or on a pool of processes (or `Cluster`).

A runner takes a task and a lazy stream of blocks, keeps a bounded window of them in flight and
yields one `Outcome` per block. It never raises for a block that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, Protocol

from fibseg.blocks import pool
from fibseg.blocks.grid import Block, unless_empty
from fibseg.blocks.task import IN_FLIGHT, Lane, Outcome, Task, outcome_of, pickled
from fibseg.blocks.threads import usable_cores
from fibseg.errors import UsageError


class Runner(Protocol):
    """One interface for every place where blocks are computed."""

    @property
    def in_process(self) -> bool:
        """Whether blocks see the memory of the caller, so that NumPy targets can be written."""
        ...

    def at_once(self, threads: int = 1) -> int:
        """Number of blocks that this machine computes at the same time; 0 if others do it all.

        Parameters
        ----------
        threads
            How many a block uses well.
        """
        ...

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block as they finish, or in the given order if `ordered`."""
        ...


@dataclass(frozen=True)
class Serial:
    """Blocks in this process, one after the other.

    While one is computed, the next is read and the one before is written.

    Parameters
    ----------
    in_flight
        Blocks that are held at most; with 1 nothing overlaps, which takes the least memory.
    """

    in_flight: int = IN_FLIGHT

    @property
    def in_process(self) -> bool:
        """Always true: NumPy arrays may be written."""
        return True

    def at_once(self, threads: int = 1) -> int:
        """One, with all threads."""
        return 1

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block, in order."""
        stream = iter(blocks)
        flying: dict[Future[Any], Block] = {}
        with Lane() as lane:
            while True:
                for block in islice(stream, self.in_flight - len(flying)):
                    flying[lane.submit(task, block)] = block
                if not flying:
                    return
                future = next(iter(flying))
                yield outcome_of(flying.pop(future), future)  # waits


@dataclass(frozen=True)
class Processes:
    """Blocks on a pool of worker processes of this machine.

    The pool is started once per Python process and kept, since a start costs seconds.

    Raises `UsageError` when used, if worker processes cannot start.

    Parameters
    ----------
    n_workers
        Number of processes; 0 means one per usable core, or fewer where a block uses several
        threads well, as a network does; where that leaves one, it is this process itself. Each
        computes one block while it reads the next and writes the one before. The cores are shared
        out among the workers through ``OMP_NUM_THREADS``, so that threads × workers never exceed
        them.
    in_flight
        Blocks that each process holds at most, as in `Serial`.
    """

    n_workers: int = 0
    in_flight: int = IN_FLIGHT

    def __post_init__(self) -> None:
        if self.n_workers < 0:
            raise UsageError(f"blocks.n_workers={self.n_workers} cannot be meant. Use 0 or more.")

    @property
    def in_process(self) -> bool:
        """Always false: targets must be on disk."""
        return False

    def at_once(self, threads: int = 1) -> int:
        """Number of processes that will run."""
        return self.n_workers or max(1, usable_cores() // threads)

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block as they finish, or in the given order if `ordered`."""
        stream = unless_empty(blocks)
        if stream is None:
            return
        task_bytes = pickled(task)
        n_workers = self.at_once(task.threads)
        if n_workers == 1 and not self.n_workers:  # one more process would only take longer
            yield from Serial(self.in_flight).outcomes(task, stream, ordered=ordered)
            return
        window = self.in_flight * n_workers
        with pool.borrowed(n_workers, usable_cores() // n_workers) as workers:
            workers.begin(task_bytes)
            found: dict[int, Outcome | None] = {}
            while True:
                for block in islice(stream, window - len(found)):
                    found[block.index] = None
                    workers.send(block)
                if not found:
                    return
                for outcome in workers.landed():
                    found[outcome.block.index] = outcome
                yield from _ready(found, ordered=ordered)


def _ready(found: dict[int, Outcome | None], *, ordered: bool) -> Iterator[Outcome]:
    """Take out the outcomes that are there; only those before the first missing if `ordered`."""
    there = takewhile(bool, found.values()) if ordered else filter(None, found.values())
    for outcome in list(there):
        if outcome is not None:
            del found[outcome.block.index]
            yield outcome
