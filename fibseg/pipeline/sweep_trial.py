"""A trial: a process of ``fibseg train`` with a command, a log and a model folder of its own."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fibseg.blocks import thread_variables
from fibseg.errors import InterruptedRunError
from fibseg.export import load_spec
from fibseg.pipeline.train_folder import FOLDER
from fibseg.training import noted_scores
from fibseg.volume.files import write_json
from fibseg.volume.lock import Holder, lock_path, read_holder

MODEL, LOG, COMMAND, PROCESS = "model", "log.txt", "command.txt", "process.json"
MOST_STARTS = 3
"""Of a process that was stopped from outside, or for want of memory or disk."""
WHOLE = 0.999
"""Share of the steps from which a training counts as at its end."""


@dataclass
class Trial:
    """One trial at work in this process.

    Parameters
    ----------
    number, folder
        Its number, and the folder that is its own.
    words
        Behind ``fibseg train``, without ``out=``.
    threads
        That it may use.
    n_looks
        How often it shows how good it is.
    """

    number: int
    folder: Path
    words: Sequence[str]
    threads: int
    n_looks: int
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    looked: int = 0

    @property
    def model(self) -> Path:
        """Model folder."""
        return self.folder / MODEL

    @property
    def command(self) -> list[str]:
        """Words of the whole command, as they can be typed."""
        return ["fibseg", "train", *self.words, f"out={self.model}"]

    def poll(self) -> int | None:
        """Exit code; None while it runs. Begins it as soon as nobody else trains into its folder.

        Of a sweep that was killed the trainings go on by themselves, each to its end.
        """
        if self.process is None:
            if self._holder() is None:
                self._begin()
            return None
        code = self.process.poll()
        if code and self._holder() is not None:  # it was refused, as another trains there
            self.process = None
            return None
        stopped = code is not None and (code < 0 or code == InterruptedRunError.exit_code)
        if stopped and self.starts < MOST_STARTS:
            self._begin()
            return None
        return code

    def ask_to_stop(self) -> None:
        """Ask it to save and end."""
        self.starts = MOST_STARTS
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)  # nothing, where it has ended
        elif (holder := self._holder()) is not None and holder.host == platform.node():
            with contextlib.suppress(ProcessLookupError):
                os.kill(holder.pid, signal.SIGTERM)

    def stop(self) -> None:
        """Wait until it has saved and ended; one that a killed sweep had begun is only asked."""
        if self.process is not None:
            self.process.wait()

    def new_looks(self) -> list[tuple[int, float]]:
        """Number and score of each look since the last time, before the training's end."""
        found = []
        for share, score in noted_scores(self.model / FOLDER).items():
            at = max(1, round(self.n_looks * share))
            if share < WHOLE and at > self.looked:
                found.append((at, score))
                self.looked = at
        return found

    def reason(self) -> str:
        """The last line of its log."""
        path = self.folder / LOG
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else f"it ended without a word; see {path}"

    def _begin(self) -> None:
        """Start the process, in a session of its own: Ctrl-C is for the sweep, which stops it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / COMMAND).write_text(shlex.join(self.command) + "\n", encoding="utf-8")
        self.starts += 1
        with thread_variables(self.threads), (self.folder / LOG).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fibseg", *self.command[1:]], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )
        # Before it has locked its folder, too, it should be known to whoever takes over.
        write_json(self.folder / PROCESS, asdict(Holder.of(self.process.pid, self.command)))

    def _holder(self) -> Holder | None:
        """Another living process that trains into the model folder, or is about to."""
        mine = None if self.process is None else self.process.pid
        for path in (self.folder / PROCESS, lock_path(self.model)):
            holder = read_holder(path)
            if holder is not None and not holder.gone and holder.pid != mine:
                return holder
        return None


def validation_score(model: Path, *, by_looks: bool) -> float | None:
    """Mean IoU of all classes on what was held out of a finished training; None if undefined.

    Parameters
    ----------
    model
        Model folder.
    by_looks
        Take it from the last look during the training, where the held-out scores of the model are
        those of the test.
    """
    if by_looks:
        looks = noted_scores(model / FOLDER)
        return list(looks.values())[-1] if looks else None
    classes: dict[str, Any] = load_spec(model).metrics.get("classes", {})
    known = [scores["iou"] for scores in classes.values()]
    return None if not known or None in known else float(sum(known) / len(known))
