"""What happens beside the steps: the number of steps, checkpoints, signals, the log."""

from __future__ import annotations

import itertools
import logging
import math
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch.utils.tensorboard import SummaryWriter

from fibseg.blocks.interrupt import TIME_IS_UP, Interrupt
from fibseg.progress import track
from fibseg.training.checkpoint import LAST
from fibseg.training.progress import note_scores
from fibseg.training.schedule import steps_in_time
from fibseg.training.segmenter import Segmenter
from fibseg.training.settings import TrainerSettings
from fibseg.training.stop import ignore_the_end, requeue
from fibseg.training.together import in_any

logger = logging.getLogger("fibseg.training")
TIMED = 50
"""Steps after which `max_time` is turned into a number of steps."""

WARM = 5
"""First steps that are not timed: they also allocate and compile."""

EARLY = 0.3
"""Share of `max_time` after which a slow machine is not timed any longer."""

KEPT = 0.3
"""Largest share of `max_time` that is kept for the test."""

SIGNALS = tuple(n for n in (signal.SIGTERM, TIME_IS_UP) if n is not None)
"""Those that Lightning takes, besides the one of Ctrl-C."""

FEW = 200
"""Steps below which a model is expected to be poor."""


class Budget(pl.Callback):
    """Turns `max_time` into a number of steps after `TIMED` steps; from then on steps count.

    Parameters
    ----------
    settings
        With `max_time` and `max_steps`.
    started
        `time.monotonic` when the command began.
    reserve
        Measures the seconds that the test will take.
    """

    def __init__(
        self, settings: TrainerSettings, *, started: float, reserve: Callable[[], float]
    ) -> None:
        self.settings, self.started, self.reserve = settings, started, reserve
        self._times: list[float] = []
        self._last = 0.0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any
    ) -> None:
        """Time a step; after enough of them decide how many there will be."""
        if not isinstance(module, Segmenter) or module.total is not None:
            return
        self._times.append(time.monotonic() - self._last)
        done = trainer.global_step
        # Clocks of several processes differ: the first one decides, and does so for all.
        if trainer.strategy.broadcast(self._enough(done)):
            total = self._total(done) if trainer.is_global_zero else 0
            module.total = int(trainer.strategy.broadcast(total))
            trainer.fit_loop.epoch_loop.max_steps = module.total
        self._last = time.monotonic()

    def _enough(self, done: int) -> bool:
        """Whether the steps so far tell how long one takes, or no time is left to look on."""
        gone = time.monotonic() - self.started
        slow = len(self._times) > WARM and gone > EARLY * self.settings.seconds
        last = done >= (self.settings.max_steps or math.inf)
        return last or len(self._times) >= TIMED or slow

    def _total(self, done: int) -> int:
        """Number of steps that fit into the time, at most those asked for; says so."""
        most = self.settings.max_steps or math.inf
        if done >= most:
            return done
        step_s = _typical(self._times[WARM:])
        reserve_s = min(self.reserve(), KEPT * self.settings.seconds)
        elapsed_s = time.monotonic() - self.started
        total = steps_in_time(
            timed=done, step_s=step_s, elapsed_s=elapsed_s, reserve_s=reserve_s,
            max_s=self.settings.seconds,
        )
        logger.info(
            "%d steps of %.0f ms fit into %.0f s (%.0f s gone, %.0f s kept for the test)",
            min(total, most), 1e3 * step_s, self.settings.seconds, elapsed_s, reserve_s,
        )
        if total < FEW:
            logger.warning(
                "%d steps are few: expect a poor model. Give more trainer.max_time, or stop what "
                "else runs on this machine.", total,
            )
        return int(min(total, most))


