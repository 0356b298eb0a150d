"""Which process this is, by what srun, torchrun or Lightning have set."""

from __future__ import annotations

import os

import pytest

from fibseg.errors import UsageError
from fibseg.training import TrainerSettings, launch
from fibseg.training.processes import environment, rank_of, started_outside

SRUN = {
    "SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "2", "SLURM_PROCID": "3", "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
}


def settings(devices: int = 1, num_nodes: int = 1) -> TrainerSettings:
    return TrainerSettings(devices=devices, num_nodes=num_nodes, strategy="ddp")


@pytest.fixture(autouse=True)
def outside_of_any_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in (
            "RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "GROUP_RANK",
        ):
            monkeypatch.delenv(name)


def put(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_alone_it_is_lightning_that_starts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(environment(settings(2))).__name__ == "LightningEnvironment"
    assert launch() is None
    assert rank_of(environment(settings(2)), settings(2)) == 0
    put(monkeypatch, {"LOCAL_RANK": "1"})
    assert rank_of(environment(settings(2)), settings(2)) == 1


def test_a_batch_job_without_srun_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a job with four tasks, the script itself is none of them; nor is a job of submitit."""
    put(monkeypatch, {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"})
    assert started_outside() == 1
    assert type(environment(settings(2))).__name__ == "LightningEnvironment"
    put(monkeypatch, {"SLURM_STEP_NUM_TASKS": "1"})
    assert type(environment(settings(1))).__name__ == "LightningEnvironment"


def test_srun_numbers_its_processes_and_lightning_keeps_off_its_signals(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, SRUN)
    place = environment(settings(2, 2))
    assert type(place).__name__ == "SLURMEnvironment"
    assert place.auto_requeue is False  # type: ignore[attr-defined]
    assert rank_of(place, settings(2, 2)) == 3
    assert launch() == "SLURM_JOB_ID=4711 SLURM_STEP_ID=0"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert launch() == "SLURM_JOB_ID=4711 SLURM_STEP_ID=0 SLURM_RESTART_COUNT=1"
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")  # as after srun -N 2 -n 4
    assert environment(settings(2, 2)).world_size() == 4


@pytest.mark.parametrize(
    ("devices", "num_nodes", "words"),
    [(1, 1, "4 processes were started"), (2, 1, "trainer.num_nodes=1 are 2"),
     (4, 1, "on 2 nodes")],
)
def test_other_numbers_than_started_are_refused(
    monkeypatch: pytest.MonkeyPatch, devices: int, num_nodes: int, words: str
) -> None:
    put(monkeypatch, SRUN)
    with pytest.raises(UsageError, match=words):
        environment(settings(devices, num_nodes))


def test_several_nodes_need_someone_who_starts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="Start the command by srun"):
        environment(settings(2, 2))


def test_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, {
        "TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1",
        "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    })
    place = environment(settings(2))
    assert rank_of(place, settings(2)) == 1
    assert launch() == "TORCHELASTIC_RUN_ID=x"
    with pytest.raises(UsageError, match="2 processes were started"):
        environment(settings(3))
