"""A volume of NumPy arrays and small random models, so that tests need no store on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fibseg.blocks import Block
from fibseg.export import ModelSpec, describe_model
from fibseg.geometry import Box, downsample_mean
from fibseg.inference import Backend, Plan, Predictor, make_plan, model_normalisation
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple
from fibseg.types import Shape, Spacing

RULE = {"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"}


@dataclass
class FakeVolume:
    """What inference needs of a `Volume`."""

    image: NDArray[Any]
    spacing: Spacing = (20.0, 20.0, 20.0)
    n_levels: int = 1
    polarity: str = "dark"
    name: str = "fake"
    levels: list[NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.levels = [self.image]
        for _ in range(1, self.n_levels):
            self.levels.append(downsample_mean(self.levels[-1], factors=(2, 2, 2)))
        low, high = np.percentile(self.image, [0.5, 99.5])
        self.percentiles = {"p0.5": float(low), "p99.5": float(high)}

    @property
    def shape(self) -> Shape:
        return self.image.shape

    def level_spacing(self, level: int) -> Spacing:
        z, y, x = (s * 2**level for s in self.spacing)
        return z, y, x

    def raw(self, level: int = 0) -> NDArray[Any]:
        return self.levels[level]


def random_image(shape: Shape, *, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth blobs and noise, so that probabilities are spread over 0 to 1."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=[-(-n // 6) + 1 for n in shape])
    blobs = coarse.repeat(6, 0).repeat(6, 1).repeat(6, 2)[: shape[0], : shape[1], : shape[2]]
    image = 120 + 40 * blobs + 15 * rng.normal(size=shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def random_model(
    *, features: tuple[int, ...] = (4, 8, 8), n_classes: int = 1, context: int = 0, core: int = 32,
    spacing: Spacing = (20.0, 20.0, 20.0), seed: int = 0, spread: float = 2.0,
) -> tuple[nn.Module, ModelSpec]:
    """Network with random weights and batch statistics, and its description."""
    network = NetworkSpec(features=features, context=context)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build_network(network, in_channels=network.in_channels, n_classes=n_classes)
        _spread(module, network.in_channels, spread)
    spec = describe_model(
        network={"name": "unet", "features": list(features), "dropout": 0.1, "norm": "batch",
                 "context": context},
        classes=[f"class{i}" for i in range(n_classes)], normalisation=RULE, context=context,
        receptive_field=receptive_margin(network), stride_multiple=stride_multiple(network),
        training={}, metrics={}, core=core, spacing=spacing,
    )
    return module.eval(), spec


def _spread(module: nn.Module, channels: int, spread: float) -> None:
    """Set batch statistics, and the last layer for logits of mean 0 and deviation `spread`."""
    image = torch.from_numpy(random_image((channels, 64, 64), seed=1).astype(np.float32))
    image = (image[None] - 120) / 40
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None
    with torch.no_grad():
        module.train()(torch.cat([image, image.flip(2) * 0.5]))  # sets the batch statistics
        logits = module.eval()(image)
        mean, std = logits.mean((0, 2, 3)), logits.std((0, 2, 3))
    module.head.bias.data.copy_((module.head.bias.data - mean) * spread / std)
    module.head.weight.data.mul_((spread / std)[:, None, None, None])


def make_predictor(
    model: tuple[nn.Module, ModelSpec], volume: FakeVolume, *, tta: str = "none",
    overlap: float = 0.0, backend: Backend | None = None,
) -> Predictor:
    network, spec = model
    plan = make_plan(spec, volume, overlap=overlap, square=tta == "d4")
    return Predictor(
        network, spec, plan=plan, normalisation=model_normalisation(spec, volume),
        backend=backend or Backend("torch", "float32"), tta=tta,
    )


def by_blocks(predictor: Predictor, volume: FakeVolume, block: Shape) -> NDArray[np.uint8]:
    """Probabilities, shape (classes, z, y, x), block by block, each reading only its own box."""
    out = np.zeros((predictor.n_classes, *volume.shape), np.uint8)
    plan: Plan = predictor.plan
    corners = np.ndindex(*(-(-n // b) for n, b in zip(volume.shape, block, strict=True)))
    for index, corner in enumerate(corners):
        start = tuple(c * b for c, b in zip(corner, block, strict=True))
        stop = tuple(s + b for s, b in zip(start, block, strict=True))
        write = Box(start, stop).clip(volume.shape)
        task = Block(index, write, plan.read_box(write))
        raw = volume.raw(plan.level)[task.read.slices]
        parts = predictor.box(lambda b, r=raw, t=task: r[b.relative_to(t.read).slices], write)
        for k, part in enumerate(parts):
            out[(k, *write.slices)] = part
    return out
