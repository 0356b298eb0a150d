"""Planes on the pixels that the network works with, often coarser than those of the volume."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

SAME = 0.1
"""Pixel sizes that differ by less than this share are taken to be the same."""


def working_factor(own_nm: float, working_nm: float) -> int | None:
    """Whole number of own pixels in a working pixel, None if there is none within 10 %.

    >>> working_factor(10.0, 20.0), working_factor(10.0, 10.5), working_factor(10.0, 14.0)
    (2, 1, None)
    """
    ratio = working_nm / own_nm
    whole = max(1, round(ratio))
    return whole if abs(ratio / whole - 1) <= SAME else None


def resampled_shape(
    shape: tuple[int, int], own: tuple[float, float], working: tuple[float, float]
) -> tuple[int, int]:
    """Shape (y, x) of a plane after `resample`.

    >>> resampled_shape((101, 100), (10.0, 10.0), (20.0, 20.0))
    (51, 50)
    """
    y, x = (
        -(-n // factor) if (factor := working_factor(a, b)) else max(1, round(n * a / b))
        for n, a, b in zip(shape, own, working, strict=True)
    )
    return y, x


def resample(
    plane: NDArray[Any], own: tuple[float, float], working: tuple[float, float]
) -> NDArray[np.float32]:
    """Return float planes on working pixels, shape (…, y', x'); means where they are coarser.

    Parameters
    ----------
    plane
        Shape (…, y, x).
    own, working
        Pixel size (y, x) before and after, nm. Whole factors average blocks of pixels (the last
        one repeats the border), others are linear with antialiasing.
    """
    factors = [working_factor(a, b) for a, b in zip(own, working, strict=True)]
    target = resampled_shape((plane.shape[-2], plane.shape[-1]), own, working)
    out: NDArray[np.float32] = plane.astype(np.float32)
    fy, fx = factors
    if fy and fx:
        pad = [(0, 0)] * (plane.ndim - 2) + [
            (0, n * f - s) for n, f, s in zip(target, (fy, fx), plane.shape[-2:], strict=True)
        ]
        out = np.pad(out, pad, mode="edge") if any(b for _, b in pad) else out
        blocks = out.reshape(*out.shape[:-2], target[0], fy, target[1], fx)
        return np.asarray(blocks.mean((-3, -1)), np.float32)
    flat = torch.from_numpy(out.reshape(1, -1, *out.shape[-2:]))
    flat = functional.interpolate(
        flat, size=target, mode="bilinear", align_corners=False, antialias=True
    )
    return np.asarray(flat.numpy().reshape(*plane.shape[:-2], *target), np.float32)


def resample_annotation(
    annotation: NDArray[Any], own: tuple[float, float], working: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return the annotation on working pixels: the commonest class where half is labelled.

    Parameters
    ----------
    annotation
        One plane, shape (y, x): 0 unlabelled, 1 background, 2… classes.
    own, working
        Pixel size (y, x) before and after, nm.
    """
    if all(working_factor(a, b) == 1 for a, b in zip(own, working, strict=True)):
        return annotation.astype(np.uint8)
    values = range(1, int(annotation.max(initial=1)) + 1)
    shares = np.stack([resample(annotation == v, own, working) for v in values])
    best = (shares.argmax(0) + 1).astype(np.uint8)
    return np.where(shares.sum(0) >= 0.5, best, np.uint8(0)).astype(np.uint8)
