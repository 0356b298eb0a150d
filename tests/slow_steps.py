"""``python slow_steps.py VERB …``: as fibseg, with steps so slow that a signal comes in between."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS = 0.25


def start(words: list[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Such a process, which writes to a log."""
    paths = os.pathsep.join(path for path in sys.path if path)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, __file__, *words], stdout=file, stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **environment},
        )


def wait_for(path: Path, *processes: subprocess.Popen[bytes], newer_than: int = 0) -> None:
    """Return as soon as a file is there, or one that is newer."""
    until = time.monotonic() + 240
    while not path.exists() or path.stat().st_mtime_ns <= newer_than:
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < until
        time.sleep(0.02)


def fake_scontrol(folder: Path) -> tuple[dict[str, str], Path]:
    """Environment of a SLURM job with a `scontrol` that only notes what it was asked, and where."""
    folder.mkdir()
    notes, script = folder / "asked", folder / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" >> "{notes}"\n')
    script.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "SLURM_JOB_ID": "4711", "SLURM_NTASKS": "1"}, notes


if __name__ == "__main__":
    from fibseg.cli import main
    from fibseg.training.segmenter import Segmenter

    step = Segmenter.training_step

    def slow(self: Segmenter, *arguments: Any) -> Any:
        """A step, after a while."""
        time.sleep(SECONDS)
        return step(self, *arguments)

    Segmenter.training_step = slow  # type: ignore[method-assign]
    sys.exit(main(sys.argv[1:]))
