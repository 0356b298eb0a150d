"""A network that was taught for a moment to find balls, and a volume of balls.

It is sure of what it says. Random weights are no measure of what rounding loses: many of their
pixels lie near the threshold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from inference_fakes import random_model
from numpy.typing import NDArray
from stores import noise_store
from torch import nn

from fibseg.data import normalise
from fibseg.data.normalise import Normalisation
from fibseg.export import ModelSpec, save_model_folder
from fibseg.types import Shape
from fibseg.volume import Volume

STEPS = 50


def balls(shape: Shape, *, seed: int = 0, pitch: int = 24) -> NDArray[np.bool_]:
    """Balls of radius 7 on a jittered grid."""
    rng = np.random.default_rng(seed)
    out = np.zeros(shape, bool)
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    for corner in np.ndindex(*(-(-n // pitch) for n in shape)):
        centre = [c * pitch + pitch / 2 + j for c, j in zip(corner, rng.uniform(-3, 3, 3),
                                                            strict=True)]
        out |= sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < 49
    return out


def ball_image(shape: Shape, *, seed: int = 0) -> NDArray[np.uint8]:
    """Bright balls in noise."""
    noise = np.random.default_rng(seed + 1).normal(size=shape)
    return np.clip(90 + 70 * balls(shape, seed=seed) + 12 * noise, 0, 255).astype(np.uint8)


def ball_store(path: Path, *, shape: Shape = (70, 48, 48), seed: int = 0) -> Volume:
    """Store of balls, of two blocks: Zarr 2 has no shards."""
    return noise_store(path, shape=shape, image=ball_image(shape, seed=seed), ome_version="0.4")


def taught_model(*, n_classes: int = 1) -> tuple[nn.Module, ModelSpec]:
    """A network that finds balls as its first class; of a second one it never finds any."""
    network, spec = random_model(features=(8, 16), n_classes=n_classes, core=64)
    image, truth = ball_image((48, 64, 64), seed=7), balls((48, 64, 64), seed=7)
    low, high = np.percentile(image, [0.5, 99.5])
    ready = torch.from_numpy(normalise(image, Normalisation(low, high, invert=True)))
    wanted = torch.from_numpy(truth.astype(np.int64))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # such small steps wait for each other more than they compute
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network.train()
        learn = torch.optim.Adam(network.parameters(), 0.01)
        for step in range(STEPS):
            at = [(step * 8 + k) % 48 for k in range(8)]
            loss = nn.functional.cross_entropy(network(ready[at][:, None]), wanted[at])
            learn.zero_grad()
            loss.backward()
            learn.step()
    torch.set_num_threads(threads)
    return network.eval(), spec


def taught_folder(path: Path, **keywords: int) -> Path:
    """The folder of such a model."""
    return save_model_folder(path, *taught_model(**keywords))
