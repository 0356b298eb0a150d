"""How many cells of a cohort may be worked on at once: no more than workers, cells or memory."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from fibseg.blocks import Cluster, Runner, Serial, Threads, usable_cores
from fibseg.blocks.room import free_memory
from fibseg.errors import DataError, RoomError
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.forecast import forecast
from fibseg.pipeline.steps import Step

_log = logging.getLogger("fibseg.pipeline")

PROCESS_BYTES = 1.0e9
"""What a process takes with all its libraries, whatever it works on."""
WHOLE_BYTES = 100.0
"""No step takes more for each voxel, even if it held the whole volume at once."""
USED = 0.9
"""Share of the free memory that is planned with."""


class Sharing(NamedTuple):
    """Where cells are worked on, and the cores that each may use (0: what a worker has)."""

    runner: Runner
    cores: int


def sharing_of(
    runner: Runner, cells: Sequence[Cell], steps: Callable[[Cell], Sequence[Step]]
) -> Sharing:
    """How the machine, or the cluster, is shared out among cells.

    Where the whole volume of the largest cell would fit into memory as often as there are workers,
    that is known at once; else its steps are rehearsed on a sample, as ``dry_run=true`` does.

    Parameters
    ----------
    cells
        Those that are to be worked on.
    steps
        What is done with one.
    """
    if isinstance(runner, Cluster) and not runner.at_once():  # its workers are elsewhere
        return Sharing(runner, runner.threads if runner.slurm else 0)
    wanted = max(1, min(runner.at_once(), len(cells)))
    cores = max(usable_cores(), wanted)
    slots = cores
    largest = max(cells, key=lambda cell: cell.n_voxels)
    most = PROCESS_BYTES + WHOLE_BYTES * largest.n_voxels
    if cores > 1 and most * cores > USED * free_memory():
        slots = max(1, min(cores, int(USED * free_memory() // _worker_bytes(steps(largest)))))
    n = min(wanted, slots)
    share = max(1, min(slots // n, usable_cores() // n))
    _log.info(
        "%d cell%s at once, %d core%s each", n, "s" * (n != 1), share, "s" * (share != 1)
    )
    if n < wanted:
        _log.info("memory does not do for %d at once, as %s was rehearsed", wanted, largest.name)
    if isinstance(runner, Cluster):
        return Sharing(replace(runner, n_workers=n), share)
    return Sharing(Threads(n), share)


def _worker_bytes(steps: Sequence[Step]) -> float:
    """Most memory of one process in any of these steps whose input is there already."""
    most = PROCESS_BYTES
    for step in steps:
        bound = inspect.signature(step.function).bind(**step.parts)
        bound.apply_defaults()
        parts = dict(bound.arguments)
        if "blocks" in parts:
            parts["blocks"] = Serial()
        try:
            most = max(most, forecast(step.verb, step.function, parts).memory_gb * 1e9)
        except RoomError:
            return math.inf
        except DataError as error:
            _log.info("%s is not rehearsed: %s", step.product, error)
    return most
