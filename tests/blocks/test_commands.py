"""Units that are processes: what they come to, that they can be stopped, and that none is left."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from fibseg.blocks import Cluster, Commands, Grid, Threads, Unit, cluster_pool, usable_cores
from fibseg.blocks.commands import complaint
from fibseg.blocks.threads import CORES

HERE = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes find ``unit_work`` beside the tests."""
    paths = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def unit(folder, name, deed, *more):
    own = folder / name
    return Unit(name, [[deed, str(folder / f"{name}.note"), *more]], str(own))


def task_of(folder, units, cores=1):
    return Commands(units, cores, str(folder / "stop"), module="unit_work")


def carried_out(runner, task):
    blocks = Grid((len(task.units),), (1,)).blocks()
    return {
        task.units[o.block.index].name: o.value for o in runner.outcomes(task, blocks)
    }


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_what_units_come_to_and_that_one_touches_no_other(tmp_path):
    deeds = {"good": "cores", "bad": "complain", "worse": "crash", "worst": "die"}
    task = task_of(tmp_path, [unit(tmp_path, n, d) for n, d in deeds.items()])
    ended = carried_out(Threads(2), task)
    assert {name: e.code for name, e in ended.items()} == {
        "good": 0, "bad": 65, "worse": 1, "worst": -9,
    }
    assert ended["good"].error is None
    assert ended["bad"].error == "the labels are broken. Make them again."
    assert ended["worse"].error == "ValueError: no reason"
    assert ended["worst"].error == "killed by SIGKILL, or for want of memory"
    log = (tmp_path / "good" / "log.txt").read_text().splitlines()
    assert "unit_work cores" in log[0]
    assert log[1] == "1 1", "no more cores and threads than its share"


def test_commands_of_a_unit_end_with_the_first_that_fails(tmp_path):
    notes = [str(tmp_path / name) for name in "abc"]
    deeds = ["sleep", "complain", "sleep"]
    commands = [list(pair) for pair in zip(deeds, notes, strict=True)]
    task = task_of(tmp_path, [Unit("a", commands, str(tmp_path / "u"))])
    assert carried_out(Threads(1), task)["a"].code == 65
    assert [Path(note).exists() for note in notes] == [True, True, False]


def test_told_to_stop_they_stop_and_no_other_is_begun(tmp_path):
    task = task_of(tmp_path, [unit(tmp_path, name, "sleep", "300") for name in "ab"])
    def stop():
        until((tmp_path / "a.note").exists)
        Path(task.stop).touch()
    threading.Thread(target=stop).start()
    begin = time.monotonic()
    ended = carried_out(Threads(1), task)
    assert time.monotonic() - begin < 100
    assert ended["a"].interrupted
    assert ended["b"].interrupted
    assert ended["b"].error == "not begun"
    assert not (tmp_path / "b.note").exists()


PARENT = """
    import sys
    from fibseg.blocks import Commands, Grid, Threads, Unit
    folder = sys.argv[1]
    units = [Unit("a", [["sleep", folder + "/a.note", "300"]], folder + "/a")]
    task = Commands(units, 1, folder + "/stop", module="unit_work")
    list(Threads(1).outcomes(task, Grid((1,), (1,)).blocks()))
"""


def test_none_outlives_its_run_and_the_next_takes_its_place(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path)])
    note = tmp_path / "a.note"
    until(lambda: note.exists() and note.read_text())
    pid = int(note.read_text().split()[0])
    assert (tmp_path / "a" / ".work.lock").exists()
    parent.kill()
    parent.wait()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 20)
    ended = carried_out(Threads(1), task_of(tmp_path, [unit(tmp_path, "a", "cores")]))
    assert ended["a"].error is None, "the lock of the dead one is taken over"
    assert not (tmp_path / "a" / ".work.lock").exists()


def test_workers_of_a_cluster_have_one_unit_each_at_a_time(tmp_path):
    task = task_of(tmp_path, [unit(tmp_path, f"u{k}", "sleep", "1.5") for k in range(4)])
    try:
        ended = carried_out(Cluster(n_workers=2), task)
    finally:
        cluster_pool.close()
    assert [e.error for e in ended.values()] == [None] * 4
    spans: dict[str, list[tuple[float, float]]] = {}
    for path in tmp_path.glob("*.note"):
        _, worker, begin, end = path.read_text().split()
        spans.setdefault(worker, []).append((float(begin), float(end)))
    assert len(spans) == 2, "both workers had some"
    for own in spans.values():
        own.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(own))


def test_a_process_may_be_left_fewer_cores(monkeypatch):
    there = usable_cores()
    monkeypatch.setenv(CORES, "1")
    assert usable_cores() == 1
    monkeypatch.setenv(CORES, str(there + 7))
    assert usable_cores() == there
    for nonsense in ("0", "", "many", "-1"):
        monkeypatch.setenv(CORES, nonsense)
        assert usable_cores() == there


@pytest.mark.parametrize(("text", "code", "said"), [
    ("a\nfibseg profile: first.\nfibseg profile: second\nline", 2, "second line"),
    ("", 7, "it said nothing"),
    ("x\nlast", 7, "last"),
    ("x", -15, "killed by SIGTERM"),
    ("fibseg: held by another", 65, "held by another"),
    ("fibseg profile: " + "x" * 2000, 65, "x" * 600 + " …"),
])
def test_what_a_failed_command_said(tmp_path, text, code, said):
    log = tmp_path / "log.txt"
    log.write_text("earlier\nfibseg profile: of before\n" + text)
    start = len("earlier\nfibseg profile: of before\n")
    assert complaint(log, start, "profile", code) == said


TWICE = """
    import os, signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job behind a shell ignores it
    from fibseg.blocks import Commands, Grid, Threads, Unit
    from fibseg.errors import StoppedAtOnce
    folder = sys.argv[1]
    units = [Unit("a", [["sleep", folder + "/a.note", "300"]], folder + "/a")]
    task = Commands(units, 1, folder + "/stop", module="unit_work")
    try:
        list(Threads(1).outcomes(task, Grid((1,), (1,)).blocks()))
    except StoppedAtOnce:
        os._exit(75)
"""


def test_ctrl_c_that_nobody_waits_for_ends_all_at_once(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(TWICE), str(tmp_path)])
    note = tmp_path / "a.note"
    until(lambda: note.exists() and note.read_text())
    pid = int(note.read_text().split()[0])
    parent.send_signal(signal.SIGINT)
    assert parent.wait(30) == 75
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 20)
