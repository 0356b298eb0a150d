"""Memory that is freed and needed again at once stays with the process, while that is wanted.

The C library of Linux hands large freed blocks back to the system, which clears them before it
gives them out again. A training step of a network allocates and frees the same hundred megabytes
each time: that clearing takes 13 % of it (benchmarks/training_speed.py).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

Settings = dict[int, tuple[int, ...]]

TRIM, MAP = -1, -3
"""Numbers of glibc for: bytes free at the end of the heap, and bytes of a block, to hand back."""
KEPT: Settings = {TRIM: (2**31 - 1,), MAP: (2**30, 2**25)}
"""Values to keep everything, best first: older versions take no large ones."""
USUAL: Settings = {TRIM: (2**26,), MAP: (2**25,)}
"""Where glibc itself ends up in a process that has used blocks of 32 MiB."""


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Context in which freed memory is kept for what comes next; afterwards it is handed back.

    Nothing happens with another C library than glibc.
    """
    library = _glibc()
    if library is None:
        yield
        return
    _set(library, KEPT)
    try:
        yield
    finally:
        _set(library, USUAL)
        library.malloc_trim(0)


def _glibc() -> Any:
    """The C library that this process uses, None if it has no such settings."""
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _set(library: Any, settings: Settings) -> None:
    for parameter, values in settings.items():
        for value in values:
            if library.mallopt(parameter, value):
                break
