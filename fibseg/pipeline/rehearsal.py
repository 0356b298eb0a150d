"""A command on a small sample, in a process of its own: what it does, takes and leaves behind."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from fibseg.blocks import thread_variables
from fibseg.errors import RoomError
from fibseg.progress import Stage, recorded

LOOK_EVERY_S = 0.1
"""How often the folder of the sample is measured while the command runs in it."""


@dataclass(frozen=True)
class Rehearsal:
    """What was seen.

    Attributes
    ----------
    stages
        Everything that was tracked, in order.
    seconds
        From the call of the command to its return; imports are not part of it.
    memory_bytes, idle_bytes
        Most resident memory of its process, and what was resident before the command began.
    disk_bytes
        Most that lay in the folder at any moment beyond what lay there before.
    """

    stages: list[Stage]
    seconds: float
    memory_bytes: int
    idle_bytes: int
    disk_bytes: int


def rehearse(
    run: Callable[..., Any], parts: Mapping[str, Any], folder: Path, *, threads: int
) -> Rehearsal:
    """Call ``run(**parts)``, which writes to `folder` only, in a new process.

    Parameters
    ----------
    run, parts
        A function of a module and its picklable arguments.
    folder
        Where the sample lies, and what is made of it.
    threads
        Threads that numerical libraries may use.

    Raises
    ------
    RoomError
        If the process was killed, which it is where memory runs out.
    FibsegError
        Whatever the command refuses.
    """
    before, most = _bytes_in(folder), 0
    context = multiprocessing.get_context("spawn")
    with thread_variables(threads), ProcessPoolExecutor(
        1, mp_context=context, initializer=_go_quiet
    ) as pool:
        future: Future[tuple[list[Stage], float, int, int]] = pool.submit(_play, run, dict(parts))
        while not future.done():
            with contextlib.suppress(NotYet):
                future.exception(timeout=LOOK_EVERY_S)
            most = max(most, _bytes_in(folder))
        try:
            stages, seconds, memory, idle = future.result()
        except BrokenProcessPool as error:
            free = psutil.virtual_memory().available
            raise RoomError(
                f"The rehearsal on a sample was killed, most likely for want of memory: "
                f"{free / 1e9:.3g} GB are free now. Use fewer workers, smaller blocks, or a "
                "machine with more memory."
            ) from error
    return Rehearsal(stages, seconds, memory, idle, max(most - before, 0))


def _play(
    run: Callable[..., Any], parts: dict[str, Any]
) -> tuple[list[Stage], float, int, int]:
    """In the new process: the command, with what it tracked."""
    idle = peak_memory()
    begin = time.monotonic()
    with recorded() as ledger:
        run(**parts)
        seconds = time.monotonic() - begin
        gc.collect()  # a progress bar that was never read to its end is only now recorded
    return ledger, seconds, peak_memory(), idle


def peak_memory() -> int:
    """Most bytes that were resident in this process so far."""
    # The resource module would also count what the process that started this one had resident.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # macOS: no /proc, and bytes instead of kilobytes

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _go_quiet() -> None:
    """The rehearsal's own bars, lines and warnings would be taken for those of the command."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def _bytes_in(folder: Path) -> int:
    """Bytes of all files under `folder`; those that vanish meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(place, name).lstat().st_size
    return total
