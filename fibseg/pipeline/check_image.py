"""The look of a raw image: histogram, flat planes, and whether stain looks dark or bright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fibseg.geometry import Box
from fibseg.progress import track
from fibseg.types import Spacing
from fibseg.volume import Volume

MEMBRANE_NM = 15.0
SURE = 0.06
PLANES_LOOKED_AT = 9
CROP = 1024


@dataclass(frozen=True)
class ImageLook:
    """What one pass over the raw image finds.

    Attributes
    ----------
    counts
        Voxels per grey value.
    constant_planes
        Planes of one single grey value.
    dark_lines
        Surplus of dark over bright lines, -1 to 1; see `line_polarity`.
    """

    counts: NDArray[np.int64]
    constant_planes: list[int]
    dark_lines: float

    @property
    def guess(self) -> str:
        """Polarity that the image looks like: dark, bright, or unsure."""
        if abs(self.dark_lines) < SURE:
            return "unsure"
        return "dark" if self.dark_lines > 0 else "bright"

    @property
    def span(self) -> int:
        """Number of grey values between the 0.5th and the 99.5th percentile."""
        upto = np.cumsum(self.counts) / max(1, self.counts.sum())
        low, high = np.searchsorted(upto, [0.005, 0.995])
        return int(high - low) + 1

    @property
    def clipped(self) -> tuple[float, float]:
        """Share of voxels at the lowest and at the highest grey value that occurs."""
        there = np.flatnonzero(self.counts)
        total = self.counts.sum()
        return float(self.counts[there[0]] / total), float(self.counts[there[-1]] / total)


def look_at(volume: Volume) -> ImageLook:
    """Histogram, constant planes and polarity of the raw image, read shard by shard."""
    raw = volume.raw()
    counts = np.zeros(np.iinfo(volume.dtype).max + 1, np.int64)
    lowest = np.full(volume.shape[0], counts.size, np.int64)
    highest = np.full(volume.shape[0], -1, np.int64)
    boxes = tiles(volume.shape, volume.block_shape)
    for box in track(boxes, total=len(boxes), label="check", unit="block"):
        block = np.asarray(raw[box.slices])
        for k, plane in enumerate(block, start=box.start[0]):
            counts += np.bincount(plane.ravel(), minlength=counts.size)
            lowest[k] = min(lowest[k], int(plane.min()))
            highest[k] = max(highest[k], int(plane.max()))
    constant = np.flatnonzero(lowest == highest).tolist()
    return ImageLook(counts, constant, _dark_lines(raw, volume.spacing, constant))


def tiles(shape: tuple[int, ...], block: tuple[int, ...]) -> list[Box]:
    """Boxes of `block` that tile an array of `shape`, clipped at its end, in (z, y, x) order."""
    grid = np.ndindex(*(-(-n // b) for n, b in zip(shape, block, strict=True)))
    starts = [tuple(i * b for i, b in zip(index, block, strict=True)) for index in grid]
    return [
        Box(s, tuple(a + b for a, b in zip(s, block, strict=True))).clip(shape) for s in starts
    ]


def line_polarity(plane: NDArray[Any], *, spacing: Spacing) -> float:
    """Surplus of dark over bright lines in a plane, -1 (all bright) to 1 (all dark).

    Stained membranes are thin lines, whatever the share of dark organelles or of empty resin,
    so the curvature across them tells the polarity where the histogram does not: of the larger
    eigenvalue of the Hessian at the scale of a membrane, where the other one is less than half
    of it, fourth powers are summed by sign. 0 for a plane without lines.
    """
    image = plane.astype(np.float32)
    sigma = [max(1.0, MEMBRANE_NM / s) for s in spacing[1:]]
    yy, xx, xy = (gaussian_filter(image, sigma, order=o) for o in ((2, 0), (0, 2), (1, 1)))
    mean = (yy + xx) / 2
    radius = np.hypot((yy - xx) / 2, xy)
    above, below = mean + radius, mean - radius
    across = np.where(np.abs(above) > np.abs(below), above, below)
    along = above + below - across
    lines = np.where(2 * np.abs(along) < np.abs(across), across, 0)
    limit = np.percentile(np.abs(lines), 99.9)
    if limit == 0:
        return 0.0
    power = (np.clip(lines / limit, -1, 1) ** 4) * np.sign(lines)
    return float(power.sum() / np.abs(power).sum())


def _dark_lines(raw: Any, spacing: Spacing, constant: list[int]) -> float:
    """`line_polarity` averaged over the middle of some planes."""
    depth, height, width = raw.shape
    chosen = np.unique(np.linspace(0, depth - 1, PLANES_LOOKED_AT).round().astype(int))
    y, x = max(0, (height - CROP) // 2), max(0, (width - CROP) // 2)
    scores = [
        line_polarity(np.asarray(raw[int(z), y : y + CROP, x : x + CROP]), spacing=spacing)
        for z in chosen if int(z) not in constant
    ]  # fmt: skip
    return float(np.mean(scores)) if scores else 0.0
