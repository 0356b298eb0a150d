"""Whether the memory of this machine will do for the blocks that it is to hold at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from fibseg.blocks.grid import Grid
from fibseg.blocks.runners import Runner
from fibseg.errors import RoomError
from fibseg.geometry import Box


def refuse_without_room(
    label: str, grid: Grid, read_box: Callable[[Box], Box] | None, sources: Sequence[Any],
    targets: Sequence[Any] = (), *, runner: Runner, threads: int = 1,
) -> None:
    """Nothing, unless what is read and written of the blocks alone is more than the free memory.

    What a function needs on top only a rehearsal tells: ``dry_run=true``.

    Raises
    ------
    RoomError
        Before any work.
    """
    n = min(runner.at_once(threads), len(grid))
    if n == 0:
        return
    write = grid.box(len(grid) // 2)
    read = write if read_box is None else read_box(write)
    needed = n * (_bytes_of(sources, read) + _bytes_of(targets, write))
    free = free_memory()
    if needed > free:
        raise RoomError(
            f"{label}: {n} blocks of {write.shape} voxels at once take {needed / 1e9:.3g} GB of "
            f"memory or more, {free / 1e9:.3g} GB are free. Use smaller blocks or fewer workers "
            "(blocks.n_workers=1), or free some."
        )


def free_memory() -> float:
    """Bytes that programs can still get: of the machine, and of the container that this runs in."""
    free = float(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = float((group / "memory.max").read_text())
        free = min(free, limit - float((group / "memory.current").read_text()))
    return free


def _bytes_of(arrays: Sequence[Any], box: Box) -> int:
    return box.size * sum(int(np.dtype(array.dtype).itemsize) for array in arrays)
