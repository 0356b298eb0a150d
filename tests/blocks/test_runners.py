from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import block_work
import numpy as np
import psutil
import pytest
import zarr

from fibseg.blocks import (
    Cluster,
    LocalOperator,
    Processes,
    Serial,
    cluster_pool,
    map_blocks,
    reduce_blocks,
    runners,
    worker_number,
)
from fibseg.blocks.pool import Pool, Worker, _serve
from fibseg.blocks.schedule import run_blocks
from fibseg.errors import DiskFullError, InterruptedRunError, PartlyDoneError, UsageError

TWO = Processes(n_workers=2)
CLUSTER = Cluster(n_workers=2)


@pytest.fixture(scope="module", autouse=True)
def closed():
    yield
    cluster_pool.close()


@pytest.fixture(params=[TWO, CLUSTER], ids=["processes", "cluster"])
def pool(request):
    return request.param


@pytest.fixture
def stored(tmp_path):
    """A source and a target on disk, 12 blocks of one shard each."""
    source = zarr.create_array(
        tmp_path / "source", shape=(12, 4, 4), chunks=(1, 4, 4), dtype="int64", fill_value=0
    )
    target = zarr.create_array(
        tmp_path / "target", shape=(12, 4, 4), chunks=(1, 4, 4), dtype="int64", fill_value=0
    )
    source[:] = np.random.default_rng(0).integers(0, 1000, (12, 4, 4))
    return source, target


def test_a_pool_writes_what_serial_writes(stored, pool):
    source, target = stored
    map_blocks(block_work.plus_one, source, target, block_shape=(1, 4, 4), runner=pool)
    np.testing.assert_array_equal(target[:], source[:] + 1)


def test_a_pool_reduces_in_grid_order(stored, pool):
    source, _ = stored
    words = reduce_blocks(
        block_work.Name(), source, lambda a, b: a + b, block_shape=(1, 4, 4), runner=pool
    )
    assert words.split() == [str(n) for n in range(12)]


def test_a_poisoned_block_does_not_stop_the_others(stored, pool):
    source, target = stored
    with pytest.raises(PartlyDoneError, match="poison in block 5"):
        map_blocks(
            block_work.Poisoned(fails=(5,)), source, target, block_shape=(1, 4, 4), runner=pool
        )
    np.testing.assert_array_equal(np.delete(target[:] - source[:], 5, axis=0), 1)


def test_the_death_of_a_worker_costs_only_its_blocks(stored, tmp_path, pool):
    source, target = stored
    diary = tmp_path / "diary"
    diary.mkdir()
    fn = block_work.Poisoned(dies_once=(4,), diary=str(diary))
    map_blocks(fn, source, target, block_shape=(1, 4, 4), runner=pool)
    np.testing.assert_array_equal(target[:], source[:] + 1)
    again = sum(len(file.read_text()) - 1 for file in diary.iterdir())
    assert 1 <= again <= 5, "only blocks in flight are computed again"

@pytest.mark.parametrize("n_killed", [1, 6])
def test_a_worker_that_is_killed_while_it_starts_is_started_again(monkeypatch, n_killed):
    launch, killed = Worker.__init__, []

    def shot(self):
        launch(self)
        if len(killed) < n_killed:
            self.process.kill()
            killed.append(self.process.pid)

    monkeypatch.setattr(Worker, "__init__", shot)
    if n_killed == 1:
        pool = Pool(2, threads=1)
        pool.close()
    else:
        with pytest.raises(UsageError, match="could not start"):
            Pool(2, threads=1)
    assert not {child.pid for child in psutil.Process().children()}.intersection(killed)


def test_a_block_that_kills_its_worker_twice_is_recorded(stored, pool):
    source, target = stored
    with pytest.raises(PartlyDoneError, match=r"1 of 12 .* block 4 .* died twice"):
        map_blocks(
            block_work.Poisoned(dies=(4,)), source, target, block_shape=(1, 4, 4), runner=pool
        )
    np.testing.assert_array_equal(np.delete(target[:] - source[:], 4, axis=0), 1)


def test_a_worker_whose_coordinator_is_gone_before_it_is_there_ends_in_silence(capfd):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs,))
    worker.start()
    ours.close()
    theirs.close()
    worker.join()
    assert worker.exitcode == 0
    assert capfd.readouterr().err == ""


def test_each_worker_has_its_number_and_who_takes_its_place_has_it_too(monkeypatch):
    monkeypatch.delenv("FIBSEG_WORKER", raising=False)
    workers = Pool(3, threads=1)
    try:
        pids = [worker.process.pid for worker in workers._workers]
        assert found_by(workers) == set(enumerate(pids))
        workers._workers[1].process.kill()
        workers._workers[1].process.join()
        found_by(workers)
        again = [worker.process.pid for worker in workers._workers]
        assert again[::2] == pids[::2]
        assert again[1] != pids[1]
        assert found_by(workers) == set(enumerate(again))
    finally:
        workers.close()
    assert worker_number() == 0
    assert "FIBSEG_WORKER" not in os.environ


def found_by(workers):
    """Numbers and processes that worked on twelve blocks."""
    workers.begin(pickle.dumps(block_work.Plain(block_work.number)))
    blocks = block_work.some_blocks(12)
    for block in blocks:
        workers.send(block)
    found = []
    while len(found) < len(blocks):
        found += list(workers.landed())
    return {outcome.value for outcome in found}


