"""Reading ahead and writing behind: what overlaps, what never does, what is held, what fails."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
import weakref
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import block_work
import numpy as np
import psutil
import pytest

from fibseg.blocks import IN_FLIGHT, Cluster, Processes, Serial, Task, cluster_pool, runners
from fibseg.blocks.task import Lane, failure
from fibseg.errors import DataError, UsageError

STEP_S = 0.05


@pytest.fixture(scope="module", autouse=True)
def closed():
    yield
    cluster_pool.close()
    runners.pool.close()


@dataclass(frozen=True)
class Waits(Task):
    """Three steps that take equally long and need no core."""

    def read(self, block):
        time.sleep(STEP_S)
        return 10 * block.index

    def compute(self, block, parts):
        time.sleep(STEP_S)
        return parts + 1

    def write(self, block, result):
        time.sleep(STEP_S)
        return result


@pytest.mark.parametrize(
    "runner", [Serial(), Processes(n_workers=1), Cluster(n_workers=1)],
    ids=["serial", "processes", "cluster"],
)
def test_the_three_steps_of_neighbouring_blocks_overlap(runner):
    n = 12
    task = block_work.Overlaps(n, token=os.urandom(8).hex())
    outcomes = list(runner.outcomes(task, block_work.some_blocks(n), ordered=True))
    assert [o.error for o in outcomes] == [None] * n
    assert [o.value for o in outcomes] == [10 * index + 1 for index in range(n)]


def test_steps_that_do_not_overlap_are_noticed():
    task = block_work.Overlaps(2, token="alone", patience_s=0.1)
    (block, _) = block_work.some_blocks(2)
    with pytest.raises(TimeoutError, match="read of block number 2 has not begun"):
        task.compute(block, task.read(block))


def test_no_block_overtakes_another():
    computed, rng = [], np.random.default_rng(0)

    class Noted(Task):
        def read(self, block):
            time.sleep(float(rng.uniform(0, 0.002)))

        def compute(self, block, parts):
            computed.append(block.index)

    n = 200
    assert len(list(Serial().outcomes(Noted(), block_work.some_blocks(n)))) == n
    assert computed == list(range(n))


@dataclass
class Watched(Task):
    """Counts who is in which step, and the most there ever were."""

    now: Counter = field(default_factory=Counter)
    most: Counter = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)
    computing: set = field(default_factory=set)
    committed: set = field(default_factory=set)

    @contextmanager
    def step(self, name):
        with self.lock:
            self.now[name] += 1
            self.most[name] = max(self.most[name], self.now[name])
        time.sleep(0.002)
        yield
        with self.lock:
            self.now[name] -= 1

    def read(self, block):
        with self.lock:
            self.now["held"] += 1
            self.most["held"] = max(self.most["held"], self.now["held"])
        with self.step("read"):
            return block.index

    def compute(self, block, parts):
        with self.step("compute"):
            self.computing.add(threading.current_thread())
            return parts

    def write(self, block, result):
        with self.step("write"):
            self.committed.add(result)
        with self.lock:
            self.now["held"] -= 1
        return result


def test_one_computes_one_reads_and_few_are_held():
    task = Watched()
    for outcome in Serial().outcomes(task, block_work.some_blocks(60)):
        assert outcome.value in task.committed, "known only once it is written"
    assert task.most["compute"] == task.most["read"] == 1
    assert 1 < task.most["held"] <= IN_FLIGHT
    assert len(task.computing) == 1, "libraries keep their threads"


class Voxels(np.ndarray):
    """An array that a weak reference can point at."""


@dataclass
class Freed(Task):
    seen: list = field(default_factory=list)
    freed: list = field(default_factory=list)

    def read(self, block):
        voxels = np.zeros(4).view(Voxels)
        self.seen.append(weakref.ref(voxels))
        return voxels

    def compute(self, block, parts):
        return block.index

    def write(self, block, result):
        deadline = time.monotonic() + 5
        while self.seen[result]() is not None and time.monotonic() < deadline:
            time.sleep(0.001)  # the thread that computed it may not have let go yet
        self.freed.append(self.seen[result]() is None)


def test_what_was_read_is_freed_before_the_result_is_written():
    task = Freed()
    list(Serial().outcomes(task, block_work.some_blocks(8)))
    assert task.freed == 8 * [True]


@dataclass(frozen=True)
class Fails(Task):
    """Block 1 cannot be read, 3 not computed, 5 not written."""

    def read(self, block):
        return self._step(block, 1, "read")

    def compute(self, block, parts):
        return self._step(block, 3, "compute")

    def write(self, block, result):
        return self._step(block, 5, "write")

    def _step(self, block, bad, name):
        if block.index == bad:
            raise ValueError(f"cannot {name}")
        return block.index


@pytest.mark.parametrize("runner", [Serial(), Processes(n_workers=2)], ids=["serial", "processes"])
def test_a_failure_in_any_step_is_that_of_its_block(runner):
    outcomes = list(runner.outcomes(Fails(), block_work.some_blocks(7), ordered=True))
    assert [o.block.index for o in outcomes] == list(range(7))
    errors = {o.block.index: o.error for o in outcomes if o.error}
    assert errors == {
        1: "ValueError: cannot read", 3: "ValueError: cannot compute", 5: "ValueError: cannot write"
    }
    assert "Traceback" in outcomes[5].trace


def test_an_error_of_ours_is_told_without_the_lines_of_code_that_it_came_through():
    (block,) = block_work.some_blocks(1)
    told = failure(block, DataError("labels/m is damaged. Copy it again."))
    assert told.error == "DataError: labels/m is damaged. Copy it again."
    assert told.trace == "labels/m is damaged. Copy it again."


@dataclass(frozen=True)
class Unreturnable(Task):
    def compute(self, block, parts):
        return threading.Lock() if block.index == 1 else block.index


@dataclass(frozen=True)
class Unloadable(Task):
    def __reduce__(self):
        return int, ("no number",)


def test_what_cannot_travel_is_a_failure_and_not_a_death():
    pool = Processes(n_workers=1)
    outcomes = list(pool.outcomes(Unreturnable(), block_work.some_blocks(3), ordered=True))
    assert [o.value for o in outcomes] == [0, None, 2]
    assert "cannot pickle" in outcomes[1].error
    outcomes = list(pool.outcomes(Unloadable(), block_work.some_blocks(2)))
    assert all("no number" in o.error for o in outcomes)
    with pytest.raises(UsageError, match="blocks=serial"):
        list(pool.outcomes(block_work.Plain(lambda block: 1), block_work.some_blocks(1)))


@pytest.mark.parametrize("runner", [Serial(), Processes(n_workers=1)], ids=["serial", "processes"])
def test_a_run_that_is_left_early_leaves_nothing_behind(runner, tmp_path):
    before = set(threading.enumerate())
    task = block_work.Plain(functools.partial(block_work.slowly_noted, str(tmp_path)))
    for _ in range(2):
        outcomes = runner.outcomes(task, block_work.some_blocks(50))
        assert next(outcomes).error is None
        outcomes.close()
        n_begun = len(list(tmp_path.iterdir()))
        assert 1 <= n_begun < 25, "what was not begun is dropped"
        for note in tmp_path.iterdir():
            note.unlink()
    assert set(threading.enumerate()) <= before


def test_workers_that_were_killed_while_idle_are_replaced():
    pool = Processes(n_workers=1)
    (before,) = {o.value for o in pool.outcomes(block_work.where, block_work.some_blocks(2))}
    os.kill(before, signal.SIGKILL)
    psutil.Process(before).wait(5)
    outcomes = list(pool.outcomes(block_work.where, block_work.some_blocks(5), ordered=True))
    assert [o.block.index for o in outcomes] == list(range(5))
    assert all(o.error is None and o.value != before for o in outcomes)


def test_two_runs_at_once_do_not_mix():
    pool = Processes(n_workers=1)
    both = zip(
        pool.outcomes(Waits(), block_work.some_blocks(4), ordered=True),
        pool.outcomes(block_work.where, block_work.some_blocks(4), ordered=True), strict=True,
    )
    values = [(one.value, other.value) for one, other in both]
    assert [one for one, _ in values] == [1, 11, 21, 31]
    assert len({other for _, other in values}) == 1


def test_a_lane_that_is_closed_finishes_what_is_computed_and_drops_the_rest():
    done = []
    task = block_work.Plain(lambda block: (time.sleep(0.1), done.append(block.index)))
    with Lane() as lane:
        futures = [lane.submit(task, block) for block in block_work.some_blocks(6)]
        while not futures[0].running():
            time.sleep(0.001)
        time.sleep(0.02)
    assert done == [0]
    assert futures[0].exception() is None
    assert futures[-1].cancelled()
