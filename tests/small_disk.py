"""A disk of some kilobytes: a tmpfs that one process and its children see, and nobody else."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def run_on_small_disk(
    code: str, *words: str | Path, disk: Path, n_bytes: int
) -> subprocess.CompletedProcess[str]:
    """Run Python `code` with a disk of `n_bytes` at the folder `disk`, which is its first word.

    Modules of the tests can be imported. Skips the test where no tmpfs can be mounted.
    """
    tests = Path(__file__).parent
    disk.mkdir(exist_ok=True)
    return subprocess.run(
        [*_private_mounts(), "sh", "-c", MOUNT, "sh", str(n_bytes), str(disk),
         sys.executable, "-c", code, str(disk), *map(str, words)],
        env={**os.environ, "PYTHONPATH": f"{tests}:{tests / 'pipeline'}:{tests.parent}"},
        capture_output=True, text=True, check=False,
    )


def resize(disk: Path, n_bytes: int) -> None:
    """Give the disk `n_bytes`, in whole pages."""
    subprocess.run(["mount", "-o", f"remount,size={n_bytes}", str(disk)], check=True)


@functools.cache
def _private_mounts() -> tuple[str, ...]:
    """Words of the command that allows its command to mount."""
    said = "there is no unshare here"
    for words in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        with tempfile.TemporaryDirectory() as folder:
            trial = [*words, "sh", "-c", MOUNT, "sh", "64k", folder, "true"]
            try:
                done = subprocess.run(trial, capture_output=True, text=True, check=False)
            except OSError:
                continue
        if done.returncode == 0:
            return words
        said = done.stderr.strip()
    pytest.skip(f"no small disk can be mounted: {said}")
