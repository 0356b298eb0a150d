"""Hypothesis strategies: masks, label volumes, images, spacings and block shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

SIDES = (1, 14)


@st.composite
def shapes(draw: st.DrawFn, low: int = SIDES[0], high: int = SIDES[1]) -> tuple[int, int, int]:
    return tuple(draw(st.integers(low, high)) for _ in range(3))


@st.composite
def spacings(draw: st.DrawFn) -> tuple[float, float, float]:
    nm = st.sampled_from([4.3, 5.0, 8.0, 10.0, 15.75, 20.0, 30.0])
    return tuple(draw(nm) for _ in range(3))


@st.composite
def block_shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    return tuple(draw(st.integers(2, 9)) for _ in range(3))


@st.composite
def masks(draw: st.DrawFn, shape: Any = None) -> np.ndarray:
    """Noise, blobs, thin shells or nothing: what breaks seams is in here."""
    size = draw(shapes()) if shape is None else shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "shells", "empty", "full"]))
    if kind == "empty":
        return np.zeros(size, dtype=bool)
    if kind == "full":
        return np.ones(size, dtype=bool)
    if kind == "noise":
        return rng.random(size) < draw(st.sampled_from([0.05, 0.2, 0.35, 0.6, 0.95]))
    return _balls(size, rng, shell=kind == "shells")


@st.composite
def label_volumes(draw: st.DrawFn) -> np.ndarray:
    """Objects with gaps in their numbers; an object may be in several pieces."""
    size = draw(shapes())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = rng.integers(0, draw(st.sampled_from([2, 5, 300])), size=size)
    coarse = draw(st.booleans())
    if coarse:
        ids = np.kron(ids, np.ones((3, 3, 3), dtype=int))[: size[0], : size[1], : size[2]]
    return (ids * draw(st.sampled_from([1, 1000]))).astype(np.uint32)


@st.composite
def probability_volumes(draw: st.DrawFn) -> np.ndarray:
    mask = draw(masks())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = rng.integers(0, 150, mask.shape), rng.integers(100, 256, mask.shape)
    return np.where(mask, high, low).astype(np.uint8)


def _balls(size: tuple[int, ...], rng: np.random.Generator, *, shell: bool) -> np.ndarray:
    grid = np.indices(size)
    out = np.zeros(size, dtype=bool)
    for _ in range(rng.integers(1, 5)):
        centre = rng.uniform(0, size).reshape(3, 1, 1, 1)
        distance = np.sqrt(((grid - centre) ** 2).sum(axis=0))
        radius = rng.uniform(1, 6)
        ball = distance < radius
        out |= ball & (distance > radius - 1.5) if shell else ball
    return out
