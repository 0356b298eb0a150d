"""A nucleus drawn by formula: a ball with membranes, gaps in them, and pockets behind the gaps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_cells import add_labels

from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume

SHAPE, SPACING, RADIUS_NM = (70, 70, 70), (20.0, 20.0, 20.0), 520.0
MIDDLE_NM = (np.array(SHAPE) - 1) / 2 * SPACING


def even_directions(n: int) -> NDArray[np.float64]:
    """Fibonacci points on a sphere."""
    i = np.arange(n) + 0.5
    z, turn = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z**2)
    return np.stack([z, r * np.cos(turn), r * np.sin(turn)], axis=1)


@functools.cache
def cell(n_pores: int = 24, noise: float = 10.0, pockets: bool = True) -> tuple[NDArray[Any], ...]:
    """Image (stain dark), nucleus mask and centres of pores, nm."""
    offset = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING - MIDDLE_NM
    away = np.linalg.norm(offset, axis=-1)
    depth = RADIUS_NM - away
    rng = np.random.default_rng(0)
    image = 165 - 45 * np.exp(-(((depth - 28) / 25) ** 2)) - 12 * ((depth > 60) & (depth < 160))
    for direction in even_directions(n_pores):
        along = offset @ direction
        across = np.sqrt(np.maximum(away**2 - along**2, 0))
        front = along > 0
        image[front & (across < 60) & (abs(depth - 20) < 40)] += 25
        if pockets:
            image[front & (across < 75) & (depth > 60) & (depth < 250)] += 25
    image += rng.normal(0, noise, SHAPE)
    centres = MIDDLE_NM + even_directions(n_pores) * (RADIUS_NM - 28)
    return image.clip(0, 255).astype(np.uint8), away < RADIUS_NM, centres


def pore_store(path: Path, **change: Any) -> Volume:
    """Store of that cell.

    Parameters
    ----------
    change
        Other ``image``, ``nucleus``, ``spacing``, ``polarity``; arguments of `cell`.
    """
    drawn = {key: change.pop(key) for key in ("n_pores", "noise", "pockets") if key in change}
    image, nucleus, _ = cell(**drawn)
    image, nucleus = change.get("image", image), change.get("nucleus", nucleus)
    store = Volume.create(
        path, shape=image.shape, dtype=image.dtype, spacing=change.get("spacing", SPACING),
        polarity=change.get("polarity", "dark"),
    )
    store.raw()[:] = image
    finish_raw(store)
    if nucleus is not None:
        add_labels(store, "nucleus", nucleus.astype(np.uint8))
    return store


def places_nm(table: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Places of a table, (n, 3)."""
    return np.stack([table[f"{a}_um"] for a in "zyx"], axis=1) * 1000
