"""One writer per target: refused while it runs, taken over when it is gone, never two at once."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from fibseg.errors import BusyError, DiskFullError, UsageError
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import locked
from fibseg.volume.lock import Holder, lock_path, read_holder

HOLD = """
import sys, time
from fibseg.volume import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_where_no_file_can_be_made_the_wait_ends(tmp_path, monkeypatch):
    def vanish(self, target):
        raise FileNotFoundError(errno.ENOENT, "gone", str(self))

    monkeypatch.setattr(Path, "hardlink_to", vanish)
    monkeypatch.setattr("fibseg.volume.lock._create_plainly", lambda path, text: vanish(path, None))
    with pytest.raises(FileNotFoundError), locked(tmp_path / "m"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.fixture
def target(tmp_path):
    (tmp_path / "labels").mkdir()
    return tmp_path / "labels" / "m"


@pytest.fixture
def first(target):
    """A process that holds the lock until a line comes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target)], text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def leave(target: Path, **changes) -> Holder:
    """Write the lock of a run like this one, but for `changes`."""
    holder = dataclasses.replace(Holder.this_process(), **changes)
    lock_path(target).write_text(json.dumps(dataclasses.asdict(holder)))
    return holder


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_lock_names_this_process_and_goes_again(target):
    with locked(target):
        (file,) = target.parent.iterdir()
        assert file.name == ".m.lock"
        holder = json.loads(file.read_text())
        assert holder["pid"] == os.getpid()
        assert holder["started"] == psutil.Process().create_time()
        assert shlex.split(holder["command"])[0] == sys.orig_argv[0]
    assert list(target.parent.iterdir()) == []


def test_it_goes_after_an_error_and_after_ctrl_c(target):
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), locked(target):
            raise error
        assert list(target.parent.iterdir()) == []


def test_a_second_run_is_refused_with_host_process_and_start_until_the_first_ends(target, first):
    with pytest.raises(BusyError) as refused, locked(target):
        pass
    start = read_holder(lock_path(target)).started
    text = str(refused.value)
    assert f"process {first.pid} on {os.uname().nodename}" in text
    assert psutil.Process(first.pid).create_time() == pytest.approx(start)
    assert refused.value.exit_code == 65
    first.communicate("go\n")
    with locked(target):
        pass


def test_what_a_killed_run_left_is_taken_over_and_told(target, first, caplog):
    caplog.set_level("INFO", "fibseg")
    first.kill()
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # a zombie counts as gone
    with locked(target):
        assert read_holder(lock_path(target)).pid == os.getpid()
    assert f"process {first.pid} on" in caplog.text
    assert "taken over" in caplog.text
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("late", [-3600.0, 3600.0])
def test_a_process_number_that_another_process_has_now_does_not_count(target, late):
    parent = psutil.Process(os.getppid())
    leave(target, pid=parent.pid, started=parent.create_time() + late)
    with locked(target):
        pass
    leave(target, pid=parent.pid, started=parent.create_time() + 0.5)
    with pytest.raises(BusyError), locked(target):
        pass


def test_the_lock_of_another_host_is_not_judged(target):
    leave(target, host="elsewhere", pid=dead_pid())
    with pytest.raises(BusyError, match=r"on elsewhere.*cannot be seen.*remove .*\.m\.lock"):
        locked(target).__enter__()
    assert read_holder(lock_path(target)).host == "elsewhere"


@pytest.mark.parametrize("text", ["", "[]", '{"pid": 1}', "\x00"])
def test_a_lock_without_words_is_not_judged_either(target, text):
    lock_path(target).write_text(text)
    with pytest.raises(BusyError, match=r"does not say by whom.*remove"):
        locked(target).__enter__()


def test_the_same_thread_may_lock_twice_and_another_may_not(target):
    refused = []

    def other():
        try:
            with locked(target):
                pass
        except BusyError as error:
            refused.append(error)

    with locked(target):
        with locked(target):
            pass
        assert lock_path(target).exists()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert not lock_path(target).exists()


def test_a_folder_that_was_made_for_the_lock_goes_with_it(tmp_path):
    target = tmp_path / "models" / "m"
    with locked(target):
        assert lock_path(target).exists()
    assert list(tmp_path.iterdir()) == []
    with locked(target):
        target.mkdir()
    assert list(tmp_path.rglob("*")) == [target.parent, target]


def test_a_target_in_no_folder_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        locked(tmp_path / "file" / "m").__enter__()


def test_other_targets_are_free(target):
    with locked(target), locked(target.with_name("n")), locked(target.parent):
        pass


def test_of_many_runs_that_find_a_stale_lock_one_wins(target):
    gone = dead_pid()
    for _ in range(20):
        leave(target, pid=gone)
        barrier, ending = threading.Barrier(6, timeout=10), threading.Barrier(6, timeout=10)

        def run(barrier=barrier, ending=ending):
            barrier.wait()
            try:
                with locked(target):
                    ending.wait()
                    return 1
            except BusyError:
                ending.wait()
                return 0

        with ThreadPoolExecutor(6) as threads:
            assert sum(f.result() for f in [threads.submit(run) for _ in range(6)]) == 1
        assert list(target.parent.iterdir()) == []


def test_a_lock_that_was_removed_by_hand_and_taken_again_is_left_alone(target):
    with locked(target):
        lock_path(target).unlink()
        other = leave(target, host="elsewhere")
    assert read_holder(lock_path(target)) == other


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links_works_too(target, monkeypatch, number):
    def none(self, other):
        raise OSError(number, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", none)
    with locked(target):
        assert read_holder(lock_path(target)).pid == os.getpid()
    leave(target, host="elsewhere")
    with pytest.raises(BusyError):
        locked(target).__enter__()


def test_where_nothing_can_be_written_no_lock_is_needed(target, monkeypatch):
    def refuse(self, *args, **keywords):
        raise PermissionError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    with locked(target):
        assert not lock_path(target).exists()


def test_a_full_disk_is_an_error_and_leaves_nothing(target, monkeypatch):
    def full(self, *args, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskFullError, match="No space"):
        locked(target).__enter__()
    assert list(target.parent.iterdir()) == []


def test_a_store_locks_its_products_and_stays_a_store(volume, files):
    before = files(volume.path)
    with volume.locked("labels/a", "probabilities/b"):
        assert (volume.path / "labels" / ".a.lock").is_file()
        assert volume.label_names() == volume.probability_names() == []
        product = volume.create_labels("a", kind="labels", dtype="uint8", inputs="i")
        product.array[:] = 1
        finish_product(product)
    assert volume.label_names() == ["a"]
    names = set(files(volume.path)) - set(before)
    assert not [name for name in names if "lock" in name]
    with pytest.raises(UsageError, match="cannot be the name"), volume.locked("labels/../raw"):
        pass
