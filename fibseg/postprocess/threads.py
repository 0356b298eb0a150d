"""How many threads a library may start here."""

from __future__ import annotations

import os


def threads() -> int:
    """The share of the cores that this process was given."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
