"""A small cell in a store: round, with a round nucleus, and whatever objects a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

SHAPE, SPACING = (40, 44, 48), (20.0, 20.0, 20.0)
MIDDLE = (20, 22, 24)


def away_nm(centre: tuple[float, float, float]) -> NDArray[np.float64]:
    """Distance of every voxel from a place in voxels."""
    steps = zip(np.indices(SHAPE), centre, SPACING, strict=True)
    found: NDArray[np.float64] = np.sqrt(sum(((n - c) * s) ** 2 for n, c, s in steps))
    return found


def cell_and_nucleus() -> dict[str, NDArray[np.uint8]]:
    """Radii 380 and 140 nm."""
    away = away_nm(MIDDLE)
    return {"cell": (away < 380).astype(np.uint8), "nucleus": (away < 140).astype(np.uint8)}


def balls(n: int, *, radius_nm: tuple[float, float] = (64.0, 75.0)) -> NDArray[np.uint32]:
    """Numbered balls of growing radius on a spiral between nucleus and membrane."""
    labels = np.zeros(SHAPE, np.uint32)
    for number in range(n):
        height = 1 - 2 * (number + 0.5) / n
        turn, ring = number * np.pi * (3 - 5**0.5), np.sqrt(1 - height**2)
        out = np.array([height, ring * np.cos(turn), ring * np.sin(turn)])
        far = (260 - 40 * (number % 3 - 1)) / 20
        size = radius_nm[0] + (radius_nm[1] - radius_nm[0]) * number / max(1, n - 1)
        labels[away_nm(tuple(MIDDLE + far * out)) < size] = number + 1
    return labels


def add_labels(store: Volume, name: str, voxels: NDArray[Any], **options: Any) -> None:
    """Finished labels."""
    wanted = {"kind": "labels", "dtype": voxels.dtype, "inputs": "x", **options}
    product = store.create_labels(name, **wanted)
    product.array[:] = voxels
    finish_product(product)


def small_cell(path: Path, **labels: NDArray[Any]) -> Volume:
    """Store of cell, nucleus and these labels, which may replace the former."""
    store = Volume.create(path, shape=SHAPE, dtype=np.uint8, spacing=SPACING, polarity="dark")
    store.raw()[:] = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
    finish_raw(store)
    for name, voxels in (cell_and_nucleus() | labels).items():
        add_labels(store, name, voxels)
    return store
