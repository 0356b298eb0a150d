"""A command on a leash: ``python -m fibseg.blocks.leash TARGET MODULE WORDS…``.

It runs the module as ``python -m MODULE WORDS…`` would, but ends with the process that holds the
other end of its standard input, however that one ends; and while an earlier one on the same target
is still about to end, it waits.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading

from fibseg.errors import BusyError
from fibseg.volume.lock import locked

WAIT_S = 120.0
"""One that was left by a killed run may hold Python's lock for a while before it sees that."""


def main(words: list[str]) -> int:
    """Exit code of the module with these words, unless it ends the process itself."""
    target, module, *arguments = words
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = [module, *arguments]
    try:
        with locked(target, wait_s=WAIT_S):
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except BusyError as error:
        sys.stderr.write(f"{module}: {error}\n")
        return error.exit_code
    return 0


def _end_with_parent() -> None:
    # Not by sys.stdin: Python waits for its lock when it ends.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
