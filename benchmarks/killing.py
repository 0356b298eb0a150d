"""Commands of fibseg that are killed at random moments, and started again until they are done."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from committed import Blocks, Evidence, Steps

from fibseg.errors import PartlyDoneError
from fibseg.pipeline.verify import verify
from fibseg.volume.audit import images
from fibseg.volume.lock import lock_path, read_holder

STORE, MODEL = "cell.ome.zarr", "model"
WEIGHTS = ("weights.safetensors", "model.json", "README.md")
TIMEOUT = (subprocess.TimeoutExpired, psutil.TimeoutExpired)
STUCK_S = 600.0
GONE_S = 20.0
SOME_FAILED = PartlyDoneError.exit_code


@dataclass(frozen=True)
class Command:
    """A command in a folder of its own, so that paths in it are the same in every folder.

    Attributes
    ----------
    words
        Verb and settings.
    target
        What it locks while it works: before that it loads libraries, and there is nothing to lose.
    window
        Blocks that may be in flight.
    """

    words: tuple[str, ...]
    target: str
    window: int = 0

    def start(self, folder: Path) -> psutil.Popen:
        """The command, once it is at work (or has ended)."""
        with (folder / "said.txt").open("ab") as said:
            process = psutil.Popen(
                [sys.executable, "-m", "fibseg", *self.words], cwd=folder, stdout=said, stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        lock = lock_path(folder / self.target)
        while process.poll() is None:
            holder = read_holder(lock)
            if holder is not None and holder.pid == process.pid:
                break
            time.sleep(0.002)
        return process

    def undisturbed(self, folder: Path) -> float:
        """Seconds of work of a run that nobody kills."""
        process = self.start(folder)
        begin = time.monotonic()
        refuse_failure(self.finish(process), folder)
        return time.monotonic() - begin

    def finish(self, process: psutil.Popen) -> int:
        """Exit code of the command."""
        try:
            return int(process.wait(STUCK_S))
        except TIMEOUT:
            process.kill()
            raise SystemExit(f"fibseg {' '.join(self.words)} is stuck") from None

    def evidence(self, folder: Path) -> Evidence:
        """What there is to note at a kill."""
        if self.words[0] == "train":
            return Steps(folder / MODEL / "training")
        return Blocks(folder / STORE, folder / "journals")


@dataclass(frozen=True)
class Killed:
    """How often one run was killed, what was noted at the kills, and how many blocks may fly."""

    kills: int
    evidence: Evidence
    window: int | None = None


@dataclass
class Score:
    """What came of many kills of one command; `wrong` names everything that should not be."""

    kills: int = 0
    runs: int = 0
    committed: int = 0
    again: int = 0
    in_flight: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, run: Killed, *, wrong: list[str]) -> None:
        """Count one run, and what is wrong after it."""
        found = run.evidence
        self.kills += run.kills
        self.runs += 1
        self.committed += found.committed
        self.again += found.again
        self.in_flight = max(self.in_flight, found.in_flight)
        self.wrong += wrong
        if found.again:
            self.wrong.append(f"{found.again} committed blocks were computed again")
        if run.window is not None and found.in_flight > run.window:
            self.wrong.append(f"{found.in_flight} blocks were in flight, not {run.window}")


def kill_run(
    command: Command, folder: Path, n_kills: int, seconds: float, chance: random.Random
) -> Killed:
    """Run a command to its end, killing it as a whole up to `n_kills` times on the way.

    Each time it lives between 0 and `seconds`. Workers of killed runs must end by themselves; the
    next run does not wait for them.
    """
    evidence, killed, orphans = command.evidence(folder), 0, list[psutil.Process]()
    while True:
        process = command.start(folder)
        if killed < n_kills and not ended_within(process, chance.uniform(0, seconds)):
            orphans += process.children(recursive=True)
            process.kill()
            process.wait()
            killed += 1
            evidence.compare()
            evidence.note()
            continue
        refuse_failure(command.finish(process), folder)
        evidence.compare()
        _, alive = psutil.wait_procs(orphans, timeout=GONE_S)
        if alive:
            raise SystemExit(f"workers of a killed run live on: {alive}")
        return Killed(killed, evidence, command.window)


def kill_workers(
    command: Command, folder: Path, n_kills: int, seconds: float, chance: random.Random
) -> Killed:
    """Run a command to its end, killing one of its worker processes up to `n_kills` times.

    A run in which a block lost its worker twice says so, and is started again.
    """
    evidence, killed = command.evidence(folder), 0
    while True:
        process = command.start(folder)
        while killed < n_kills and not ended_within(process, chance.uniform(0, seconds)):
            workers = [child for child in process.children(recursive=True) if is_worker(child)]
            if workers:
                chance.choice(sorted(workers, key=lambda worker: worker.pid)).kill()
                killed += 1
                evidence.note()
        code = command.finish(process)
        evidence.compare()
        if code != SOME_FAILED:
            refuse_failure(code, folder)
            return Killed(killed, evidence)


def ended_within(process: psutil.Popen, seconds: float) -> bool:
    """Whether the process ends by itself in that time."""
    try:
        process.wait(seconds)
    except TIMEOUT:
        return False
    return True


def is_worker(process: psutil.Process) -> bool:
    """Whether this is a process that blocks are computed in."""
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def refuse_failure(code: int, folder: Path) -> None:
    """End with what a command said that has failed."""
    said = (folder / "said.txt").read_text()
    if code:
        raise SystemExit(f"exit code {code} in {folder}:\n{said[-3000:]}")


def complaints(folder: Path, calm: dict[str, str]) -> list[str]:
    """Everything in a folder that differs from the undisturbed run, or frightens."""
    found = products(folder)
    wrong = [f"{name} differs" for name in {**calm, **found} if calm.get(name) != found.get(name)]
    report = verify(folder / STORE)
    wrong += [*map(str, report.findings), *report.notes]
    if "Traceback" in (folder / "said.txt").read_text():
        wrong.append("a traceback was printed")
    return wrong


def products(folder: Path) -> dict[str, str]:
    """Digest of every array, and hash of every file of tables and the model, by name."""
    found = {image.name: str(image.state.get("digest")) for image in images(folder / STORE)}
    files = [*(folder / STORE / "tables").glob("*.parquet"), *(folder / MODEL / f for f in WEIGHTS)]
    for path in files:
        if path.exists():
            name = str(path.relative_to(folder))
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def fresh_copy(base: Path, folder: Path) -> Path:
    """A new folder to run a command in."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    (folder / "said.txt").write_text("")
    return folder
