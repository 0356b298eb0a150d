"""Halving of arrays for image pyramids: mean of intensities, mode of labels, paint kept.

Factors are 1 or 2 per axis. At an odd border the last voxel counts for its missing partner, which
makes a result there exactly the mean or mode of the voxels that exist.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.types import Image, Labels, Spacing

ISOTROPIC_WITHIN = 1.4
"""An axis is halved while its spacing is at most this many times the finest spacing."""

Views = list[NDArray[Any]]


def halving_factors(shape: Sequence[int], spacing: Spacing) -> tuple[int, int, int]:
    """Factor per axis, 1 or 2, that brings voxels of `spacing` nearer to cubes.

    Only axes with more than one voxel count, and only those at most 1.4 times as coarse as the
    finest one are halved.

    >>> halving_factors((40, 900, 900), (50.0, 10.0, 10.0))
    (1, 2, 2)
    >>> halving_factors((40, 225, 225), (50.0, 40.0, 40.0))
    (2, 2, 2)
    """
    finest = min((s for n, s in zip(shape, spacing, strict=True) if n > 1), default=0.0)
    z, y, x = (
        2 if n > 1 and s <= ISOTROPIC_WITHIN * finest else 1
        for n, s in zip(shape, spacing, strict=True)
    )
    return z, y, x


def downsample_mean(image: Image, *, factors: Sequence[int]) -> Image:
    """Mean of every group of voxels, shape ``ceil(n / factor)`` per axis, dtype of `image`.

    Integers are rounded half up, without passing through floating point.

    >>> downsample_mean(np.array([[[0, 1, 7]]], np.uint8), factors=(1, 1, 2)).tolist()
    [[[1, 7]]]
    """
    views = _views(image, factors)
    if image.dtype.kind == "f":
        mean = sum(v.astype(np.float64) for v in views) / len(views)
        return np.asarray(mean, dtype=image.dtype)
    wide = np.uint64 if image.dtype.itemsize > 2 else np.uint32
    total = np.full(views[0].shape, len(views) // 2, dtype=wide)
    for view in views:
        total += view
    return (total // len(views)).astype(image.dtype)


def downsample_mode(labels: Labels, *, factors: Sequence[int]) -> Labels:
    """Most frequent label of every group of voxels, shape ``ceil(n / factor)`` per axis.

    Of equally frequent labels an object wins over background (0), then the smaller number, so
    that the result depends on the voxels of the group alone.

    >>> downsample_mode(np.array([[[0, 3, 5, 4]]], np.uint32), factors=(1, 1, 2)).tolist()
    [[[3, 4]]]
    """
    return _vote(_views(labels, factors), last_choice=0, abstains=None)


def downsample_annotation(annotation: Labels, *, factors: Sequence[int]) -> Labels:
    """Most frequent painted value of every group; 0 only where nothing at all was painted.

    Of equally frequent values a class (2, 3, …) wins over background (1), then the smaller number.

    >>> downsample_annotation(np.array([[[0, 3, 1, 2]]], np.uint8), factors=(1, 1, 2)).tolist()
    [[[3, 2]]]
    """
    return _vote(_views(annotation, factors), last_choice=1, abstains=0)


def _views(array: NDArray[Any], factors: Sequence[int]) -> Views:
    """One strided view per voxel of a group, all of the downsampled shape."""
    if array.ndim != len(factors) or any(f not in (1, 2) for f in factors):
        raise UsageError(
            f"factors {tuple(factors)} for an array of {array.ndim} axes. "
            "Use one factor per axis, 1 or 2."
        )
    pad = [(0, -n % f) for n, f in zip(array.shape, factors, strict=True)]
    if any(after for _, after in pad) and array.size:
        array = np.pad(array, pad, mode="edge")
    offsets = itertools.product(*(range(f) for f in factors))
    return [
        array[tuple(slice(o, None, f) for o, f in zip(offset, factors, strict=True))]
        for offset in offsets
    ]


def _vote(views: Views, *, last_choice: int, abstains: int | None) -> Labels:
    """Winner per group; `last_choice` loses every draw and `abstains` never wins but alone."""
    result = views[0].copy()
    mixed = np.zeros(result.shape, dtype=bool)
    for view in views[1:]:
        mixed |= view != result
    # Nearly every group holds one value: only the others are counted.
    groups = np.stack([view[mixed] for view in views])
    if not groups.size:
        return result
    best = groups[0].copy()
    best_score = np.full(best.shape, -1, dtype=np.int8)
    for candidate in groups:
        votes = (groups == candidate).sum(axis=0, dtype=np.int8)
        score = 2 * votes + (candidate != last_choice)
        if abstains is not None:
            score = np.where(candidate == abstains, np.int8(0), score)
        better = (score > best_score) | ((score == best_score) & (candidate < best))
        best = np.where(better, candidate, best)
        best_score = np.where(better, score, best_score)
    result[mixed] = best
    return result
