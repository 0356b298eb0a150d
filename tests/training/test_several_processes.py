"""Several processes on the CPU train one model, the one that a single process would train."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted_cell import blobs, make_cell
from safetensors.torch import load_file
from slow_steps import fake_scontrol, start, wait_for

from fibseg.cli import main

AGREE = 1e-5
DDP = ("trainer=ddp", "trainer.accelerator=cpu")


def words(store: Path, out: Path, *more: str) -> list[str]:
    """`train` with five patches a step, which two processes cannot share out evenly."""
    return [
        *("train", f"volume={store}", "annotation=mitochondria", f"out={out}"),
        *("network.features=[8,12]", "data.patch=32", "data.batch=4", "data.unlabelled=1"),
        *("data.gap_nm=0", "trainer.consistency=0.5", "trainer.max_time=null"),
        *("trainer.max_steps=10", "trainer.threads=1", "trainer.precision=32", *more),
    ]


def farthest(a: Path, b: Path) -> float:
    """Largest difference of any weight of two models."""
    one, two = (load_file(folder / "weights.safetensors") for folder in (a, b))
    assert one.keys() == two.keys()
    return max(float((one[k].double() - two[k].double()).abs().max()) for k in one)


def scores(model: Path) -> Any:
    """Held-out scores."""
    return json.loads((model / "model.json").read_text())["metrics"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two planes painted all over, and two in a few pixels: patches have very unequal labels."""
    labels, shape = blobs((12, 80, 80)), (12, 80, 80)
    annotation = np.zeros(shape, np.uint8)
    for z, ys, xs in ((0, (4, 76), (4, 76)), (4, (30, 40), (30, 42)), (6, (10, 16), (10, 20)),
                      (8, (4, 76), (4, 76))):
        annotation[z, slice(*ys), slice(*xs)] = labels[z, slice(*ys), slice(*xs)] + 1
    folder = tmp_path_factory.mktemp("ddp")
    return make_cell(folder / "a.ome.zarr", annotation=annotation).path


@pytest.fixture(scope="module")
def alone(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of one process."""
    out = tmp_path_factory.mktemp("alone") / "model"
    assert main(words(store, out)) == 0
    return out


def test_two_processes_write_the_model_of_one_and_then_have_nothing_to_do(
    store: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two"
    done = subprocess.run(
        [sys.executable, "-m", "fibseg", *words(store, out, *DDP)], capture_output=True,
        text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("model:") == 1
    model = json.loads((out / "model.json").read_text())
    assert model["training"]["n_steps"] == 10
    assert model["training"]["settings"]["trainer"]["devices"] == 2
    assert farthest(out, alone) < AGREE
    assert scores(out) == scores(alone)

    before = (out / "weights.safetensors").stat().st_mtime_ns
    assert main(words(store, out)) == 0
    assert (out / "weights.safetensors").stat().st_mtime_ns == before


def test_a_job_on_two_nodes_is_queued_again_and_one_process_goes_on(
    store: Path, alone: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What srun sets is set here, and `scontrol` only notes what it is asked: there is no SLURM."""
    out = tmp_path / "nodes"
    job, asked = fake_scontrol(tmp_path / "bin")
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        port = any_port.getsockname()[1]
    job |= {
        "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "SLURM_NNODES": "2",
        "SLURM_LOCALID": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }
    command = words(
        store, out, *DDP, "trainer.devices=1", "trainer.num_nodes=2",
        "trainer.checkpoint_every_steps=2",
    )
    ranks = [
        start(command, {**job, "SLURM_PROCID": n, "SLURM_NODEID": n}, tmp_path / f"{n}.txt")
        for n in ("0", "1")
    ]
    try:
        wait_for(out / "training" / "checkpoints" / "last.ckpt", *ranks)
        ranks[1].send_signal(signal.SIGUSR1)
        codes = [rank.wait(100) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    # The first speaks for all: srun could end it, if another failed before.
    assert codes == [75, 0], (tmp_path / "0.txt").read_text() + (tmp_path / "1.txt").read_text()
    assert asked.read_text() == "requeue 4711\n"
    assert not (out / "model.json").exists()

    capfd.readouterr()
    assert main(words(store, out, "trainer.checkpoint_every_steps=2")) == 0
    assert "going on from step" in capfd.readouterr().err
    assert farthest(out, alone) < AGREE
    assert scores(out) == scores(alone)


def test_more_processes_than_patches_are_refused(
    store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words(store, tmp_path / "m", *DDP, "trainer.devices=6")) == 2
    assert "5 patches, too few for 6 processes" in capfd.readouterr().err
