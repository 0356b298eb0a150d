"""``trainer=ddp``: two processes on the CPU train one model, each on patches of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from painted_cell import make_cell
from safetensors.torch import load_file


def train(store: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`fibseg train` in a process of its own, which may start others."""
    command = [
        *(sys.executable, "-m", "fibseg", "train", f"volume={store}", "annotation=mitochondria"),
        *(f"out={out}", "network.features=[8,12]", "data.patch=32", "data.batch=2"),
        *("data.split=none", "trainer.max_time=null", "trainer.max_steps=6", "trainer.threads=1"),
        *("trainer.precision=32", *words),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=240
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cell(tmp_path_factory.mktemp("ddp") / "a.ome.zarr").path


def test_two_processes_write_one_model_and_then_have_nothing_to_do(
    store: Path, tmp_path: Path
) -> None:
    ddp = ("trainer=ddp", "trainer.accelerator=cpu")
    out = tmp_path / "two"
    done = train(store, out, *ddp)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    model = json.loads((out / "model.json").read_text())
    assert model["training"]["n_steps"] == 6
    assert model["training"]["settings"]["trainer"]["devices"] == 2
    assert done.stdout.count("model") >= 1

    # More patches a step: not the weights of one process alone.
    assert train(store, tmp_path / "one").returncode == 0
    two, one = (load_file(tmp_path / n / "weights.safetensors") for n in ("two", "one"))
    assert two.keys() == one.keys()
    assert any(not torch.equal(two[k], one[k]) for k in two)

    before = (out / "weights.safetensors").stat().st_mtime_ns
    assert train(store, out, *ddp).returncode == 0
    assert (out / "weights.safetensors").stat().st_mtime_ns == before
