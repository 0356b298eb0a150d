"""How the processes of one training came to be: by Lightning, by srun or by torchrun."""

from __future__ import annotations

import os
import uuid

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed

from fibseg.errors import UsageError
from fibseg.training.settings import TrainerSettings

SHELLS = ("bash", "interactive")
"""Names of SLURM jobs that are a shell to type in; Lightning excepts the same."""


def started_outside() -> int:
    """Processes that srun or torchrun has started for this command; 1 without them."""
    if TorchElasticEnvironment.detect():
        return int(os.environ["WORLD_SIZE"])
    if _typed_in_a_job():
        return 1
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def _typed_in_a_job() -> bool:
    """Whether someone typed this command in a shell that SLURM gave them, ``srun --pty bash``.

    The shell was told a number of tasks, but this command is none of them. Tasks that an srun
    starts from such a shell inherit the name of the job; they have no terminal.
    """
    return os.environ.get("SLURM_JOB_NAME") in SHELLS and _has_terminal()


def _has_terminal() -> bool:
    """Whether this process belongs to a terminal, wherever its input and output go."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def environment(settings: TrainerSettings) -> ClusterEnvironment:
    """What tells a process its number; SLURM's signals are left to fibseg.

    Lightning's own choice takes any process in a SLURM job for one of srun's, and would store and
    requeue at SIGUSR1 by itself, beside `fibseg.training.stop`.

    Raises
    ------
    UsageError
        If other numbers of processes were started than the settings have.
    """
    n, wanted = started_outside(), settings.n_processes
    how = f"trainer.devices={settings.devices} trainer.num_nodes={settings.num_nodes}"
    if n > 1 and n != wanted:
        raise UsageError(
            f"{n} processes were started from outside, but {how} are {wanted}. Give srun "
            "--nodes=NUM_NODES --ntasks-per-node=DEVICES, or set both keys to what was started."
        )
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if n > 1:
        # srun was told in another way; Lightning compares it with the devices.
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(settings.devices))
        if (nodes := os.environ.get("SLURM_NNODES")) not in (None, str(settings.num_nodes)):
            raise UsageError(
                f"srun has started processes on {nodes} nodes, but {how}. Set trainer.num_nodes="
                f"{nodes} and trainer.devices to the tasks of a node."
            )
        return SLURMEnvironment(auto_requeue=False)
    if settings.num_nodes > 1 and "NODE_RANK" not in os.environ:
        raise UsageError(
            f"{how}: of several nodes each starts its own processes. Start the command by srun in "
            "a SLURM job, as docs/GUIDE.md shows, or by torchrun."
        )
    return LightningEnvironment()


def rank_of(place: ClusterEnvironment, settings: TrainerSettings) -> int:
    """Number of this process, 0 for the first; Lightning's own learns it only from the trainer."""
    if isinstance(place, LightningEnvironment):
        return place.node_rank() * settings.devices + place.local_rank()
    return place.global_rank()


def launch() -> str | None:
    """What all processes started together by srun or torchrun share, and no other; else None.

    SLURM numbers what it starts. A torchrun that is given no name does not, and meets at the same
    port each time: its processes agree on a random word in the store by which they find each other.
    """
    if started_outside() < 2:
        return None
    names = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID", "SLURM_STEP_ID",
             "SLURM_RESTART_COUNT")
    words = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = distributed.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False
        )
        key = f"fibseg/launch/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        # The first word that is set is everybody's.
        words.append(str(store.compare_set(key, "", uuid.uuid4().hex).decode()))
    return " ".join(words)
