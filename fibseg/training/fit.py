"""The training as a whole: build or resume, run, and return the averaged network."""

from __future__ import annotations

import contextlib
import copy
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from fibseg.blocks.allocator import kept_memory
from fibseg.data import Share, Source, SparseData, Steps
from fibseg.data.patches import ALL
from fibseg.errors import DataError, InterruptedRunError, UsageError
from fibseg.models import NetworkSpec, build_network, stride_multiple
from fibseg.training.callbacks import Board, Budget, Checkpoints
from fibseg.training.checkpoint import CrashSafeIO, newest
from fibseg.training.device import training_device
from fibseg.training.panels import MOST, HeldOutPictures
from fibseg.training.precision import choose_precision
from fibseg.training.processes import environment, rank_of
from fibseg.training.segmenter import Segmenter, class_weights
from fibseg.training.settings import TrainerSettings
from fibseg.training.together import shared

logger = logging.getLogger("fibseg.training")
CHECKPOINTS, TENSORBOARD = "checkpoints", "tensorboard"


@dataclass(frozen=True)
class Trained:
    """What a training ends with: the averaged network, on the CPU, in eval mode."""

    network: nn.Module
    n_steps: int
    precision: str
    first: bool = True
    """Whether this is the first process of a distributed training, which saves and tests."""
    n_new: int = 0
    """Steps done since the command began."""


def fit(
    source: Source, classes: dict[str, int], *, network: NetworkSpec, data: SparseData,
    trainer: TrainerSettings, seed: int, folder: Path, started: float,
    reserve: Callable[[nn.Module], float] = lambda _: 0.0,
) -> Trained:
    """Return the trained network; goes on from the newest checkpoint in `folder`.

    Parameters
    ----------
    source
        What is trained on.
    classes
        Value of each class in the annotation, 2 and up, in order.
    network, data, trainer, seed
        Settings. Weights are the same for the same settings, CPU and number of threads, however
        often the training was stopped and resumed; for other numbers of processes, with the same
        `trainer.precision`, they differ by rounding.
    folder
        For checkpoints and TensorBoard.
    started
        `time.monotonic` when the command began, for `max_time`.
    reserve
        Measures the seconds that the test will take.

    Raises
    ------
    InterruptedRunError
        If stopped by SIGINT, SIGTERM or SIGUSR1; the checkpoint is written. Of several processes
        the first raises it, the others return.
    UsageError
        If processes were started otherwise than the settings say, or there are more of them than
        patches in a step.
    DataError
        If no checkpoint is whole, or training has diverged.
    """
    n_patches = data.batch + data.unlabelled
    if n_patches < trainer.n_processes:
        raise UsageError(
            f"A step has {n_patches} patches, too few for {trainer.n_processes} processes "
            "(trainer.devices x trainer.num_nodes). Use a larger data.batch, which is that of all."
        )
    place = environment(trainer)
    share = Share(rank_of(place, trainer), trainer.n_processes)
    with _threads(trainer.threads), kept_memory(), _quiet():
        found = newest(folder / CHECKPOINTS)
        step = int(found[1]["global_step"]) if found else 0
        module = build_module(source.counts(), classes, network, data, trainer, seed, share)
        shape = (n_patches, network.in_channels, data.patch, data.patch)
        precision = str(found[1]["precision"]) if found else choose_precision(
            trainer.precision, module.network, shape, device=training_device(trainer),
            measure=share.of == 1,
        )
        module.precision_name = precision
        if found:
            logger.info("going on from step %d (%s)", step, found[0].name)
        if found and found[1]["total"] == step:
            module.load_state_dict(found[1]["state_dict"])
            module.total = step
        else:
            pictures = HeldOutPictures(
                source.held_out(MOST), classes, multiple=stride_multiple(network)
            )
            callbacks = [
                # Backends may move or trace the network, hence a copy.
                Budget(
                    trainer, started=started,
                    reserve=lambda: reserve(copy.deepcopy(module.average))
                    + trainer.n_pictures * _seconds(lambda: pictures.draw(module.average)),
                ),
                Checkpoints(trainer, folder / CHECKPOINTS),
                Board(folder / TENSORBOARD, trainer, lambda m: pictures.draw(m.average)),
            ]
            lightning = build_trainer(
                trainer, callbacks, precision=precision, folder=folder, place=place
            )
            batches = source.batches(seed=seed, share=share)
            _run(lightning, module, Steps(batches, start=step), found[0] if found else None)
            if module.total is None or lightning.global_step < module.total:
                # The first process has raised already, or does so now; it alone has the word.
                return Trained(module.average, lightning.global_step, precision, first=False)
    _check_finite(module.average)
    assert module.total is not None
    return Trained(
        module.average.cpu().eval(), module.total, precision, first=share.rank == 0,
        n_new=module.total - step,
    )


