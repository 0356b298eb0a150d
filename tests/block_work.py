"""Functions that tests send to worker processes, which can only import them from a module."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from fibseg.blocks import Block, worker_number
from fibseg.blocks.task import Task
from fibseg.geometry import Box, reach
from fibseg.volume.files import room_for


@reach(lambda radius_nm: radius_nm)
def box_sum(image, *, radius_nm, spacing):
    """Sum over a box of the radius: an exact local operator with zeros outside of the volume."""
    size = [2 * int(radius_nm / s + 1e-9) + 1 for s in spacing]
    kernel = np.ones(size, dtype=np.int64)
    return ndimage.convolve(image.astype(np.int64), kernel, mode="constant")


@reach(lambda: 0.0)
def plus_one(image):
    return image + 1


@dataclass(frozen=True)
class Poisoned:
    """Adds one; fails, dies or takes a minute on the blocks told. Leaves a file per block."""

    fails: tuple[int, ...] = ()
    dies: tuple[int, ...] = ()
    dies_once: tuple[int, ...] = ()
    stuck: tuple[int, ...] = ()
    seconds: float = 0.0
    diary: str = ""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        return write

    def __call__(self, image, *, block: Block):
        if self.diary:
            with (Path(self.diary) / f"{block.index}").open("a") as file:
                file.write("x")
        if self.seconds or block.index in self.stuck:
            time.sleep(600 if block.index in self.stuck else self.seconds)
        if block.index in self.fails:
            raise ValueError(f"poison in block {block.index}")
        if block.index in self.dies or (
            block.index in self.dies_once
            and (Path(self.diary) / f"{block.index}").read_text() == "x"
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        return image + 1


@dataclass(frozen=True)
class Sum:
    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        return write

    def __call__(self, image, *, block: Block) -> int:
        return int(image.sum())


@dataclass(frozen=True)
class Histogram:
    """How often each value is there, as a table; fails on the blocks told, leaves a diary."""

    diary: str
    fails: tuple[int, ...] = ()

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        return write

    def __call__(self, image, *, block: Block):
        with (Path(self.diary) / str(block.index)).open("a") as file:
            file.write("x")
        if block.index in self.fails:
            raise ValueError(f"poison in block {block.index}")
        values, counts = np.unique(image, return_counts=True)
        return {"value": values, "count": counts, "block": np.array([block.index])}


def both_histograms(first, second):
    values = np.union1d(first["value"], second["value"])
    counts = np.zeros(len(values), dtype=np.int64)
    for table in (first, second):
        np.add.at(counts, np.searchsorted(values, table["value"]), table["count"])
    blocks = np.concatenate([first["block"], second["block"]])
    return {"value": values, "count": counts, "block": blocks}


@dataclass(frozen=True)
class Name:
    """The index of the block as text, the first ones slowest: order has to be made."""

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        return write

    def __call__(self, image, *, block: Block) -> str:
        time.sleep(0.02 / (1 + block.index))
        return f"{block.index} "


_BEGUN: Counter[tuple[str, str]] = Counter()
_CHANGED = threading.Condition()


@dataclass(frozen=True)
class Overlaps(Task):
    """A step waits until the step before it has begun of one block more: alone none would end."""

    n: int
    token: str
    patience_s: float = 60.0

    def read(self, block: Block) -> int:
        self._begin("read")
        return 10 * block.index

    def compute(self, block: Block, parts: int) -> int:
        self._await("read", self._begin("compute") + 1)
        return parts

    def write(self, block: Block, result: int) -> int:
        self._await("compute", self._begin("write") + 1)
        return result + 1

    def _begin(self, step: str) -> int:
        with _CHANGED:
            _BEGUN[self.token, step] += 1
            _CHANGED.notify_all()
            return _BEGUN[self.token, step]

    def _await(self, step: str, n_begun: int) -> None:
        wanted = min(n_begun, self.n)
        with _CHANGED:
            if not _CHANGED.wait_for(
                lambda: _BEGUN[self.token, step] >= wanted, self.patience_s
            ):
                raise TimeoutError(f"the {step} of block number {wanted} has not begun")


@dataclass(frozen=True)
class Plain(Task):
    """A function of the block that neither reads nor writes."""

    fn: Callable[[Block], Any]

    def compute(self, block: Block, parts: Any) -> Any:
        return self.fn(block)


def threads(block: Block, *, diary: str, n_workers: int) -> int:
    """The threads that libraries of this worker will use, once so many workers are at work."""
    (Path(diary) / str(os.getpid())).touch()
    deadline = time.monotonic() + 30
    while len(list(Path(diary).iterdir())) < n_workers and time.monotonic() < deadline:
        time.sleep(0.02)
    return int(os.environ["OMP_NUM_THREADS"])


def slowly_noted(folder: str, block: Block) -> None:
    """Leaves a file for the block, after a while."""
    (Path(folder) / str(block.index)).touch()
    time.sleep(0.05)


def full_from(first: int, diary: str, block: Block) -> int:
    """The index of the block; from `first` on there is no room for it on the disk."""
    (Path(diary) / str(block.index)).touch()
    with room_for(Path(diary) / "target", 512):
        if block.index >= first:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return block.index


def number(block: Block) -> tuple[int, int]:
    """Number and process of the worker of a block."""
    time.sleep(0.05)
    return worker_number(), os.getpid()


def _process(block: Block) -> int:
    return os.getpid()


def _folder(block: Block) -> str:
    return str(Path.cwd())


here = Plain(_folder)
"""The folder in which the process that computes the block looks up relative paths."""


def _slow_process(block: Block) -> int:
    time.sleep(0.1)
    return os.getpid()


where = Plain(_process)
"""The process that computes the block."""
slow_where = Plain(_slow_process)


def kill_at(process: subprocess.Popen[Any], journal: Path, *, n_done: int = 1) -> int:
    """Kill a process once its journal marks `n_done` blocks as done; how many it marks then."""
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"done ") >= n_done:
            break
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    marked = journal.read_bytes().count(b"done ")
    assert marked >= n_done
    return marked


def some_blocks(n: int) -> list[Block]:
    boxes = [Box((index,), (index + 1,)) for index in range(n)]
    return [Block(index, box, box) for index, box in enumerate(boxes)]
