"""Progress goes to the log at set times, to a terminal as a bar, and to a run's own file."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fibseg import progress
from fibseg.pipeline import check, ingest
from fibseg.progress import track
from fibseg.volume import Volume


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="fibseg.progress"):
        yield caplog


def clocks() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("progress")]


def test_items_pass_unchanged_and_quick_work_gets_one_line(
    lines: pytest.LogCaptureFixture,
) -> None:
    assert list(track("abc", total=5, label="infer", unit="block", done=2)) == ["a", "b", "c"]
    (text,) = lines.messages
    assert text.startswith("infer: 5 of 5 blocks, ")
    assert text.endswith(" 0 s left")


def test_a_line_comes_at_set_times_even_while_one_item_takes_longer(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_S", 0.05)

    def slow() -> Iterator[int]:
        time.sleep(0.3)
        yield 1
        time.sleep(0.3)
        yield 2

    assert list(track(slow(), total=2, label="train", unit="step")) == [1, 2]
    starts = [text.split(",")[0] for text in lines.messages]
    assert starts.count("train: 0 of 2 steps") >= 2
    assert starts.count("train: 1 of 2 steps") >= 2
    assert starts.count("train: 2 of 2 steps") == 1
    assert "so far" in lines.messages[0]
    assert "steps/s" in lines.messages[-2]


@pytest.mark.parametrize("how", ["closed", "failed", "finished", "empty"])
def test_no_clock_is_left_behind(how: str) -> None:
    def items() -> Iterator[int]:
        if how == "empty":
            return
        yield 1
        if how == "failed":
            raise ValueError("broken")
        yield 2

    walk = track(items(), total=2, label="x", unit="block")
    if how == "closed":
        next(walk)
        walk.close()  # type: ignore[attr-defined]
    elif how == "failed":
        with pytest.raises(ValueError, match="broken"):
            list(walk)
    else:
        list(walk)
    deadline = time.monotonic() + 5
    while clocks() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not clocks()


def test_the_log_file_of_a_run_holds_its_progress(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(600, dtype=np.uint8).reshape(6, 10, 10))
    path = tmp_path / "cell.ome.zarr"
    ingest.run(source=tmp_path / "a.npy", volume=path, spacing=[20, 20, 20], polarity="dark")
    (run,) = Volume.open(path).runs()
    log = (path / "runs" / run["name"] / "log.txt").read_text()
    assert "INFO fibseg.progress: import: 1 of 1 blocks" in log
    check.run(volume=path)
    assert len(Volume.open(path).runs()) == 1
