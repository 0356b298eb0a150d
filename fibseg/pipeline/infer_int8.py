"""int8 on a volume: ranges from some of its planes, the loss on others, refused if too great."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from fibseg.errors import UsageError
from fibseg.export import ModelSpec
from fibseg.inference import Int8, NetworkBlocks
from fibseg.inference.calibrate import (
    calibrated,
    compiled,
    cut,
    masks,
    measured_loss,
    spread,
    telling,
)
from fibseg.volume import Volume

log = logging.getLogger("fibseg.infer")

MOST_LOSS = 0.005
"""1 - IoU with float32 that int8 may lose in any class."""
WINDOWS = 32
"""Windows that the ranges come from."""
LEAST = 16
"""Windows in which each class must be seen, to say what it loses."""
MOST = 96
"""Windows that are looked at for that."""
SIDE = 512
"""Pixels that these are wide at most."""
LEADING = (1, 2)
"""Convolutions at the beginning that stay as they are; more of them only where that is needed."""


@dataclass(frozen=True)
class Trial:
    """A model on a volume, before its ranges are known.

    Parameters
    ----------
    blocks
        The block function.
    store
        The volume.
    spec
        The model.
    """

    blocks: NetworkBlocks[Any]
    store: Volume
    spec: ModelSpec

    def windows(self, planes: Sequence[int], first: int) -> Iterator[Tensor]:
        """A part of what the network sees for a voxel of each plane, evenly over the plane."""
        raw = self.store.raw(self.blocks.plan.level)
        _, height, width = self.store.shape
        for number, z in enumerate(planes, first):
            y, x = spread(number)
            seen = self.blocks.seen_at(raw, (z, int(y * height), int(x * width)), self.spec)
            yield cut(
                seen[number % len(seen)], side=SIDE, multiple=self.spec.stride_multiple,
                number=number,
            )

    def planes(self) -> tuple[list[int], list[int]]:
        """Planes for the ranges, and others for the loss; one plane may serve several windows."""
        depth = self.store.shape[0]
        own = _trained_on(self.spec, self.store) or list(range(0, depth, 2))
        others = sorted(set(range(depth)) - set(own)) or own
        return _even(own, WINDOWS), _even(others, MOST)


def measured_int8(
    trial: Trial, load: Callable[[], nn.Module], *, most_loss: float = MOST_LOSS
) -> Int8:
    """How int8 rounds a model on a volume, measured there.

    The same volume and model give the same ranges.

    Parameters
    ----------
    load
        Gives the network.
    most_loss
        1 - IoU with float32 that any class may lose.

    Raises
    ------
    UsageError
        If a class loses more than that, or too little of it is seen to say.
    """
    network = load()
    own, others = trial.planes()
    windows = telling(trial.windows(own, 0))
    level = float(trial.spec.metrics.get("threshold", 0.5))
    test, exact = _seen_well(trial, network, others, level)
    log.info(
        "int8: ranges from %d windows of %s px, loss from %d", len(windows),
        " x ".join(map(str, windows[0].shape[1:])), len(test),
    )
    tried = []
    for leading in LEADING:
        int8 = calibrated(network, windows, leading=leading)
        tried.append(measured_loss(exact, network, test, int8, level=level))
        log.info(
            "int8, but the first %d and the last convolution, loses against float32: %s (1 - IoU)",
            leading, _told(trial.spec, tried[-1].loss),
        )
        if max(tried[-1].loss) <= most_loss:
            return tried[-1]
    best = min(tried, key=lambda found: max(found.loss))
    raise UsageError(
        f"precision=int8 loses {_told(trial.spec, best.loss)} of the IoU with float32 on "
        f"{len(test)} windows of {trial.store.path.name}, and {most_loss:g} is allowed. Use "
        "precision=auto."
    )


def with_int8(blocks: NetworkBlocks[Any], int8: Int8) -> NetworkBlocks[Any]:
    """The block function with its ranges."""
    return replace(blocks, backend=replace(blocks.backend, int8=int8))


def _seen_well(
    trial: Trial, network: nn.Module, planes: Sequence[int], level: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Windows in which each class is seen often enough, and their logits in float32."""
    windows: list[Tensor] = []
    logits: list[Tensor] = []
    seen = np.zeros(len(trial.spec.classes), np.int64)
    run = None
    for window in trial.windows(planes, WINDOWS):
        run = run or compiled(network, window)
        found = run(window[None])
        there = masks(found, level).any(2).any(1).numpy()
        if there.any():
            windows.append(window)
            logits.append(found)
            seen += there
        if seen.min() >= LEAST:
            return windows, logits
    rare = int(seen.argmin())
    raise UsageError(
        f"{trial.spec.classes[rare]} is seen in {seen[rare]} of {len(planes)} windows of "
        f"{trial.store.path.name}, too few ({LEAST}) to measure what precision=int8 loses. Use "
        "precision=auto."
    )


def _told(spec: ModelSpec, loss: Sequence[float]) -> str:
    """Losses by class, in words."""
    return ", ".join(f"{part:.4f} ({name})" for name, part in zip(spec.classes, loss, strict=True))


def _trained_on(spec: ModelSpec, store: Volume) -> list[int]:
    """Planes of this very volume that the model was trained on, none if it was another."""
    volumes = spec.training.get("volumes") or []
    split = spec.training.get("split") or {}
    planes = split.get("train_planes") or {}
    for volume in volumes:
        if isinstance(volume, dict) and volume.get("raw_digest") == store.raw_digest:
            found = planes.get(volume.get("name")) or []
            return [int(z) for z in found if 0 <= int(z) < store.shape[0]]
    return []


def _even(planes: Sequence[int], n: int) -> list[int]:
    """`n` of the planes at even steps, some more than once where there are fewer, in mixed order.

    >>> _even([0, 2, 4, 6], 3)
    [0, 4, 0]
    """
    step = 0.6180339887498949  # of the golden ratio: any first part of it is even, too
    return [planes[int((i * step % 1) * len(planes))] for i in range(n)]
