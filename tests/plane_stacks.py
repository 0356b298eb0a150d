"""Painted planes without an image, for tests of what is held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fibseg.data import Normalisation, PlaneStack

ONE = {"mitochondria": 2}


def stack(
    annotation: NDArray[np.uint8], z: list[int], *, name: str = "a", factor: int = 1
) -> PlaneStack:
    """Planes without an image."""
    working = (20.0, 20.0 * factor, 20.0 * factor)
    return PlaneStack(
        name, tuple(z), np.zeros_like(annotation), np.arange(len(z))[:, None], annotation,
        Normalisation(0, 1, invert=False),
        (max(z) + 1, annotation.shape[1] * factor, annotation.shape[2] * factor),
        (20.0, 20.0, 20.0), working,
    )


def both(n: int, size: int = 8) -> NDArray[np.uint8]:
    """Planes with background and class in every one."""
    annotation = np.ones((n, size, size), np.uint8)
    annotation[:, 2:5, 2:5] = 2
    return annotation
