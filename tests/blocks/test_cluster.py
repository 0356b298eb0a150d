"""`Cluster`: the same bytes as other runners, a bounded window, deaths, places, clear errors."""

from __future__ import annotations

import functools
import gc
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import block_work
import dask
import numpy as np
import psutil
import pytest
import zarr
from distributed import LocalCluster
from scipy import ndimage

from fibseg.blocks import (
    Cluster,
    Processes,
    Serial,
    cluster_pool,
    label_blocks,
    map_blocks,
    reduce_blocks,
)
from fibseg.blocks.task import Task
from fibseg.errors import InterruptedRunError, UsageError

TWO = Cluster(n_workers=2)
RUNNERS = [Serial(), Processes(n_workers=2), TWO]
SHAPE, BLOCK = (20, 30, 16), (8, 10, 16)


@pytest.fixture(scope="module", autouse=True)
def closed():
    yield
    cluster_pool.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    array = zarr.create_array(
        tmp_path_factory.mktemp("image") / "a", shape=SHAPE, chunks=BLOCK, dtype="uint8",
        fill_value=0,
    )
    array[:] = np.random.default_rng(0).integers(0, 2, SHAPE)
    return array


def empty(path: Path, dtype: str) -> zarr.Array:
    return zarr.create_array(path, shape=SHAPE, chunks=BLOCK, dtype=dtype, fill_value=0)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_no_worker_is_started_for_no_block():
    assert list(TWO.outcomes(block_work.where, [])) == []
    assert not cluster_pool._clients


def test_the_three_verbs_give_the_same_bytes_on_every_runner(image, tmp_path):
    sums, labels, words = [], [], []
    fn = functools.partial(block_work.box_sum, radius_nm=3.0, spacing=(2.0, 1.0, 1.0))
    for number, runner in enumerate(RUNNERS):
        target = empty(tmp_path / f"sum{number}", "int64")
        map_blocks(fn, image, target, block_shape=BLOCK, runner=runner)
        sums.append(contents(tmp_path / f"sum{number}"))
        target = empty(tmp_path / f"labels{number}", "uint32")
        n = label_blocks(image, target, block_shape=BLOCK, connectivity=6, runner=runner)
        labels.append((n, contents(tmp_path / f"labels{number}")))
        words.append(reduce_blocks(
            block_work.Name(), image, lambda a, b: a + b, block_shape=BLOCK, runner=runner
        ))
    assert sums[0] == sums[1] == sums[2]
    assert labels[0] == labels[1] == labels[2]
    assert words[0] == words[1] == words[2] == "".join(f"{n} " for n in range(9))
    assert labels[0][0] == ndimage.label(image[:])[1]


def test_blocks_are_drawn_as_they_are_computed_and_then_forgotten():
    drawn = []

    def stream():
        for block in block_work.some_blocks(60):
            drawn.append(block.index)
            yield block

    most = 2 * cluster_pool.BLOCKS_PER_WORKER
    seen = set()
    for n_done, outcome in enumerate(TWO.outcomes(block_work.where, stream())):
        seen.add(outcome.block.index)
        assert len(drawn) - n_done <= most, "no more in flight than the window holds"
    assert seen == set(range(60))
    (client,) = cluster_pool._clients.values()
    assert not client.futures
    scheduler = client.cluster.scheduler
    deadline = time.monotonic() + 5
    while scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not scheduler.tasks
    assert not [name for name in scheduler.worker_plugins if name.startswith("fibseg")]


@dataclass
class Heavy:
    """A part that notes every time it is pickled, here, and unpickled, in a file."""

    path: str
    pickled: int = 0

    def __reduce__(self):
        self.pickled += 1
        return _unpickled, (self.path,)


def _unpickled(path: str) -> str:
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return path


@dataclass(frozen=True)
class WithPart(Task):
    part: Heavy

    def compute(self, block, parts):
        time.sleep(0.01)
        return os.getpid()


def test_a_part_travels_once_to_each_worker(tmp_path):
    part = Heavy(str(tmp_path / "log"))
    task = WithPart(part)
    processes = {o.value for o in TWO.outcomes(task, block_work.some_blocks(30))}
    assert part.pickled == 1
    log = (tmp_path / "log").read_text().split()
    assert sorted(log) == sorted(map(str, processes)), "unpickled once where a block ran"


def test_outcomes_come_in_order_when_asked():
    fn = block_work.Plain(_slow_first)
    order = [o.block.index for o in TWO.outcomes(fn, block_work.some_blocks(12), ordered=True)]
    assert order == list(range(12))
    order = [o.block.index for o in TWO.outcomes(fn, block_work.some_blocks(12))]
    assert order != list(range(12))
    assert sorted(order) == list(range(12))


def _slow_first(block):
    time.sleep(0.3 if block.index == 0 else 0.0)


