"""Units of work that are commands, each a process of its own: a crash of one touches no other.

Runners hand them out like blocks. Whoever waits for such a process holds its leash
(`fibseg.blocks.leash`): no process outlives its run, whichever of them is killed.
"""

from __future__ import annotations

import datetime
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from fibseg.blocks.grid import Block
from fibseg.blocks.task import Outcome, Task, outcome_of
from fibseg.blocks.threads import sharing
from fibseg.errors import InterruptedRunError, StoppedAtOnce

LOG = "log.txt"
LOOK_EVERY_S = 0.2
"""How often it is looked for a wish to stop."""
_TAIL = 20_000
_LONGEST = 600


@dataclass(frozen=True)
class Unit:
    """Commands that are run one after the other, up to the first that fails.

    Attributes
    ----------
    name
        For people.
    commands
        Words of each, behind ``fibseg``.
    folder
        Gets their output, in `LOG`; a unit is not begun while another run still works on it.
    """

    name: str
    commands: Sequence[Sequence[str]]
    folder: str


@dataclass(frozen=True)
class Ended:
    """How a unit ended: code and error of the last command (0 and None if all is done)."""

    code: int
    seconds: float
    error: str | None = None

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped from outside, and the same command continues it."""
        return self.code == InterruptedRunError.exit_code


@dataclass(frozen=True)
class Commands(Task):
    """Block k is unit k; its outcome is an `Ended`, also where the unit failed.

    Parameters
    ----------
    cores
        Of each process; 0 leaves it what the worker has.
    stop
        File that tells all units, on any machine, to come to an end: they then exit as after a
        signal.
    module
        That takes the words.
    """

    units: Sequence[Unit]
    cores: int
    stop: str
    module: str = "fibseg"

    @property
    def ahead(self) -> bool:
        """No: others may be free before this worker is."""
        return False

    def compute(self, block: Block, parts: Any) -> Ended:
        """Run all commands of one unit."""
        unit, begin, ended = self.units[block.index], time.monotonic(), Ended(0, 0.0)
        folder = Path(unit.folder)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("ab") as log:
            for words in unit.commands:
                code, error = self._run(words, folder, log)
                ended = Ended(code, time.monotonic() - begin, error)
                if code:
                    break
        return ended

    def _run(self, words: Sequence[str], folder: Path, log: BinaryIO) -> tuple[int, str | None]:
        """Exit code of a command, and what it complains of."""
        if Path(self.stop).exists():
            return InterruptedRunError.exit_code, "not begun"
        now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        log.write(f"--- {now}  {self.module} {shlex.join(words)}\n".encode())
        log.flush()
        start = log.tell()
        leash = [sys.executable, "-m", "fibseg.blocks.leash", str(folder / "work"), self.module]
        # A session of its own: Ctrl-C goes to the coordinator, who tells all units where they are.
        process = subprocess.Popen(
            [*leash, *words], stdin=subprocess.PIPE, stdout=log, stderr=log,
            env=sharing(self.cores) if self.cores else None, start_new_session=True,
        )
        try:
            code, stopped = self._ended(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
        if code and stopped:
            return InterruptedRunError.exit_code, "stopped; the same command continues"
        return code, complaint(folder / LOG, start, words[0], code) if code else None

    def _ended(self, process: subprocess.Popen[bytes]) -> tuple[int, bool]:
        """Exit code, for which it waits, and whether the unit was told to stop."""
        stopped = False
        while True:
            try:
                return process.wait(LOOK_EVERY_S), stopped
            except subprocess.TimeoutExpired:
                if not stopped and Path(self.stop).exists():
                    stopped = True
                    process.send_signal(signal.SIGTERM)


@dataclass(frozen=True)
class Threads:
    """Runner for `Commands` on this machine: threads that wait for processes need no workers.

    Parameters
    ----------
    n
        Units at the same time.
    """

    n: int

    @property
    def in_process(self) -> bool:
        """Always true."""
        return True

    def at_once(self, threads: int = 1) -> int:
        """Number of units at the same time."""
        return self.n

    def outcomes(
        self, task: Task, blocks: Iterable[Block], *, ordered: bool = False
    ) -> Iterator[Outcome]:
        """Yield one outcome per block as they finish, or in the given order if `ordered`.

        Raises
        ------
        StoppedAtOnce
            In place of a KeyboardInterrupt: processes end with this one.
        """
        stream = iter(blocks)
        flying: dict[Future[Any], Block] = {}
        pool = ThreadPoolExecutor(self.n, thread_name_prefix="command")
        try:
            while True:
                for block in islice(stream, self.n - len(flying)):
                    flying[pool.submit(task.compute, block, None)] = block
                if not flying:
                    return
                landed = wait(flying, return_when=FIRST_COMPLETED).done
                first = next(iter(flying))
                for future in [first] if ordered else [f for f in flying if f in landed]:
                    yield outcome_of(flying.pop(future), future)
        except KeyboardInterrupt as error:
            raise StoppedAtOnce from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def complaint(log: Path, start: int, verb: str, code: int) -> str:
    """What a failed command said last, from byte `start` of its log on: its own words, if any."""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - _TAIL))
        text = file.read().decode("utf-8", "replace").strip()
    lines = text.splitlines()
    own = [n for n, line in enumerate(lines) if line.startswith((f"fibseg {verb}: ", "fibseg: "))]
    if own:
        said = " ".join(lines[own[-1] :]).partition(": ")[2]
    elif code < 0:
        name = signal.Signals(-code).name
        said = f"killed by {name}" + (", or for want of memory" if name == "SIGKILL" else "")
    else:
        said = lines[-1] if lines else "it said nothing"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"
