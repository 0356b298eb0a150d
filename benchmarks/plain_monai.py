"""What a user would otherwise write: MONAI's BasicUNet with its defaults on sparse planes.

The peer of benchmarks/real_iou.py: the same masked loss on labelled
pixels, float32, 256² patches and windows, overlap 0.5, gaussian blending.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import BasicUNet
from numpy.typing import NDArray
from torch.nn import functional

PATCH = 256
BATCH = 8


def train(
    images: Sequence[NDArray[np.uint8]],
    annotations: Sequence[NDArray[np.uint8]],
    *,
    minutes: float,
    seed: int = 0,
) -> tuple[BasicUNet, int]:
    """Network and number of steps after `minutes` of training on labelled pixels.

    Parameters
    ----------
    images, annotations
        Planes of equal shape (y, x); annotation 0 unlabelled, 1 background, 2 the class.
    minutes
        Wall-clock time.
    seed
        Of everything random.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    labelled = [[np.argwhere(a == v) for v in (1, 2) if (a == v).any()] for a in annotations]
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < 60 * minutes:
        image, target = _batch(images, annotations, labelled, rng)
        loss = masked_loss(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    return network.eval(), steps


def masked_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Dice + cross-entropy over labelled pixels; `target` is -1 where nothing was painted."""
    known = target >= 0
    cross_entropy = functional.cross_entropy(logits, target, ignore_index=-1)
    probs = torch.softmax(logits, 1)[:, 1][known]
    truth = (target[known] == 1).float()
    dice = 1 - (2 * (probs * truth).sum() + 1) / (probs.sum() + truth.sum() + 1)
    return cross_entropy + dice


@torch.inference_mode()
def predict(network: BasicUNet, plane: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probability of the class for one whole plane (y, x)."""
    image = torch.from_numpy(plane.astype(np.float32) / 255)[None, None]
    logits = sliding_window_inference(
        image, (PATCH, PATCH), 4, network, overlap=0.5, mode="gaussian"
    )
    return torch.softmax(logits, 1)[0, 1].numpy()


def _batch(
    images: Sequence[NDArray[np.uint8]],
    annotations: Sequence[NDArray[np.uint8]],
    labelled: Sequence[Sequence[NDArray[np.int64]]],
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches centred on labelled pixels, flipped and turned at random."""
    xs, ys = [], []
    for _ in range(BATCH):
        plane = rng.integers(len(images))
        # One class as often as the other, as MONAI's RandCropByPosNegLabel does.
        pixels = labelled[plane][rng.integers(len(labelled[plane]))]
        centre = pixels[rng.integers(len(pixels))]
        corner = [
            int(np.clip(c - PATCH // 2, 0, size - PATCH))
            for c, size in zip(centre, images[plane].shape, strict=True)
        ]
        cut = tuple(slice(c, c + PATCH) for c in corner)
        turns, flip = rng.integers(4), rng.integers(2)
        for source, into in ((images[plane], xs), (annotations[plane], ys)):
            patch = np.rot90(source[cut], turns)
            into.append(np.ascontiguousarray(patch[::-1] if flip else patch))
    image = torch.from_numpy(np.stack(xs).astype(np.float32) / 255)[:, None]
    return image, torch.from_numpy(np.stack(ys).astype(np.int64) - 1)