def test_a_death_among_ordered_blocks_keeps_the_order(image, tmp_path):
    fn = DiesOnce(str(tmp_path))
    words = reduce_blocks(fn, image, lambda a, b: a + b, block_shape=BLOCK, runner=TWO)
    assert words.split() == [str(n) for n in range(9)]


@dataclass(frozen=True)
class DiesOnce(block_work.Name):
    folder: str

    def __call__(self, image, *, block):
        died = Path(self.folder) / "died"
        if block.index == 4 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(image, block=block)


def test_a_scheduler_that_runs_already_is_used_and_left_running(monkeypatch):
    monkeypatch.setattr(cluster_pool, "CONNECT_S", 0.3)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
        scheduler_kwargs=cluster_pool.NO_DASHBOARD,
    ) as cluster:
        there = Cluster(address=cluster.scheduler_address)
        for _ in range(2):
            found = list(there.outcomes(block_work.where, block_work.some_blocks(5)))
            assert [o.value for o in found] == 5 * [os.getpid()]
            cluster_pool.close()
        kept = signal.signal(signal.SIGINT, before)
        assert kept is signal.default_int_handler

        def stream():
            yield from block_work.some_blocks(3)
            cluster.close()
            yield from block_work.some_blocks(3)

        with pytest.raises(InterruptedRunError, match="scheduler was lost"):
            list(there.outcomes(block_work.where, stream()))


def test_the_window_follows_workers_that_leave(monkeypatch):
    monkeypatch.setattr(cluster_pool, "COUNT_WORKERS_EVERY_S", -1)
    with LocalCluster(
        n_workers=3, threads_per_worker=1, processes=False, protocol="tcp://",
        scheduler_kwargs=cluster_pool.NO_DASHBOARD,
    ) as cluster:
        drawn = []

        def stream():
            for block in block_work.some_blocks(40):
                if block.index == 13:
                    cluster.scale(1)
                    while len(cluster.scheduler.workers) > 1:
                        time.sleep(0.01)
                drawn.append(block.index)
                yield block

        ahead = {}
        there = Cluster(address=cluster.scheduler_address)
        for done, outcome in enumerate(there.outcomes(block_work.where, stream(), ordered=True)):
            assert outcome.error is None
            ahead[done] = len(drawn) - done
        assert ahead[0] == 3 * cluster_pool.BLOCKS_PER_WORKER
        assert max(ahead[done] for done in range(25, 35)) == cluster_pool.BLOCKS_PER_WORKER
        cluster_pool.close()


