"""Run as ``python -m unit_work …``: what a unit of `fibseg.blocks.Commands` may come to."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from fibseg.blocks import usable_cores


def main(deed: str, note: str, seconds: str = "0") -> int:
    """Note who works and when, then do the deed; the exit code."""
    begin = time.time()
    Path(note).write_text(f"{os.getpid()} {os.getppid()} {begin}")
    if deed == "sleep":
        time.sleep(float(seconds))
        Path(note).write_text(f"{os.getpid()} {os.getppid()} {begin} {time.time()}")
    elif deed == "cores":
        sys.stdout.write(f"{usable_cores()} {os.environ['OMP_NUM_THREADS']}\n")
    elif deed == "complain":
        sys.stderr.write("some line\nfibseg complain: the labels are broken.\nMake them again.\n")
        return 65
    elif deed == "crash":
        raise ValueError("no reason")
    elif deed == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
