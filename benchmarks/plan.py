"""What the coordinator of a run over 10¹³ voxels costs: 608 622 blocks that compute nothing.

    python benchmarks/plan.py [--blocks N] [--cases map reduce label] [--runners serial processes]

The blocks have 64 x 512 x 512 voxels; arrays are stand-ins that hold nothing, block functions
return at once. What remains is fibseg's own work: grid, journal with the digests of every shard,
scheduling, folding, union-find of a hundred components per block. Targets: the first block begins
within 60 s, also after a scan of a journal in which all or half of the blocks are done, and the
coordinator stays below 2 GiB. ``cluster`` is a Dask cluster with one worker; give it fewer blocks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import (
    Block,
    Cluster,
    Processes,
    Runner,
    Serial,
    Task,
    components,
    label_blocks,
    map_blocks,
    reduce_blocks,
)
from fibseg.errors import InterruptedRunError
from fibseg.geometry import Box
from fibseg.volume.digests import Facts, NotedArray, to_records, write_records

BLOCK = (64, 512, 512)
COMPONENTS = 100
RUNNERS: dict[str, Runner] = {
    "serial": Serial(), "processes": Processes(), "cluster": Cluster(n_workers=1)
}


@dataclass(frozen=True)
class Nothing:
    """An array that holds nothing and costs nothing."""

    shape: tuple[int, ...]
    kind: str = "uint8"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what it does not hold."""
        return np.dtype(self.kind)

    def __getitem__(self, box: Any) -> NDArray[Any]:
        return np.broadcast_to(self.dtype.type(0), [cut.stop - cut.start for cut in box])

    def __setitem__(self, box: Any, voxels: Any) -> None:
        """Forget the voxels."""


