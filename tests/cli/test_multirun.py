"""``python train.py -m key=a,b``: an ordinary Hydra multirun, job N writes to ``out/N``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from painted_cell import make_cell
from slow_steps import start, wait_for

from fibseg.cli import main

ROOT = Path(__file__).parent.parent.parent


def test_each_job_writes_its_own_model_with_its_overrides(tmp_path: Path) -> None:
    sample, store, out = tmp_path / "sample", tmp_path / "cell.ome.zarr", tmp_path / "my models"
    assert main(["phantom", f"out={sample}", "shape=[24,96,96]", "pores=false"]) == 0
    spacing = "spacing=[20,20,20]"
    words = [f"source={sample}/stack", f"volume={store}", spacing, "polarity=dark"]
    assert main(["import", *words]) == 0
    painted = f"source={sample}/painted_nucleus.tif"
    words = [painted, f"volume={store}", "kind=annotation", "name=nucleus"]
    assert main(["import", *words]) == 0
    command = [
        *(sys.executable, str(ROOT / "train.py"), "-m", f"volume={store}", "annotation=nucleus"),
        *(f"out={out}", "network.features=[8,16],[8,12]", "trainer.max_steps=3"),
        *("trainer.max_time=null", "data.split=none", "data.patch=32", "data.batch=2"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for number, features in enumerate(([8, 16], [8, 12])):
        model = json.loads((out / str(number) / "model.json").read_text())
        assert list(model["network"]["features"]) == features
        typed = model["training"]["overrides"]
        assert f"network.features=[{','.join(map(str, features))}]" in typed


def test_models_of_more_and_more_planes_make_a_learning_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = make_cell(tmp_path / "a.ome.zarr").path, tmp_path / "m"
    words = [f"volume={store}", "annotation=mitochondria", f"out={out}", "data.fraction=0.5,1"]
    quick = ["trainer.max_steps=2", "trainer.max_time=null", "data.patch=32", "data.batch=2",
             "network.features=[8,12]", "data.gap_nm=0"]
    assert main(["train", "-m", *words, *quick]) == 0
    curve = tmp_path / "curve.json"
    assert main(["evaluate", f"volume={store}", f"model=[{out}/0,{out}/1]", f"out={curve}"]) == 0
    half, whole = json.loads(curve.read_text())["compared"]["mitochondria"]
    assert 0 < half["n_planes"] < whole["n_planes"]
    assert "2 models on labels/annotation_mitochondria" in capsys.readouterr().out
    assert (tmp_path / "curve_iou.svg").is_file()


def test_a_multirun_on_several_devices_is_refused_before_it_repeats_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = make_cell(tmp_path / "a.ome.zarr").path
    words = [f"volume={store}", "annotation=mitochondria", f"out={tmp_path}/m", "seed=0,1"]
    assert main(["train", "-m", *words, "trainer=ddp", "trainer.accelerator=cpu"]) == 2
    assert capsys.readouterr().err.count("A multirun with 2 processes (trainer.devices x") == 2
    assert not list((tmp_path / "m" / "0").iterdir())


def test_a_stopped_job_is_the_last_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store, out = make_cell(tmp_path / "a.ome.zarr").path, tmp_path / "m"
    command = [
        *("train", "-m", f"volume={store}", "annotation=mitochondria", f"out={out}", "seed=0,1"),
        *("network.features=[8,12]", "data.patch=32", "data.batch=2", "data.split=none"),
        *("trainer.max_time=null", "trainer.max_steps=40", "trainer.checkpoint_every_steps=1"),
    ]
    process = start(command, {}, tmp_path / "log.txt")
    try:
        wait_for(out / "0" / "training" / "checkpoints" / "last.ckpt", process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(100) == 75
    finally:
        process.kill()
    assert "Not begun, as a job before it was stopped" in (tmp_path / "log.txt").read_text()
    assert not (out / "1" / "training").exists()
