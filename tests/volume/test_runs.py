"""Runs: a record with everything, a log, and a status that tells the truth."""

from __future__ import annotations

import gc
import json
import logging

import numpy as np
import pytest

from fibseg.errors import DataError, InterruptedRunError

LOG = logging.getLogger("fibseg.test")
START = {"config": {"a": [1, 2]}, "overrides": ["a=[1,2]"], "inputs": {"raw": "abc"}}


def handlers():
    gc.collect()
    return list(logging.getLogger("fibseg").handlers)


def test_a_run_records_what_went_in_and_came_out(volume):
    before = handlers()
    run = volume.start_run("infer", **START)
    assert json.loads((run.path / "run.json").read_text())["status"] == "running"
    LOG.info("half way")
    run.finish(products={"labels/m": "d"}, metrics={"iou": np.float32(0.5), "dice": float("nan")})
    LOG.info("after the end")
    (record,) = volume.runs()
    assert record["name"].endswith("-infer")
    assert record["status"] == "done"
    assert record["config"] == {"a": [1, 2]}
    assert record["inputs"] == {"raw": "abc"}
    assert record["products"] == {"labels/m": "d"}
    assert record["metrics"] == {"iou": 0.5, "dice": None}
    assert record["environment"]["numpy"] == np.__version__
    text = run.log_path.read_text()
    assert "half way" in text
    assert "after the end" not in text
    assert handlers() == before


def test_runs_in_the_same_second_are_apart_and_in_order(volume):
    for n in range(3):
        volume.start_run("train", config={"n": n}, overrides=[], inputs={}).finish(products={})
    assert [r["config"]["n"] for r in volume.runs()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("bad"), "failed"),
        (InterruptedRunError("stop"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_a_run_that_ends_badly_says_so(volume, error, status):
    before = handlers()
    with pytest.raises(type(error)), volume.start_run("infer", **START):
        raise error
    assert volume.runs()[0]["status"] == status
    assert type(error).__name__ in volume.runs()[0]["error"]
    assert handlers() == before


def test_a_file_that_is_no_record_is_named(volume):
    run = volume.start_run("infer", **START)
    (run.path / "run.json").write_text('{"verb": "infer"}')
    with pytest.raises(DataError, match=r"run.json is no record of a run"):
        volume.runs()


def test_a_forgotten_run_logs_no_longer(volume):
    before = handlers()
    run = volume.start_run("infer", **START)
    assert len(handlers()) == len(before) + 1
    del run
    assert handlers() == before
    assert volume.runs()[0]["status"] == "running"


def test_a_log_that_cannot_be_written_adds_no_traceback_to_the_real_error(volume, capsys):
    with volume.start_run("infer", **START) as run:
        run.log_path.unlink()
        run.log_path.mkdir()  # opening it fails, as on a full disk
        LOG.info("lost")
        run.finish(products={})
    # The line itself may stand there, if the command's own handler is at work.
    assert "error" not in capsys.readouterr().err.lower()
    assert volume.runs()[0]["status"] == "done"
