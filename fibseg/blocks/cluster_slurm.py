"""The workers of `Cluster` as SLURM jobs, by dask-jobqueue."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING

import dask

from fibseg.blocks.cluster_pool import NO_DASHBOARD, SETTINGS, keep_workers
from fibseg.blocks.task import IN_FLIGHT
from fibseg.blocks.threads import THREAD_VARIABLES
from fibseg.errors import UsageError

if TYPE_CHECKING:
    from fibseg.blocks.cluster import Cluster

# dask-jobqueue 0.9.0 makes Ctrl-C exit at once as soon as it is imported.
_handler = signal.getsignal(signal.SIGINT)
from dask_jobqueue import SLURMCluster  # noqa: E402

signal.signal(signal.SIGINT, _handler)


def start(place: Cluster) -> SLURMCluster:
    """Scheduler in this process, and jobs for as many workers as were asked for.

    Raises
    ------
    UsageError
        If there is no SLURM here, or a keyword is wrong.
    """
    if shutil.which("sbatch") is None:
        raise UsageError(
            "blocks.slurm needs the command sbatch, which is not here. Run on a machine that "
            "submits SLURM jobs, or use blocks=processes."
        )
    cluster = _cluster(place)
    keep_workers(cluster, place.workers)
    return cluster


def job_script(place: Cluster) -> str:
    """Text that is handed to SLURM for each job."""
    with _cluster(place) as cluster:
        return str(cluster.job_script())


def _cluster(place: Cluster) -> SLURMCluster:
    options = {"processes": 1, "scheduler_options": {}, **place.slurm}
    prologue = [f"export {name}={place.threads}" for name in THREAD_VARIABLES]
    # The last of two equal arguments counts: threads wait for blocks, and SLURM watches the memory.
    arguments = ["--nthreads", str(IN_FLIGHT), "--memory-limit", "0"]
    options["job_script_prologue"] = [*options.get("job_script_prologue", []), *prologue]
    options["worker_extra_args"] = [*options.get("worker_extra_args", []), *arguments]
    options["scheduler_options"] = {**NO_DASHBOARD, **options["scheduler_options"]}
    try:
        with dask.config.set(SETTINGS):
            return SLURMCluster(**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"blocks.slurm: {error}") from error
