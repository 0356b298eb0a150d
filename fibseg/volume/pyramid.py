"""Coarser levels of an image or label image: how many, how large, and by which kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fibseg.geometry import (
    downsample_annotation,
    downsample_mean,
    downsample_mode,
    halving_factors,
)
from fibseg.types import Shape, Spacing

SMALL_ENOUGH = 128
MAX_LEVELS = 10
KERNELS: dict[str, Callable[..., NDArray[Any]]] = {
    "image": downsample_mean,
    "probabilities": downsample_mean,
    "distances": downsample_mean,
    "labels": downsample_mode,
    "annotation": downsample_annotation,
}


@dataclass(frozen=True)
class Level:
    """Shape, spacing in nm, and factors against the level before."""

    shape: Shape
    spacing: Spacing
    factors: tuple[int, int, int] = (1, 1, 1)


def plan_levels(shape: Shape, spacing: Spacing) -> list[Level]:
    """Levels of a pyramid, finest first, until no axis is longer than 128 voxels.

    >>> [level.shape for level in plan_levels((60, 500, 500), (30.0, 10.0, 10.0))]
    [(60, 500, 500), (60, 250, 250), (60, 125, 125)]
    """
    levels = [Level(shape, spacing)]
    while max(levels[-1].shape) > SMALL_ENOUGH and len(levels) < MAX_LEVELS:
        last = levels[-1]
        factors = halving_factors(last.shape, last.spacing)
        if factors == (1, 1, 1):
            break
        z, y, x = (-(-n // f) for n, f in zip(last.shape, factors, strict=True))
        sz, sy, sx = (s * f for s, f in zip(last.spacing, factors, strict=True))
        levels.append(Level((z, y, x), (sz, sy, sx), factors))
    return levels
