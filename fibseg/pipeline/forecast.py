"""What a command will do and need: ``dry_run=true`` of every verb.

The command is rehearsed on a small sample of its data: the very code, in a process of its own. What
was tracked is then scaled to the whole. Nothing of the command's own is written.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fibseg.blocks import Cluster, Grid, Runner, Serial, usable_cores
from fibseg.blocks.room import free_memory
from fibseg.errors import RoomError
from fibseg.pipeline.rehearsal import Rehearsal, rehearse
from fibseg.pipeline.sample import Sample
from fibseg.pipeline.samples import SAMPLES
from fibseg.progress import Stage

COORDINATOR_BYTES = 0.4e9
"""Resident memory of the process that hands out blocks to workers, beside theirs."""


@dataclass(frozen=True)
class Step:
    """A stage of the whole command."""

    label: str
    n_units: int
    unit: str
    read_gb: float
    written_gb: float
    seconds: float


@dataclass(frozen=True)
class Forecast:
    """What a command will do; `text` is what ``dry_run=true`` prints.

    Attributes
    ----------
    sample
        In words, what it was measured on.
    steps
        Stages of the whole command, in order.
    fixed_s
        Seconds that do not grow with the volume.
    n_workers
        Processes that compute at the same time in the longest step.
    memory_gb, beside_gb, memory_free_gb
        Of each worker; of the process that hands out the blocks, if that is another; free on this
        machine, None where the work is done elsewhere.
    disk_gb, disk_free_gb, place
        Needed at most at any moment; free where `place` is.
    """

    verb: str
    sample: str
    steps: list[Step]
    fixed_s: float
    n_workers: int
    memory_gb: float
    beside_gb: float
    memory_free_gb: float | None
    disk_gb: float
    disk_free_gb: float
    place: Path

    @property
    def seconds(self) -> float:
        """Estimated time of the whole command."""
        return self.fixed_s + sum(step.seconds for step in self.steps)

    @property
    def all_memory_gb(self) -> float:
        """Memory of all workers and of the process that hands out the blocks."""
        return self.n_workers * self.memory_gb + self.beside_gb

    def text(self) -> str:
        """Plan as it is printed."""
        width = max([len(step.label) for step in self.steps] + [5])
        lines = [
            f"plan of fibseg {self.verb}, measured on {self.sample}",
            f"{'step':<{width}} {'':>16} {'GB read':>9} {'GB written':>11} {'time':>9}",
        ]
        for s in self.steps:
            units = f"{s.n_units} {s.unit}{'s' * (s.n_units != 1)}"
            lines.append(
                f"{s.label:<{width}} {units:>16} {s.read_gb:>9.3g} {s.written_gb:>11.3g} "
                f"{duration(s.seconds):>9}"
            )
        workers = f"{self.n_workers} worker{'s' * (self.n_workers != 1)}"
        free = "" if self.memory_free_gb is None else f"; {self.memory_free_gb:.3g} GB are free"
        return "\n".join([
            *lines,
            f"once, whatever the size: {duration(self.fixed_s)}",
            f"estimated time: {duration(self.seconds)} with {workers}, from the start",
            f"memory: {self.memory_gb:.2g} GB per worker, {self.all_memory_gb:.2g} GB in all{free}",
            f"disk: {self.disk_gb:.3g} GB at most; {self.disk_free_gb:.3g} GB are free in "
            f"{self.place}",
        ])

    def refuse_without_room(self) -> None:
        """Nothing, if memory and disk will do.

        Raises
        ------
        RoomError
            If they will not.
        """
        if self.memory_free_gb is not None and self.all_memory_gb > self.memory_free_gb:
            raise RoomError(
                f"fibseg {self.verb} needs {self.all_memory_gb:.2g} GB of memory "
                f"({self.n_workers} x {self.memory_gb:.2g} GB), {self.memory_free_gb:.2g} GB are "
                "free. Use fewer workers (blocks.n_workers=1 or blocks=serial), or free some."
            )
        if self.disk_gb > self.disk_free_gb:
            raise RoomError(
                f"fibseg {self.verb} needs {self.disk_gb:.3g} GB of disk, {self.disk_free_gb:.3g} "
                f"GB are free in {self.place}. Free some, or put the store on another disk."
            )


def forecast(verb: str, run: Callable[..., Any], parts: Mapping[str, Any]) -> Forecast:
    """What ``run(**parts)`` of `verb` will do and need.

    Raises
    ------
    RoomError
        If not even the sample fits into memory.
    FibsegError
        Whatever the verb refuses: stores, products and settings are checked as it does it.
    """
    runner: Runner = parts.get("blocks") or Serial()
    # Inside one folder of the system: a sample is small, and the command's disk may be full.
    with tempfile.TemporaryDirectory(prefix="fibseg-plan-") as name:
        sample = SAMPLES[verb](dict(parts), Path(name))
        threads = (
            runner.threads if isinstance(runner, Cluster)
            else max(1, usable_cores() // runner.at_once(sample.threads))
        )
        seen = rehearse(run, sample.parts, Path(name), threads=threads)
    return _scaled(verb, sample, seen, runner)


def _n_workers(runner: Runner, threads: int) -> int:
    """Blocks that are computed at the same time, here or elsewhere."""
    return runner.workers if isinstance(runner, Cluster) else runner.at_once(threads)


def _scaled(verb: str, sample: Sample, seen: Rehearsal, runner: Runner) -> Forecast:
    """The whole command, from what was seen of the sample."""
    per_unit = sum(stage.seconds - stage.once_s for stage in seen.stages)
    fixed = max(seen.seconds - per_unit, 0.0)
    memory = float(seen.memory_bytes)
    if sample.in_memory:
        fixed *= sample.factor
        memory = seen.idle_bytes + (memory - seen.idle_bytes) * sample.factor
    place = _standing(sample.place)
    return Forecast(
        verb=verb, sample=sample.text,
        steps=[
            _step(stage, sample, fixed, _n_workers(runner, stage.load.threads))
            for stage in (*sample.before, *seen.stages)
        ],
        fixed_s=fixed, n_workers=_n_workers(runner, sample.threads) * sample.at_once,
        memory_gb=max(memory, sample.memory_bytes) / 1e9,
        beside_gb=0.0 if runner.in_process else COORDINATOR_BYTES / 1e9,
        memory_free_gb=free_memory() / 1e9 if runner.at_once() else None,
        disk_gb=seen.disk_bytes * sample.disk_factor / 1e9,
        disk_free_gb=shutil.disk_usage(place).free / 1e9, place=place,
    )


def _step(stage: Stage, sample: Sample, fixed_s: float, n_workers: int) -> Step:
    """A stage of the sample as one of the whole command."""
    factor, seconds = sample.factor_of(stage.label), stage.seconds - stage.once_s
    if stage.label == sample.limited and seconds:
        factor = min(factor, max(sample.limit_s - fixed_s, 0.0) / seconds)
    load, n = stage.load, math.ceil(stage.n_units * factor)
    if load.grid and sample.whole and load.grid[0] == sample.cut:
        # A block of the whole is never smaller than one that ends where the sample does.
        blocks = tuple(map(max, load.grid[1], sample.block))
        n = len(Grid.over(sample.whole, blocks))
    return Step(
        label=stage.label, n_units=n, unit=stage.unit, read_gb=load.read_bytes * factor / 1e9,
        written_gb=load.written_bytes * factor / 1e9,
        seconds=seconds * factor / max(1, min(n_workers, n)),
    )


def _standing(path: Path) -> Path:
    """The nearest folder on the way to `path` that exists."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(0.4), duration(75), duration(7300), duration(300000)
    ('0.4 s', '75 s', '2.0 h', '3.5 days')
    """
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
