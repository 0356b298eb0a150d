"""How an import stays within ``memory_gb``: fewer workers, fewer blocks at once, smaller blocks."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace

from fibseg.blocks import Cluster, Processes, Runner, Serial
from fibseg.blocks.task import IN_FLIGHT
from fibseg.errors import UsageError

PROGRAM_BYTES = 0.35e9
"""Python, NumPy and Zarr of one process before the first voxel."""

LEAST_BYTES = 0.1e9
_log = logging.getLogger("fibseg.pipeline")


@dataclass(frozen=True)
class Memory:
    """What all processes of an import may take together; on other machines, what each may take.

    Parameters
    ----------
    gb
        In 10⁹ bytes.
    runner
        Where blocks are computed, as far as they have room.

    Raises
    ------
    UsageError
        If there is none.
    """

    gb: float
    runner: Runner

    def __post_init__(self) -> None:
        if not 0 < self.gb < math.inf:
            raise UsageError(f"memory_gb={self.gb} leaves no memory. Use e.g. memory_gb=2.")

    def shared(self, least_bytes: float) -> tuple[Runner, float]:
        """Runner for blocks that take `least_bytes` or more, and what each may take, in bytes.

        Blocks that find no room are computed one by one in this process, however much they take.
        """
        total, runner = self.gb * 1e9 - PROGRAM_BYTES, self.runner
        if isinstance(runner, Cluster) and (runner.address or runner.slurm):
            return runner, max(LEAST_BYTES, total) / IN_FLIGHT
        wanted = 0 if isinstance(runner, Serial) else runner.at_once()
        # beside this process, each with a program of its own
        n = min(wanted, max(0, int(total // (PROGRAM_BYTES + max(least_bytes, LEAST_BYTES)))))
        if n < wanted:
            _log.info("memory_gb=%g has room for %d of %d worker processes", self.gb, n, wanted)
        if n < 1:
            total = max(LEAST_BYTES, total)
            at_once = _at_once(total, least_bytes)
            return Serial(in_flight=at_once), total / at_once
        share = total / n - PROGRAM_BYTES
        if isinstance(runner, Cluster):  # whose workers hold one block each
            return replace(runner, n_workers=n), share
        at_once = _at_once(share, least_bytes)
        return Processes(n_workers=n, in_flight=at_once), share / at_once


def _at_once(room_bytes: float, least_bytes: float) -> int:
    """Blocks that a process may hold: more overlap reading and writing with computing."""
    return max(1, min(IN_FLIGHT, int(room_bytes // least_bytes)))
