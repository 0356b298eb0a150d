"""Blocks on a Dask cluster, which is used as a pool: no graphs, no Dask arrays."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from fibseg.blocks.grid import Block
from fibseg.blocks.task import Outcome, Task
from fibseg.blocks.threads import thread_variables, usable_cores
from fibseg.errors import UsageError


@dataclass(frozen=True)
class Cluster:
    """Blocks on workers of this machine, of a running Dask scheduler, or in SLURM jobs.

    Workers must see the files of the volume under the same path, and have the same fibseg. The
    connection is made once per Python process and kept. Dask's ports ask for no password: use it
    among people whom you trust.

    Parameters
    ----------
    n_workers
        Worker processes; 0 means one per usable core of this machine. Each computes one block at a
        time, and its libraries share the cores: threads × workers never exceed them.
    address
        Of a running scheduler, such as ``"tcp://node7:8786"``, whose workers are used instead.
        With ``--nthreads 3`` they read and write other blocks meanwhile.
    slurm
        Keywords of `dask_jobqueue.SLURMCluster`, at least ``cores`` and ``memory`` of one job,
        which runs ``processes`` workers (1 if left out). Jobs that end are replaced. None as a
        value means not given.

    Raises
    ------
    UsageError
        If the settings contradict each other; when used, if the extra ``cluster`` is not
        installed, or nobody answers at `address`.
    """

    n_workers: int = 0
    address: str | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {key: value for key, value in (self.slurm or {}).items() if value is not None}
        object.__setattr__(self, "slurm", {} if set(given) <= {"processes"} else given)
        if self.n_workers < 0:
            raise UsageError(f"blocks.n_workers={self.n_workers} cannot be meant. Use 0 or more.")
        if self.address and self.slurm:
            raise UsageError("blocks.address and blocks.slurm exclude each other. Give one.")
        if self.slurm and not {"cores", "memory"} <= set(self.slurm):
            raise UsageError(
                f"blocks.slurm has {', '.join(self.slurm)}, but needs cores and memory of a job, "
                "e.g. blocks.slurm.cores=8 blocks.slurm.memory=32GB."
            )
        if self.slurm and not self.n_workers:
            raise UsageError("blocks.slurm needs the number of workers, e.g. blocks.n_workers=20.")

    @property
    def in_process(self) -> bool:
        """Always false: targets must be on disk."""
        return False

    @property
    def workers(self) -> int:
        """Number of worker processes that will run; 1 at an `address`, which has its own."""
        return self.n_workers or (1 if self.address else usable_cores())

    def at_once(self, threads: int = 1) -> int:
        """Number of worker processes on this machine, one block each."""
        return 0 if self.address or self.slurm else self.workers

    @property
    def threads(self) -> int:
        """Threads that the libraries of one worker use."""
        if self.slurm:
            return max(1, int(self.slurm["cores"]) // int(self.slurm.get("processes", 1)))
        return max(1, usable_cores() // self.workers)

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block as they finish, or in the given order if `ordered`."""
        # Dask leaves the variables of its workers in the environment of this process.
        with thread_variables(self.threads):
            pool = needing_dask("cluster_pool")
            yield from pool.outcomes(self, task, blocks, ordered=ordered)

    def job_script(self) -> str:
        """Text that is handed to SLURM for each job; nothing is submitted.

        Raises
        ------
        UsageError
            If `slurm` is not given, or has a keyword that SLURMCluster does not take.
        """
        if not self.slurm:
            raise UsageError("there is no job without blocks.slurm. Give its cores and memory.")
        script: str = needing_dask("cluster_slurm").job_script(self)
        return script


def needing_dask(name: str) -> ModuleType:
    """The module `name` of this room, which imports Dask, on first use.

    Raises
    ------
    UsageError
        If the extra is not installed.
    """
    try:
        return importlib.import_module(f"fibseg.blocks.{name}")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"blocks=cluster needs {error.name}, which is not installed. Install it with "
            "pip install -c constraints.txt -e '.[cluster]', or use blocks=processes."
        ) from error