def test_fewer_workers_than_none_are_refused():
    with pytest.raises(UsageError, match="n_workers=-1"):
        Processes(n_workers=-1)


def test_a_pool_refuses_what_cannot_travel(stored, pool):
    source, target = stored
    with pytest.raises(UsageError, match="NumPy array"):
        map_blocks(
            block_work.plus_one, source, np.zeros((12, 4, 4)), block_shape=(1, 4, 4), runner=pool
        )
    with pytest.raises(UsageError, match="cannot travel"):
        map_blocks(
            LocalOperator(lambda a: a, (0, 0, 0)), source, target, block_shape=(1, 4, 4),
            runner=pool,
        )


def test_threads_times_workers_never_exceed_the_cores(tmp_path, pool, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cluster_pool.close()
    runners.pool.close()
    task = block_work.Plain(
        functools.partial(block_work.threads, diary=str(tmp_path), n_workers=2)
    )
    outcomes = list(pool.outcomes(task, block_work.some_blocks(4)))
    assert {o.value for o in outcomes} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    assert len(list(tmp_path.iterdir())) == 2
    assert "OMP_NUM_THREADS" not in os.environ



@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("runner", [Serial(), TWO, CLUSTER], ids=["serial", "processes", "cluster"])
def test_a_signal_finishes_the_blocks_in_flight_and_the_next_run_the_rest(
    stored, tmp_path, runner, number
):
    source, target = stored
    diary, journal = tmp_path / "diary", tmp_path / "journal"
    diary.mkdir()
    list(runner.outcomes(block_work.where, block_work.some_blocks(1)))
    before = signal.getsignal(number)

    def interrupt():
        while not any(diary.iterdir()):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    fn = block_work.Poisoned(seconds=0.05, diary=str(diary))
    with pytest.raises(InterruptedRunError, match="The same command continues there"):
        map_blocks(
            fn, source, target, block_shape=(1, 4, 4), runner=runner, journal=journal
        )
    thread.join()
    assert signal.getsignal(number) is before
    assert 0 < journal.read_text().count("done") < 12
    fn = block_work.Poisoned(diary=str(diary))
    map_blocks(fn, source, target, block_shape=(1, 4, 4), runner=runner, journal=journal)
    np.testing.assert_array_equal(target[:], source[:] + 1)
    assert all(file.read_text() == "x" for file in diary.iterdir()), "nothing computed twice"


@pytest.mark.parametrize("runner", [Serial(), TWO, CLUSTER], ids=["serial", "processes", "cluster"])
def test_a_full_disk_stops_the_run_at_once_and_is_told_once(tmp_path, runner):
    task = block_work.Plain(functools.partial(block_work.full_from, 3, str(tmp_path)))
    blocks, done = block_work.some_blocks(90), []
    told = rf"test: stopped after 3 of 90 blocks\. There is no room for {tmp_path}/target: up"
    outcomes = run_blocks(runner, task, blocks, total=90, label="test")
    with pytest.raises(DiskFullError, match=told) as caught:
        done.extend(outcome.block.index for outcome in outcomes)
    assert str(caught.value).count("room for") == 1
    assert sorted(done) == [0, 1, 2]
    assert len(list(tmp_path.iterdir())) < 30, "no more than were in flight"


SCRIPT = """
    import sys, zarr
    sys.path.insert(0, {tests!r})
    import block_work
    from fibseg.blocks import Cluster, Processes, Serial, map_blocks

    if __name__ == "__main__":
        source, target = (zarr.open_array(f"{folder}/{{name}}") for name in ("source", "target"))
        fn = block_work.Poisoned(seconds={seconds}, diary={diary!r})
        map_blocks(fn, source, target, block_shape=(1, 4, 4), runner={runner},
                   journal=__import__("pathlib").Path({folder!r}) / "journal")
"""


@pytest.mark.parametrize(
    "runner", ["Serial()", "Processes(n_workers=2)", "Cluster(n_workers=2)"]
)
def test_after_sigkill_the_same_call_ends_in_the_same_bytes(stored, tmp_path, runner):
    source, target = stored
    diary = tmp_path / "diary"
    diary.mkdir()
    script = tmp_path / "script.py"
    values = {
        "tests": str(Path(block_work.__file__).parent), "folder": str(tmp_path),
        "diary": str(diary), "runner": runner,
    }
    script.write_text(textwrap.dedent(SCRIPT.format(seconds=0.2, **values)))
    victim = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60
    journal = tmp_path / "journal"
    while time.monotonic() < deadline and not (
        journal.exists() and "done" in journal.read_text() and len(list(diary.iterdir())) >= 4
    ):
        time.sleep(0.01)
    victim.kill()
    victim.wait()
    time.sleep(0.4)  # orphaned workers have left by then
    committed = journal.read_text().count("done")
    assert 0 < committed < 12
    started = len(list(diary.iterdir()))
    script.write_text(textwrap.dedent(SCRIPT.format(seconds=0, **values)))
    subprocess.run([sys.executable, str(script)], check=True)
    np.testing.assert_array_equal(target[:], source[:] + 1)
    again = sum(len(file.read_text()) - 1 for file in diary.iterdir())
    assert again <= started - committed, "only blocks in flight are computed again"