def build_module(
    counts: NDArray[np.int64], classes: dict[str, int], network: NetworkSpec, data: SparseData,
    trainer: TrainerSettings, seed: int, share: Share = ALL,
) -> Segmenter:
    """Return the untrained module for so many labelled voxels of background and of each class.

    Its weights depend on the seed only.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_network(network, in_channels=network.in_channels, n_classes=len(classes))
    n_patches = data.batch + data.unlabelled
    gpu = training_device(trainer).type == "cuda"
    return Segmenter(
        shared(built, n=n_patches, share=share, batch_norm=not gpu), settings=trainer,
        augmentation=data.augmentation, n_channels=len(classes) + 1,
        patch=data.patch, seed=seed, n_patches=n_patches, share=share,
        class_weights=class_weights(
            (counts / max(1, counts.sum())).tolist(), trainer.class_balance
        ),
    )


def build_trainer(
    settings: TrainerSettings, callbacks: list[pl.Callback], *, precision: str, folder: Path,
    place: ClusterEnvironment,
) -> pl.Trainer:
    """Return Lightning's trainer with everything that fibseg does itself switched off."""
    # On CPUs torch has no batch norm across processes; there it is `SharedBatchNorm`.
    gpu = training_device(settings).type == "cuda"
    return pl.Trainer(
        accelerator="gpu" if gpu else "cpu", devices=settings.devices, strategy=settings.strategy,
        num_nodes=settings.num_nodes,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_epochs=-1, max_steps=-1, callbacks=callbacks, plugins=[CrashSafeIO(), place],
        sync_batchnorm=gpu and settings.n_processes > 1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        default_root_dir=str(folder),
    )


def _run(
    lightning: pl.Trainer, module: Segmenter, steps: Steps, checkpoint: Path | None
) -> None:
    """Run Lightning's loop to the end, or to a signal."""
    if module.total is not None:
        lightning.fit_loop.epoch_loop.max_steps = module.total
    loader = DataLoader(steps, batch_size=None, num_workers=0)
    lightning.fit(
        module, loader, ckpt_path=None if checkpoint is None else str(checkpoint),
        weights_only=True,
    )
    unfinished = module.total is None or lightning.global_step < module.total
    if unfinished and lightning.is_global_zero:
        raise InterruptedRunError(
            f"Training was stopped at step {lightning.global_step} of "
            f"{module.total or 'an unknown number'}. The same command goes on from there."
        )


def _seconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def _check_finite(network: nn.Module) -> None:
    """Refuse weights that are no numbers."""
    bad = [k for k, v in network.state_dict().items() if not torch.isfinite(v).all()]
    if bad:
        raise DataError(
            f"Training has diverged: {bad[0]} and {len(bad) - 1} more are not finite. "
            "Start again with a lower trainer.learning_rate and overwrite=true."
        )


@contextlib.contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """A number of CPU threads, and denormal numbers taken as 0 (they are slow)."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning without its advice: data are made in this process on purpose."""
    names = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")
    loggers: list[Any] = [logging.getLogger(n) for n in names]
    levels = [x.level for x in loggers]
    for x in loggers:
        x.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for x, level in zip(loggers, levels, strict=True):
                x.setLevel(level)
