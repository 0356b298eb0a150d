"""Threads wait asleep, unless the user wants otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("own", "wanted"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_unless_told_otherwise(own: str | None, wanted: str) -> None:
    env = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    words = "import fibseg, os; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run(
        [sys.executable, "-c", words], env=env | ({"OMP_WAIT_POLICY": own} if own else {}),
        capture_output=True, text=True, check=True,
    )
    assert done.stdout.strip() == wanted
