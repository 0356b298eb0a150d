"""Which process this is, by what srun, torchrun or Lightning have set."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from torch.distributed import TCPStore

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


def test_two_runs_of_torchrun_without_a_name_are_told_apart(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is the one that torchrun keeps open for its processes, at the same port again."""
    found, port = [], 0
    for _ in range(2):
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
        port = store.port
        put(monkeypatch, {
            "TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True",
            "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        })
        for restart in ("0", "1"):
            monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restart)
            monkeypatch.setenv("RANK", "1")
            other = launch()
            monkeypatch.setenv("RANK", "0")
            assert launch() == other
            found.append(other)
        del store
    assert len(set(found)) == 4


IN_A_TERMINAL = """
import os, pty
from fibseg.training.processes import launch, started_outside
print(started_outside())
for name in ("bash", "fibseg"):
    os.environ["SLURM_JOB_NAME"] = name
    child, terminal = pty.fork()
    if not child:
        os.write(1, f"{started_outside()} {launch()}".encode())
        os._exit(0)
    print(os.read(terminal, 100).decode())
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no terminals of this kind")
def test_a_command_typed_in_a_shell_of_srun_is_none_of_its_tasks() -> None:
    """With --pty a shell has a terminal; tasks that srun starts from there have none."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_A_TERMINAL], capture_output=True, text=True,
        check=True, start_new_session=True, timeout=120,
        env={**os.environ, **SRUN, "SLURM_JOB_NAME": "bash",
             "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.stdout.splitlines() == ["4", "1 None", "4 SLURM_JOB_ID=4711 SLURM_STEP_ID=0"]
