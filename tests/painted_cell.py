"""Small stores with blobs to find and sparse painting of them, for tests of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume


def blobs(shape: Shape, *, n_classes: int = 1, seed: int = 0) -> NDArray[np.uint8]:
    """0 for background, 1… for classes: smooth blobs of about a fifth of the volume each."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    for value in range(n_classes, 0, -1):
        field = ndimage.gaussian_filter(random.standard_normal(shape), (1, 5, 5))
        labels[field > np.quantile(field, 0.8)] = value
    return labels


def make_cell(
    path: Path, *, shape: Shape = (12, 80, 80), planes: Sequence[int] = (0, 4, 8),
    n_classes: int = 1, seed: int = 0, spacing: Spacing = (20.0, 20.0, 20.0),
    painted: tuple[slice, slice] = (slice(4, 76), slice(4, 76)),
    annotation: NDArray[np.uint8] | None = None, classes: dict[str, int] | None = None,
    name: str = "mitochondria",
) -> Volume:
    """Store in which each class has its own darkness, painted on some planes."""
    labels = blobs(shape, n_classes=n_classes, seed=seed)
    random = np.random.default_rng(seed + 1)
    image = 200.0 - 120.0 * labels / n_classes + random.normal(0, 12, shape)
    volume = Volume.create(path, shape=shape, dtype=np.uint8, spacing=spacing, polarity="dark")
    volume.raw()[:] = image.clip(0, 255).astype(np.uint8)
    finish_raw(volume)
    if annotation is None:
        annotation = np.zeros(shape, np.uint8)
        for z in planes:
            annotation[z][painted] = labels[z][painted] + 1
    if classes is None:
        names = [name] if n_classes == 1 else [f"class_{i}" for i in range(n_classes)]
        classes = {n: i + 2 for i, n in enumerate(names)}
    product = volume.create_labels(
        name, kind="annotation", dtype=np.uint8, inputs=f"{seed}", classes=classes
    )
    product.array[:] = annotation
    finish_product(product)
    return volume
