"""The list of label images: nobody's name is lost when several runs finish at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fibseg.errors import BusyError
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import index, locked
from fibseg.volume.lock import Holder, lock_path

FINISH = """
import sys, time
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume, metadata
write = metadata.index_labels
def slowly(*parts, **keywords):  # so that two writers meet
    time.sleep(0.005)
    write(*parts, **keywords)
    time.sleep(0.005)
metadata.index_labels = slowly
volume = Volume(sys.argv[1])
for line in sys.stdin:
    name = sys.argv[2] + line.strip()
    product = volume.create_labels(name, kind="labels", dtype="uint8", inputs="a")
    product.array[:] = 1
    finish_product(product)
    print(name, flush=True)
"""


def listed(folder: Path) -> list[str]:
    return json.loads((folder / "zarr.json").read_text())["attributes"]["ome"]["labels"]


def make(volume, name):
    product = volume.create_labels(name, kind="labels", dtype="uint8", inputs="a")
    product.array[:] = 1
    finish_product(product)
    return product


def test_two_processes_that_finish_at_once_are_both_listed(volume):
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", FINISH, str(volume.path), name], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1,
        )
        for name in "ab"
    ]
    expected = []
    for n in range(20):
        for run in runs:
            run.stdin.write(f"{n}\n")
        expected += [run.stdout.readline().strip() for run in runs]
        assert expected[-2:] == [f"a{n}", f"b{n}"]
        assert listed(volume.path / "labels") == volume.label_names() == sorted(expected)
    for run in runs:
        run.communicate()
    assert {p.name for p in volume.path.glob(".*")} == {".digests"}


def test_threads_that_finish_at_once_are_all_listed(volume):
    threads = [threading.Thread(target=make, args=(volume, f"m{k}")) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert listed(volume.path / "labels") == sorted(f"m{k}" for k in range(8))


def test_a_run_that_was_killed_in_the_list_stands_in_no_way(volume):
    make(volume, "a")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    holder = {**Holder.this_process().__dict__, "pid": process.pid}
    lock_path(volume.path / "labels").write_text(json.dumps(holder))
    make(volume, "b")
    assert listed(volume.path / "labels") == ["a", "b"]
    assert not lock_path(volume.path / "labels").exists()


def test_a_list_that_another_keeps_is_waited_for_and_then_named(volume, monkeypatch):
    make(volume, "a")
    product = volume.create_labels("b", kind="labels", dtype="uint8", inputs="a")
    product.array[:] = 1
    monkeypatch.setattr(index, "WAIT_S", 0.2)
    entered, leave = threading.Event(), threading.Event()

    def keep():
        with locked(volume.path / "labels"):
            entered.set()
            leave.wait(60)

    thread = threading.Thread(target=keep)
    thread.start()
    entered.wait(60)
    with pytest.raises(BusyError, match=r"labels is being written by process"):
        finish_product(product)
    assert volume.label_names() == listed(volume.path / "labels") == ["a"]
    monkeypatch.setattr(index, "WAIT_S", 60)
    threading.Timer(0.3, leave.set).start()
    finish_product(product)
    thread.join()
    assert listed(volume.path / "labels") == ["a", "b"]