def test_nobody_at_the_address_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(cluster_pool, "CONNECT_S", 0.2)
    nobody = Cluster(address="tcp://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"no Dask scheduler answers at .*127.0.0.1:9"):
        list(nobody.outcomes(block_work.where, block_work.some_blocks(1)))


SLURM = {"queue": "long", "cores": 12, "memory": "48GB", "processes": 3, "walltime": "04:00:00"}


def test_the_job_script_asks_slurm_for_what_was_configured():
    script = Cluster(
        n_workers=6, slurm={**SLURM, "account": None, "job_extra_directives": ["--gres=gpu:1"]}
    ).job_script()
    head, command = script[: script.index("export")], script.splitlines()[-1]
    for line in ("-p long", "--cpus-per-task=12", "--mem=45G", "-t 04:00:00", "--gres=gpu:1"):
        assert f"#SBATCH {line}\n" in head
    assert "-A" not in head
    for name in ("OMP", "MKL", "OPENBLAS"):
        assert f"export {name}_NUM_THREADS=4\n" in script, "3 workers share 12 cores"
    assert command.startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://")
    assert "--nworkers 3 --nanny" in command
    assert command.endswith("--nthreads 3 --memory-limit 0"), "the last of two counts"


@pytest.mark.parametrize(("settings", "words"), [
    ({"n_workers": -1}, "n_workers=-1"),
    ({"address": "tcp://a:1", "slurm": SLURM}, "exclude each other"),
    ({"slurm": {"queue": "long"}, "n_workers": 2}, "needs cores and memory"),
    ({"slurm": SLURM}, "number of workers"),
])
def test_settings_that_cannot_be_meant_are_refused_at_once(settings, words):
    with pytest.raises(UsageError, match=words):
        Cluster(**settings)


@pytest.mark.filterwarnings("ignore:Exception ignored in.*:pytest.PytestUnraisableExceptionWarning")
def test_slurm_is_refused_where_it_is_not_and_for_words_it_does_not_know(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    place = Cluster(n_workers=1, slurm=SLURM)
    with pytest.raises(UsageError, match="sbatch"):
        list(place.outcomes(block_work.where, block_work.some_blocks(1)))
    with pytest.raises(UsageError, match="colour"):
        Cluster(n_workers=1, slurm={**SLURM, "colour": "red"}).job_script()
    gc.collect()  # what Dask began to make, and complains about
    with pytest.raises(UsageError, match="no job"):
        Cluster().job_script()


SBATCH = """#!/bin/sh
cp "$1" {folder}/job.sh
setsid sh {folder}/job.sh > {folder}/log 2>&1 &
echo Submitted batch job $!
"""


def test_slurm_jobs_compute_the_blocks_and_are_replaced_when_they_end(monkeypatch, tmp_path):
    """With stand-ins for sbatch and scancel, which run the job script and end it."""
    monkeypatch.setattr(cluster_pool, "KEEP_EVERY_MS", 100)
    for name, text in {
        "sbatch": SBATCH.format(folder=tmp_path), "scancel": "#!/bin/sh\nkill -- -$1\n",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(block_work.__file__).parent))
    place = Cluster(n_workers=1, slurm={"cores": 1, "memory": "1GB", "interface": "lo"})
    workers = []
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "100ms"}):
        for _ in range(2):
            outcomes = list(place.outcomes(block_work.where, block_work.some_blocks(3)))
            assert {o.error for o in outcomes} == {None}, (tmp_path / "log").read_text()
            workers += {o.value for o in outcomes}
            if len(workers) == 1:
                os.killpg(os.getpgid(workers[0]), signal.SIGKILL)
    assert len({*workers, os.getpid()}) == 3, "two jobs, one worker each"
    cluster_pool.close()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(workers[1]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(workers[1])


def test_workers_that_dask_has_given_up_are_replaced(monkeypatch):
    monkeypatch.setattr(cluster_pool, "KEEP_EVERY_MS", 100)
    one = Cluster(n_workers=1)
    before = {o.value for o in one.outcomes(block_work.where, block_work.some_blocks(2))}
    (client,) = cluster_pool._clients.values()
    for nanny in list(client.cluster.workers.values()):
        client.sync(nanny.close)
    after = {o.value for o in one.outcomes(block_work.where, block_work.some_blocks(2))}
    assert len(after) == 1
    assert not before & after


@pytest.mark.parametrize("n_failures", [0, 2, 3])
def test_workers_that_are_killed_while_they_start_are_started_again(monkeypatch, n_failures):
    failures = [RuntimeError("Nanny failed to start.")] * n_failures
    kept = []

    def start(**settings):
        if failures:
            raise failures.pop()
        return settings["n_workers"]

    monkeypatch.setattr(cluster_pool, "LocalCluster", start)
    monkeypatch.setattr(cluster_pool, "keep_workers", lambda cluster, n: kept.append((cluster, n)))
    if n_failures == cluster_pool.STARTS:
        with pytest.raises(UsageError, match="could not start"):
            cluster_pool._local(TWO)
        assert not kept
    else:
        assert cluster_pool._local(TWO) == 2
        assert kept == [(2, 2)]


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "fibseg.blocks.cluster_pool")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"distributed.*constraints\.txt -e '\.\[cluster\]'"):
        list(TWO.outcomes(block_work.where, block_work.some_blocks(1)))


SCRIPT = """
    import pathlib, sys
    sys.path.insert(0, {tests!r})
    import block_work
    from fibseg.blocks import Cluster, Processes
    from fibseg.blocks.schedule import run_blocks
    from fibseg.errors import InterruptedRunError

    if {guard}:
        n = 0
        try:
            for outcome in run_blocks(
                {runner}, block_work.slow_where, block_work.some_blocks(40), total=40,
                label="test",
            ):
                n += 1
                print(outcome.value, flush=True)
        except InterruptedRunError as error:
            print(n, error)
            sys.exit(75)
"""


def started(
    tmp_path: Path, *, runner: str = "Cluster(n_workers=1)", guard: str = "__name__ == '__main__'"
) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    tests = str(Path(block_work.__file__).parent)
    script.write_text(textwrap.dedent(SCRIPT.format(tests=tests, runner=runner, guard=guard)))
    return subprocess.Popen(
        [sys.executable, str(script)], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("runner", ["Cluster(n_workers=1)", "Processes(n_workers=2)"])
def test_ctrl_c_at_a_terminal_ends_the_run_without_killing_workers(tmp_path, runner):
    process = started(tmp_path, runner=runner)
    worker = int(process.stdout.readline())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
    out, err = process.communicate(timeout=30)
    assert process.returncode == 75, err
    assert "stopped after" in out
    assert "Traceback" not in err
    assert "died" not in err
    assert not psutil.pid_exists(worker), "the workers end with the coordinator"


def test_workers_end_with_a_coordinator_that_was_killed(tmp_path):
    process = started(tmp_path)
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(worker)


def test_a_script_without_the_guard_is_told_of_it(tmp_path):
    process = started(tmp_path, guard="True")
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "if __name__ ==" in err
