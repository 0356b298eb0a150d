"""Hypothesis strategies: masks, label volumes, images, spacings and block shapes."""

from __future__ import annotations

from collections.abc import Callable
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
def block_shapes(draw: st.DrawFn, low: int = 2) -> tuple[int, int, int]:
    return tuple(draw(st.integers(low, 9)) for _ in range(3))


@st.composite
def masks(draw: st.DrawFn, shape: Any = None) -> np.ndarray:
    """Noise, blobs, thin shells, what winds through all blocks, or nothing: it breaks seams."""
    size = draw(shapes()) if shape is None else shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["noise", "blobs", "shells", *ADVERSARIES]))
    if kind in ADVERSARIES:
        return ADVERSARIES[kind](size)
    if kind == "noise":
        return rng.random(size) < draw(st.sampled_from([0.05, 0.2, 0.35, 0.6, 0.95]))
    return _balls(size, rng, shell=kind == "shells")


@st.composite
def label_volumes(draw: st.DrawFn, high: int = SIDES[1]) -> np.ndarray:
    """Objects with gaps in their numbers; an object may be in several pieces."""
    size = draw(shapes(high=high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = rng.integers(0, draw(st.sampled_from([2, 5, 300])), size=size)
    coarse = draw(st.booleans())
    if coarse:
        ids = np.kron(ids, np.ones((3, 3, 3), dtype=int))[: size[0], : size[1], : size[2]]
    return (ids * draw(st.sampled_from([1, 1000]))).astype(np.uint32)


@st.composite
def sparse_labels(draw: st.DrawFn, high: int = SIDES[1]) -> np.ndarray:
    """Objects with room between them, down to single voxels and nothing."""
    labels = draw(label_volumes(high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels[rng.random(labels.shape) > draw(st.sampled_from([0.0, 0.01, 0.1, 0.5]))] = 0
    return labels


@st.composite
def touching_objects(draw: st.DrawFn) -> np.ndarray:
    """Balls that merge into one object, beside slabs, specks and an object in pieces."""
    size = draw(shapes(low=6, high=20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = np.zeros(size, dtype=np.uint32)
    for label in (3, 70_000, 5):
        labels[_balls(size, rng, shell=False)] = label
    if draw(st.booleans()):
        labels[-2:] = 9
    return labels


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


def _snake(size: tuple[int, ...]) -> np.ndarray:
    """One component that comes back to every part of the volume."""
    out = np.zeros(size, dtype=bool)
    out[::2, ::2] = True
    out[::2, 1::4, -1] = out[::2, 3::4, 0] = True
    out[1::4, 0, 0] = out[3::4, 0, -1] = True
    return out


def _corner(size: tuple[int, ...]) -> np.ndarray:
    """A single voxel, as far away as can be from most blocks."""
    out = np.zeros(size, dtype=bool)
    out[-1, 0, -1] = True
    return out


ADVERSARIES: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "empty": lambda size: np.zeros(size, dtype=bool),
    "full": lambda size: np.ones(size, dtype=bool),
    "checkers": lambda size: np.indices(size).sum(axis=0) % 2 == 0,
    "snake": _snake,
    "corner": _corner,
}
