"""What a signal to a training means in a SLURM job: its end, or to be queued again.

SIGUSR1 says that the time of a SLURM job is nearly over (``--signal=USR1@120``): the job is queued
again, and the same command goes on. SIGINT and SIGTERM end it for good, as they come from a person,
from scancel, or from SLURM where it requeues by itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

from fibseg.errors import InterruptedRunError

logger = logging.getLogger("fibseg.training")


def ignore_the_end() -> None:
    """Let SLURM's SIGTERM pass, which comes with the requeuing: there is a checkpoint to finish."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def queued_again(*, if_stopped: bool) -> Iterator[None]:
    """Context of work after the last step: a job whose time is up there is queued again.

    Parameters
    ----------
    if_stopped
        Whether to: False for a job that has come no further than the one before it.
    """
    try:
        yield
    except InterruptedRunError as error:
        if error.time_is_up and if_stopped:
            ignore_the_end()
            requeue()
        raise


def requeue() -> bool:
    """Ask SLURM to queue this job again; whether it will. Outside of a SLURM job False."""
    job = os.environ.get("SLURM_JOB_ID")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    if job is None:
        return False
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("job %s is not queued again: scontrol failed (%s)", job, error)
        return False
    if done.returncode:
        logger.warning("job %s is not queued again: %s", job, done.stderr.strip())
        return False
    logger.info("job %s is queued again and goes on from the checkpoint", job)
    return True