class NotedNothing(NotedArray):
    """The same as a target that notes digests, which `keep` really writes."""

    def __init__(self, shape: tuple[int, ...], folder: Path) -> None:
        object.__setattr__(self, "stub", (shape, folder))

    def __reduce__(self) -> Any:
        return NotedNothing, self.stub

    shape = property(lambda self: self.stub[0])
    dtype = property(lambda self: np.dtype(np.uint8))
    shards = property(lambda self: BLOCK)

    def commit(self, block: Box, voxels: NDArray[Any]) -> list[Facts]:
        """Facts of the one shard in the block."""
        place = [start // length for start, length in zip(block.start, BLOCK, strict=True)]
        counts = [-(-n // b) for n, b in zip(self.shape, BLOCK, strict=True)]
        number = int(np.ravel_multi_index(place, counts))
        return [Facts(number, hashlib.sha256(str(place).encode()).digest(), 255)]

    def keep(self, facts: Any) -> None:
        """Write the digests of all blocks."""
        write_records(self.stub[1], [to_records(facts, self.shape)])

    def forget(self) -> None:
        """Nothing is there."""


@dataclass(frozen=True)
class Begins:
    """Block function that notes when the first block began, and may stop the run there."""

    clock: Path
    stop: int = 0

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself."""
        return write

    def __call__(self, voxels: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """What was read."""
        if self.stop and not self.clock.exists():
            self.clock.write_text(str(time.time()))
            os.kill(self.stop, signal.SIGINT)
        return voxels


@dataclass(frozen=True)
class One(Begins):
    """Block function: a small result."""

    def __call__(self, voxels: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """A hundred sums."""
        return np.ones(COMPONENTS, dtype=np.int64)


@dataclass(frozen=True)
class StubSurvey(Task):
    """So many components in every block."""

    mask: Any
    shape: Any
    connectivity: int
    folder: Path

    def compute(self, block: Block, parts: Any) -> str:
        """How many there are."""
        return str(COMPONENTS)


@dataclass(frozen=True)
class StubSeams(Task):
    """Half of the components touch one of the next block."""

    grid: Any
    folder: Path
    connectivity: int
    key: str

    def compute(self, block: Block, parts: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Table and pairs."""
        first = COMPONENTS * block.index + np.arange(COMPONENTS)
        half = first[: COMPONENTS // 2] if block.index + 1 < len(self.grid) else first[:0]
        pairs = np.stack([half, half + COMPONENTS + COMPONENTS // 2], axis=1)
        voxel = math.prod(self.grid.shape[1:]) * block.write.start[0] + first % 1_000_003
        return np.stack([voxel, np.full(COMPONENTS, 50)]), pairs


@dataclass(frozen=True)
class StubRelabel(Begins):
    """Block function instead of the last pass."""

    def __call__(self, voxels: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """No object."""
        return np.broadcast_to(np.uint32(0), block.write.shape)


def seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def until_first(work: Callable[[Path], Any], folder: Path) -> float:
    """Seconds from the call to the first block that computes, which ends the run."""
    clock = folder / "clock"
    clock.unlink(missing_ok=True)
    begin = time.time()
    try:
        work(clock)
    except InterruptedRunError:
        return float(clock.read_text()) - begin
    raise SystemExit("the run was not stopped")


def map_case(runner: Runner, shape: tuple[int, ...], folder: Path) -> dict[str, float]:
    source, target = Nothing(shape), NotedNothing(shape, folder)
    journal = folder / "journal"

    def run(clock: Path, stop: int = 0) -> None:
        map_blocks(
            Begins(clock, stop), source, target, block_shape=BLOCK, runner=runner, journal=journal
        )

    found = {"first block s": until_first(lambda clock: run(clock, os.getpid()), folder)}
    found["all blocks s"] = seconds(lambda: run(folder / "clock"))
    found["journal MB"] = journal.stat().st_size / 1e6
    found["scan, all done s"] = seconds(lambda: run(folder / "clock"))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    del lines
    found["scan, half done s"] = until_first(lambda clock: run(clock, os.getpid()), folder)
    return found


def reduce_case(runner: Runner, shape: tuple[int, ...], folder: Path) -> dict[str, float]:
    def run() -> None:
        reduce_blocks(
            One(folder), Nothing(shape), np.add, block_shape=BLOCK, runner=runner
        )

    return {"all blocks s": seconds(run)}


def label_case(runner: Runner, shape: tuple[int, ...], folder: Path) -> dict[str, float]:
    target = Nothing(shape, "uint32")
    stubs = {
        "Survey": StubSurvey, "Seams": StubSeams, "Relabel": lambda *_: StubRelabel(folder)
    }

    def run() -> None:
        with mock.patch.multiple(components, **stubs):
            label_blocks(
                Nothing(shape), target, block_shape=BLOCK, runner=runner, scratch=folder / "scratch"
            )

    return {"all blocks s": seconds(run)}


CASES = {"map": map_case, "reduce": reduce_case, "label": label_case}


def one(case: str, runner: str, rows: int) -> None:
    """Print what one case took, from a process of its own."""
    shape = (rows * BLOCK[0], 42 * BLOCK[1], 43 * BLOCK[2])
    with tempfile.TemporaryDirectory() as folder:
        found = CASES[case](RUNNERS[runner], shape, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    sys.stdout.write(json.dumps({**found, "coordinator GiB": peak}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=337 * 42 * 43)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--runners", nargs="+", choices=RUNNERS, default=["serial", "processes"])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    rows = max(1, round(given.blocks / (42 * 43)))
    if given.one:
        one(*given.one, rows)
        return
    sys.stdout.write(f"{rows * 42 * 43} blocks, {rows * 42 * 43 * math.prod(BLOCK):.3g} voxels\n")
    for case in given.cases:
        for runner in given.runners:
            command = [sys.executable, __file__, "--blocks", str(given.blocks), "--one", case]
            done = subprocess.run(
                [*command, runner], stdout=subprocess.PIPE, text=True, check=True
            )
            found = json.loads(done.stdout.splitlines()[-1])
            told = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
            sys.stdout.write(f"{case:7} {runner:10} {told}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
