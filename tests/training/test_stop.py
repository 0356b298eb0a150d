"""Signals to a training, and a SLURM job that is queued again; `scontrol` only notes its words."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest
from painted_cell import make_cell
from safetensors.torch import load_file
from slow_steps import fake_scontrol, start, wait_for

from fibseg.cli import main
from fibseg.errors import InterruptedRunError
from fibseg.training.stop import ignore_the_end, queued_again, requeue


def test_a_signal_saves_and_ends_with_75_and_only_the_end_of_time_queues_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = make_cell(tmp_path / "a.ome.zarr").path
    settings = [
        *("network.features=[8,12]", "data.patch=32", "data.batch=2", "data.split=none"),
        *("trainer.max_time=null", "trainer.max_steps=30", "trainer.threads=1"),
        *("trainer.precision=32", "trainer.checkpoint_every_steps=1"),
    ]
    command = ["train", f"volume={store}", "annotation=mitochondria", *settings]
    job, asked = fake_scontrol(tmp_path / "bin")
    out = tmp_path / "model"
    checkpoint = out / "training" / "checkpoints" / "last.ckpt"
    seen = 0
    for number in (signal.SIGUSR1, signal.SIGTERM):
        process = start([*command, f"out={out}"], job, tmp_path / "log.txt")
        try:
            wait_for(checkpoint, process, newer_than=seen)
            process.send_signal(number)
            assert process.wait(100) == 75, (tmp_path / "log.txt").read_text()
        finally:
            process.kill()
        seen = checkpoint.stat().st_mtime_ns
        assert asked.read_text() == "requeue 4711\n"
        assert not list(tmp_path.glob(".model.lock"))
    assert (tmp_path / "log.txt").read_text().count("The same command goes on") == 2
    assert not list(out.rglob("hpc_ckpt*"))  # Lightning's own way to queue again keeps out

    assert main([*command, f"out={out}"]) == 0
    assert "going on from step" in capfd.readouterr().err
    assert main([*command, f"out={tmp_path}/whole"]) == 0
    one, two = (load_file(m / "weights.safetensors") for m in (out, tmp_path / "whole"))
    assert all(bool((one[k] == two[k]).all()) for k in two)


def test_a_job_of_an_array_is_queued_by_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not requeue()
    job, asked = fake_scontrol(tmp_path / "bin")
    for key, value in {**job, "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(key, value)
    assert requeue()
    assert asked.read_text() == "requeue 12_3\n"


def test_a_job_that_slurm_does_not_queue_again_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job, _ = fake_scontrol(tmp_path / "bin")
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\necho 'Access denied' >&2\nexit 1\n")
    for key, value in job.items():
        monkeypatch.setenv(key, value)
    with caplog.at_level(logging.WARNING, "fibseg.training"):
        assert not requeue()
    assert "job 4711 is not queued again: Access denied" in caplog.text
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING, "fibseg.training"):
        assert not requeue()
    assert "scontrol failed" in caplog.text


@pytest.mark.parametrize(
    ("time_is_up", "came_further", "n_asked"), [(True, True, 1), (True, False, 0), (False, True, 0)]
)
def test_a_test_that_is_stopped_queues_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time_is_up: bool, came_further: bool,
    n_asked: int,
) -> None:
    """A job whose test alone takes longer than its time would be queued for ever."""
    job, asked = fake_scontrol(tmp_path / "bin")
    for key, value in job.items():
        monkeypatch.setenv(key, value)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(InterruptedRunError), queued_again(if_stopped=came_further):
            raise InterruptedRunError("x", time_is_up=time_is_up)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert asked.exists() == bool(n_asked)


def test_the_end_of_a_job_is_ignored_while_it_is_queued_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        ignore_the_end()
        os.kill(os.getpid(), signal.SIGTERM)  # ends the tests, if it is not ignored
    finally:
        signal.signal(signal.SIGTERM, before)
