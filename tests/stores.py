"""Stores of noise, for tests that do not care what is in them, and a watch over their files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from inference_fakes import random_image
from numpy.typing import NDArray

from fibseg import postprocess
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume

OBJECTS: dict[str, Any] = {
    "threshold": partial(postprocess.threshold, level=0.5),
    "components": partial(postprocess.components, connectivity=26, min_voxels=0),
}


def noise_store(
    path: Path, *, shape: Shape, seed: int = 0, spacing: Spacing = (20.0, 20.0, 20.0),
    ome_version: Any = "0.5", image: NDArray[np.uint8] | None = None,
    **probabilities: NDArray[np.uint8],
) -> Volume:
    """Store with a raw image, a random one if none is given, and with these probabilities."""
    store = Volume.create(
        path, shape=shape, dtype=np.uint8, spacing=spacing, polarity="dark",
        ome_version=ome_version,
    )
    store.raw()[:] = random_image(shape, seed=seed) if image is None else image
    finish_raw(store)
    for name, voxels in probabilities.items():
        product = store.create_probabilities(name, inputs="none")
        product.array[:] = voxels
        finish_product(product)
    return store


@contextlib.contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Context in which no file below `folder` may be made, written or removed."""
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    yield
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def add_painting(volume: Volume, name: str) -> None:
    """Background everywhere."""
    paint = volume.create_labels(name, kind="annotation", dtype="uint8", inputs="x")
    paint.array[:] = 1
    finish_product(paint)
