"""Killed with SIGKILL at any block, the same command ends in the very same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from inference_fakes import random_image, random_model

from fibseg.export import save_model_folder
from fibseg.pipeline import infer
from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume

SHAPE = (320, 72, 72)
CODE = """
import sys, time
from fibseg.blocks import Serial
from fibseg.inference.predict import Predictor
from fibseg.pipeline import infer
whole = Predictor.box
def slow(self, read, write):
    time.sleep(0.4)  # time for the test to pull the plug
    return whole(self, read, write)
Predictor.box = slow
infer.run(model=sys.argv[1], volume=sys.argv[2], name="m", backend="torch", precision="float32",
          blocks=Serial())
"""


def make_store(path: Path) -> Volume:
    store = Volume.create(
        path, shape=SHAPE, dtype=np.uint8, spacing=(20.0, 20.0, 20.0), polarity="dark"
    )
    store.raw()[:] = random_image(SHAPE)
    finish_raw(store)
    return store


def product_bytes(store: Volume) -> dict[str, bytes]:
    folder = store.path / "probabilities"
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def start_and_kill(model: Path, store: Volume, n_done: int) -> None:
    """Run until `n_done` blocks are marked, then kill."""
    process = subprocess.Popen([sys.executable, "-c", CODE, str(model), str(store.path)])
    journal = store.path / "probabilities" / ".m.journal"
    give_up = time.monotonic() + 120
    try:
        while time.monotonic() < give_up and process.poll() is None:
            text = journal.read_bytes() if journal.exists() else b""
            if text.count(b"done ") >= n_done:
                break
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_run_continues_to_the_same_bytes(tmp_path, caplog):
    model = save_model_folder(tmp_path / "model", *random_model(features=(4, 4), n_classes=1))
    calm, killed = make_store(tmp_path / "calm.ome.zarr"), make_store(tmp_path / "killed.ome.zarr")
    settings = {"name": "m", "backend": "torch", "precision": "float32"}
    infer.run(model=str(model), volume=str(calm.path), **settings)
    assert calm.probabilities("m")[:].std() > 5
    for n_done in (1, 3):
        start_and_kill(model, killed, n_done)
        assert killed.probability_names() == []
    before = (killed.path / "probabilities" / ".m.journal").read_bytes().count(b"done ")
    assert before >= 3  # the second run went on where the first was killed
    caplog.clear()
    infer.run(model=str(model), volume=str(killed.path), **settings)
    assert product_bytes(killed) == product_bytes(calm)
    assert [r["status"] for r in killed.runs()] == ["running", "running", "done"]
