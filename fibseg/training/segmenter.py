"""One training step: augment, predict, compare with what is painted, average the weights."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fibseg.data import (
    DROPOUT,
    TURN,
    Augmentation,
    Batch,
    Share,
    SharedDraws,
    key,
    photometry,
    warp,
)
from fibseg.data.patches import ALL
from fibseg.models import consistency, masked_dice_ce
from fibseg.training.schedule import average_decay, one_cycle
from fibseg.training.settings import TrainerSettings
from fibseg.training.together import total

RAMP = (0.15, 0.35)
"""Shares of the steps between which the consistency term comes in."""


class Segmenter(pl.LightningModule):
    """A network, its moving average and the loss; nothing here depends on anything but the step.

    Parameters
    ----------
    network
        Gives logits, channel 0 background.
    settings, augmentation
        How it is trained, and how patches are changed.
    n_channels, patch
        Background and classes; height and width of a patch, pixels.
    class_weights
        Of each channel in the cross-entropy, None for equal ones.
    seed
        Of all random numbers.
    n_patches, share
        Patches of a step in all processes together, and the own ones.
    """

    def __init__(
        self, network: nn.Module, *, settings: TrainerSettings, augmentation: Augmentation,
        n_channels: int, patch: int, class_weights: Sequence[float] | None, seed: int,
        n_patches: int = 1, share: Share = ALL,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.settings, self.augmentation = settings, augmentation
        self.n_channels, self.patch = n_channels, patch
        self.class_weights, self.seed = class_weights, seed
        self.n_patches, self.share = n_patches, share
        self.total: int | None = settings.max_steps if settings.max_time is None else None
        self.precision_name = "32"
        self.timings: dict[str, float] = {}
        self.losses: dict[str, Tensor] = {}
        if settings.compile:
            # In place: a wrapper would store every weight twice.
            self.network.compile()

    def train(self, mode: bool = True) -> Segmenter:
        """Set the mode of the network; its average is always evaluated."""
        super().train(mode)
        self.average.eval()
        return self

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Any:
        """Return the augmented batch: image, target, clean image, inside, step."""
        begin = time.perf_counter()
        whole = torch.Generator(batch.image.device).manual_seed(
            key(self.seed, batch.step, 0, TURN)
        )
        alone = self.share.of == 1
        generator = whole if alone else SharedDraws(whole, n=self.n_patches, share=self.share)
        image = torch.cat([batch.image, batch.inside[:, None].to(batch.image.dtype)], 1)
        image, target = warp(
            image, batch.annotation, n_channels=self.n_channels, patch=self.patch,
            strength=self.augmentation, generator=generator,
        )
        clean, inside = image[:, :-1], image[:, -1:] > 0.5
        changed = photometry(clean, strength=self.augmentation, generator=generator)
        self.timings = {"cut": batch.seconds, "augment": time.perf_counter() - begin}
        return changed, target, clean, inside, batch.step

    def training_step(
        self, batch: tuple[Tensor, Tensor, Tensor, Tensor, int], batch_idx: int
    ) -> Tensor:
        """Return the loss of one step, and set the learning rate that belongs to it."""
        image, target, clean, inside, step = batch
        if step != self.global_step:
            raise RuntimeError(f"the data is at step {step}, training at {self.global_step}")
        torch.manual_seed(key(self.seed, step, 0, DROPOUT))
        rate = self.settings.learning_rate * one_cycle(
            step, self.total, warm_up=self.settings.warm_up
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        logits = self.network(_channels_last(image)).float()
        loss = masked_dice_ce(
            logits, target, dice_weight=self.settings.dice, class_weights=self.class_weights,
            total=total,
        )
        self.losses = {"supervised": loss.detach()}
        weight = self._consistency_weight(step)
        if weight > 0:
            with torch.no_grad():
                teacher = self.average(_channels_last(clean)).float().softmax(1)
            usable = inside & (target.sum(1, keepdim=True) < 0.5)
            agreement = consistency(
                logits, teacher, usable, confidence=self.settings.confidence, total=total
            )
            self.losses["consistency"] = agreement.detach()
            loss = loss + weight * agreement
        self.losses["loss"] = loss.detach()
        # Each process has a part of the gradient; of these Lightning takes the mean.
        return loss * self.share.of

    def _consistency_weight(self, step: int) -> float:
        """Weight of the agreement with the average at a step."""
        if not self.settings.consistency or self.total is None:
            return 0.0
        start, full = RAMP
        ramp = (step / self.total - start) / (full - start)
        return self.settings.consistency * min(1.0, max(0.0, ramp))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW (Loshchilov 2019, arXiv:1711.05101); norms and biases do not decay."""
        weights = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        return torch.optim.AdamW(
            [
                {"params": weights, "weight_decay": self.settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.settings.learning_rate, betas=(0.9, 0.99), foreach=True,
        )

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Bound the gradient."""
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip, foreach=True)

    def optimizer_step(self, *args: Any, **keywords: Any) -> None:
        """Step, then move the average: both before any checkpoint of this step.

        The moving average of the weights follows Tarvainen 2017 (arXiv:1703.01780).
        """
        step = self.global_step
        super().optimizer_step(*args, **keywords)
        share = 1 - average_decay(step, self.settings.ema)
        with torch.no_grad():
            mean = [t for t in self.average.state_dict().values() if t.is_floating_point()]
            new = [t for t in self.network.state_dict().values() if t.is_floating_point()]
            torch._foreach_lerp_(mean, new, share)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store what a clock has decided once and for all: number of steps and precision."""
        checkpoint["total"] = self.total
        checkpoint["precision"] = self.precision_name

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        self.total = checkpoint["total"]


def class_weights(shares: Sequence[float], power: float) -> list[float] | None:
    """Weights (1 / share) ** power of each channel, mean 1; None for power 0.

    >>> class_weights([0.8, 0.2], 0.5)
    [0.6666666666666666, 1.3333333333333333]
    """
    if not power:
        return None
    raw = [(1 / s) ** power for s in shares]
    return [float(w * len(raw) / sum(raw)) for w in raw]


def _channels_last(image: Tensor) -> Tensor:
    """The same tensor, stored pixel by pixel."""
    return image.contiguous(memory_format=torch.channels_last)
