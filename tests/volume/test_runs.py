"""Runs: a record with everything, a log, and a status that tells the truth."""

from __future__ import annotations

import gc
import json
import logging
import re
from importlib import metadata as packages

import numpy as np
import pytest

from fibseg.errors import DataError, InterruptedRunError
from fibseg.volume.runs import environment

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


def test_versions_of_all_that_measures_are_recorded_where_they_are_installed(monkeypatch):
    known = environment()
    for name in ("scipy", "scikit-image", "scikit-learn", "connected-components-3d", "edt",
                 "fastremap", "onnxruntime"):
        assert known[name] == packages.version(name)
    real = packages.version

    def without_edt(name):
        if name == "edt":
            raise packages.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(packages, "version", without_edt)
    assert "edt" not in environment()
    assert environment()["scipy"] == known["scipy"]


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


@pytest.mark.parametrize("damage", [
    lambda text: text[:-30], lambda text: "", lambda text: "[1, 2]", lambda text: "not JSON",
    lambda text: '{"verb": "infer"}', lambda text: text.replace('"started": "2', '"started": "3'),
    lambda text: text.replace('"metrics": {}', '"metrics": 5'),
])
def test_a_damaged_record_is_named_or_left_out(volume, caplog, damage):
    for n in range(3):
        volume.start_run("infer", config={"n": n}, overrides=[], inputs={}).finish(products={})
    paths = [volume.path / "runs" / record["name"] / "run.json" for record in volume.runs()]
    paths[1].write_text(damage(paths[1].read_text()))
    told = f"{paths[1]} is no record of a run as fibseg wrote it"
    with pytest.raises(DataError, match=re.escape(told)):
        volume.runs()
    assert [r["config"]["n"] for r in volume.runs(skip_damaged=True)] == [0, 2]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert told in record.getMessage()


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