class Checkpoints(pl.Callback):
    """Saves at times, at chosen steps, as soon as the number of steps is known, and when asked.

    SIGINT, SIGTERM and SIGUSR1 in any process end the training after the step, with a checkpoint;
    at SIGUSR1 a SLURM job is queued again, if it came any further.
    """

    def __init__(self, settings: TrainerSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.interrupt = Interrupt()
        self._last = time.monotonic()
        self._total_stored: int | None = None
        self._began = 0
        # Lightning's own, which come later, wait for other processes in the middle of anything.
        self._handlers = {n: signal.getsignal(n) for n in SIGNALS}

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        """Begin the first interval."""
        self._last = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Take over the signals from Lightning."""
        assert isinstance(module, Segmenter)
        self._total_stored = module.total if trainer.global_step else None
        self._began = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        self.interrupt.__enter__()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Give the signals back."""
        self.interrupt.__exit__(None, None, None)

    def on_exception(self, trainer: pl.Trainer, module: Any, error: BaseException) -> None:
        """Give the signals back."""
        self.interrupt.__exit__(None, None, None)

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any
    ) -> None:
        """Save if it is time."""
        assert isinstance(module, Segmenter)
        step, every = trainer.global_step, self.settings.checkpoint_every_steps
        due = (
            module.total != self._total_stored
            or step == module.total
            or bool(every and step % every == 0)
            or time.monotonic() - self._last >= self.settings.checkpoint_every_s
        )
        asked = self.interrupt
        due, stop, again = in_any(
            due, asked.requested, asked.time_is_up, device=trainer.strategy.root_device
        )
        if again:
            ignore_the_end()
        if due or stop:
            trainer.save_checkpoint(self.folder / LAST)
            self._last, self._total_stored = time.monotonic(), module.total
        if stop:
            trainer.should_stop = True
        if again:
            self._queue_again(trainer)

    def _queue_again(self, trainer: pl.Trainer) -> None:
        """Queue the job again, once; the others wait, as ending first could end them all."""
        if trainer.is_global_zero and trainer.global_step > self._began:
            requeue()
        trainer.strategy.barrier("requeued")


class Board(pl.Callback):
    """TensorBoard, the progress bar and the log.

    Parameters
    ----------
    folder
        For the event files.
    settings
        How often.
    pictures
        Draws held-out planes with the averaged network: name to array (y, x, 3) of uint8, and
        scores; called with the module.
    """

    def __init__(
        self, folder: Path, settings: TrainerSettings,
        pictures: Callable[[Segmenter], tuple[dict[str, Any], dict[str, float]]],
    ) -> None:
        self.folder, self.settings, self.pictures = folder, settings, pictures
        self._writer: SummaryWriter | None = None
        self._bar: Iterator[None] | None = None
        self._begin = self._mark = 0.0
        self._marked = 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Open the event file; what an earlier run wrote beyond the checkpoint is replaced."""
        if trainer.is_global_zero:
            self._writer = SummaryWriter(str(self.folder), purge_step=trainer.global_step)
        self._mark, self._marked = time.monotonic(), trainer.global_step

    def on_train_batch_start(self, *args: Any) -> None:
        """Start the clock of a step."""
        self._begin = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, *args: Any
    ) -> None:
        """Write a point, a picture, a line."""
        if self._writer is None or not isinstance(module, Segmenter):
            return
        step, total = trainer.global_step, module.total
        if total is not None:
            if self._bar is None:
                self._bar = track(
                    itertools.repeat(None), total=total, label="train", unit="step", done=step - 1
                )
            next(self._bar)
            n = self.settings.n_pictures
            if n and step % max(1, total // n) == 0:
                self._draw(module, step)
        if step % self.settings.log_every == 0 or step == total:
            self._point(trainer, module, step)

    def _point(self, trainer: pl.Trainer, module: Segmenter, step: int) -> None:
        """Losses, learning rate and times of the last steps."""
        assert self._writer is not None
        now = time.monotonic()
        n = max(1, step - self._marked)
        values = {f"loss/{k}": float(v) for k, v in module.losses.items()}
        values |= {
            "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            "speed/steps_per_s": n / max(now - self._mark, 1e-9),
            "seconds/cut": module.timings["cut"],
            "seconds/augment": module.timings["augment"],
            "seconds/step": time.perf_counter() - self._begin,
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._mark, self._marked = now, step

    def _draw(self, module: Segmenter, step: int) -> None:
        """Pictures and scores of the fixed held-out planes."""
        assert self._writer is not None
        begin = time.monotonic()
        images, scores = self.pictures(module)
        for name, image in images.items():
            self._writer.add_image(name, image, step, dataformats="HWC")
        for name, value in scores.items():
            self._writer.add_scalar(name, value, step)
        note_scores(self.folder.parent, scores, step=step, total=module.total or step)
        if scores:
            logger.info(
                "step %d: %s", step, ", ".join(f"{k} {v:.3f}" for k, v in scores.items())
            )
        self._mark += time.monotonic() - begin

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Close files."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, module: Any, error: BaseException) -> None:
        """Close files."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()  # type: ignore[attr-defined]
        if self._writer is not None:
            self._writer.close()
        self._bar = self._writer = None


def _typical(times: list[float]) -> float:
    """Seconds of a step: between median and mean, since rare slow steps count as well."""
    return (statistics.median(times) + statistics.fmean(times)) / 2 if times else 1e-3
