"""What a pool promises: each block once, in a bounded window, and no process left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import block_work
import numpy as np
import psutil
import pytest
import zarr

from fibseg.blocks import Processes, label_blocks
from fibseg.blocks.task import IN_FLIGHT, Task

TWO = Processes(n_workers=2)


@pytest.mark.parametrize("ordered", [False, True])
def test_each_block_once_and_never_more_than_the_window_ahead(ordered):
    pulled, yielded, ahead = [], [], []

    def stream():
        for block in block_work.some_blocks(40):
            pulled.append(block.index)
            yield block

    for outcome in TWO.outcomes(block_work.where, stream(), ordered=ordered):
        yielded.append(outcome.block.index)
        ahead.append(len(pulled) - len(yielded))
    assert sorted(yielded) == list(range(40))
    assert not ordered or yielded == sorted(yielded)
    assert max(ahead) <= IN_FLIGHT * TWO.at_once()


def test_zero_workers_means_one_per_core():
    n_cores = len(psutil.Process().cpu_affinity())
    assert Processes().at_once() == n_cores
    assert Processes().at_once(threads=2) == max(1, n_cores // 2)
    assert Processes().at_once(threads=10 * n_cores) == 1
    assert Processes(n_workers=7).at_once() == Processes(n_workers=7).at_once(threads=4) == 7


@dataclass(frozen=True)
class _Threaded(Task):
    """Gives the process; uses many threads well."""

    threads = 10**6

    def compute(self, block, parts):
        return os.getpid()


def test_where_one_worker_would_do_it_is_this_process():
    alone = {o.value for o in Processes().outcomes(_Threaded(), block_work.some_blocks(3))}
    assert alone == {os.getpid()}


SCRIPT = """
    import sys, zarr
    from pathlib import Path
    from fibseg.blocks import Processes, label_blocks

    if __name__ == "__main__":
        folder = Path(sys.argv[1])
        mask, target = (zarr.open_array(folder / name) for name in ("mask", "target"))
        print(label_blocks(mask, target, block_shape=(8, 16, 16), scratch=folder / "scratch",
                           journal=folder / "journal", runner=Processes(n_workers=2)))
"""


def test_label_blocks_survives_sigkill_and_leaves_no_process(tmp_path):
    mask = np.random.default_rng(3).random((64, 48, 48)) < 0.1
    zarr.save_array(tmp_path / "mask", mask)
    target = zarr.create_array(
        tmp_path / "target", shape=mask.shape, chunks=(8, 16, 16), dtype="u4"
    )
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), str(tmp_path)]
    for journal in ("scratch/survey.journal", "journal"):
        victim = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_lines(victim, tmp_path / journal, n=10)
        workers = psutil.Process(victim.pid).children(recursive=True)
        victim.kill()
        victim.wait()
        gone, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive
        assert gone
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    expected = np.zeros(mask.shape, dtype=np.uint32)
    assert int(done.stdout) == label_blocks(mask, expected, block_shape=mask.shape)
    np.testing.assert_array_equal(target[:], expected)


def wait_for_lines(process: subprocess.Popen, path: Path, *, n: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") > n:
            return
        time.sleep(0.002)
    raise AssertionError(f"{path.name} has not {n} lines")


def test_an_unguarded_script_is_told_what_to_do(tmp_path):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from fibseg.blocks import Block, Processes\n"
        "from fibseg.blocks.task import Task\n"
        "from fibseg.geometry import Box\n"
        "box = Box((0,), (1,))\n"
        "list(Processes(n_workers=1).outcomes(Task(), [Block(0, box, box)]))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode
    assert "UsageError: worker processes could not start" in done.stderr
