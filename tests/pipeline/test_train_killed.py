"""Training that is really killed, or asked to stop, ends in the same bytes as one that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from painted_cell import make_cell

from fibseg.data import SparseData
from fibseg.errors import InterruptedRunError
from fibseg.models import NetworkSpec
from fibseg.pipeline import train
from fibseg.training import TrainerSettings

SCRIPT = """
import sys
sys.path[:0] = sys.argv[3:]
from test_train_killed import run
run(*sys.argv[1:3])
"""

ASKED = """
import os, signal, sys
sys.path[:0] = sys.argv[3:]
from test_train_killed import InterruptedRunError, run
from fibseg.training.callbacks import Budget

def ask(self, trainer, module, *args):
    if trainer.global_step == 33:
        os.kill(os.getpid(), NUMBER)

Budget.on_train_batch_end = ask
before = signal.getsignal(NUMBER)
try:
    run(*sys.argv[1:3])
except InterruptedRunError as error:
    assert "step 33 of 150. The same command goes on" in str(error), error
    assert signal.getsignal(NUMBER) is before
    sys.exit(error.exit_code)
"""


def run(volume: str | Path, out: str | Path) -> dict[str, Any]:
    """The training of these tests, about 100 steps a second."""
    return train.run(
        volume=str(volume), annotation="mitochondria", out=str(out), seed=3,
        network=NetworkSpec(features=(8, 16), dropout=0.2),
        data=SparseData(patch=32, batch=4, gap_nm=40.0),
        trainer=TrainerSettings(
            max_time=None, max_steps=150, threads=1, precision="32", checkpoint_every_steps=5,
        ),
    )


def start(volume: Path, out: Path, script: str = SCRIPT) -> subprocess.Popen[bytes]:
    """The same in another process."""
    here = Path(__file__).parent
    return subprocess.Popen(
        [sys.executable, "-c", script, str(volume), str(out), str(here), str(here.parent)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cell(tmp_path_factory.mktemp("cell") / "a.ome.zarr").path


@pytest.fixture(scope="module")
def whole(volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "m"
    run(volume, out)
    return out


def same(a: Path, b: Path) -> bool:
    files = ("weights.safetensors", "model.json", "README.md")
    return all((a / f).read_bytes() == (b / f).read_bytes() for f in files)


def test_killed_and_resumed_is_bit_identical(volume: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    process = start(volume, out)
    while process.poll() is None and not (out / "training/checkpoints/previous.ckpt").exists():
        time.sleep(0.003)
    time.sleep(0.15)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "model.json").exists()
    run(volume, out)
    assert "going on from step" in (out / "training/log.txt").read_text()
    assert same(out, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_goes_on_later(
    volume: Path, whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(volume, tmp_path / "m", ASKED.replace("NUMBER", str(int(number))))
    assert process.wait() == InterruptedRunError.exit_code
    run(volume, tmp_path / "m")
    assert same(tmp_path / "m", whole)
