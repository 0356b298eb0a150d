"""The look of a raw image: histogram, flat planes, and whether stain looks dark or bright."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.pipeline.bench import OwnBox
from fibseg.types import Spacing
from fibseg.volume import Volume
from fibseg.volume.intensity import no_counts, tally

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


@dataclass(frozen=True)
class GreyValues:
    """Grey values of a part of an image; ``+`` joins two parts, whose planes may be the same.

    Attributes
    ----------
    counts
        Voxels per grey value.
    start
        First plane.
    lowest, highest
        Of every plane from there on; those of planes without a voxel exclude each other.
    """

    counts: NDArray[np.int64]
    start: int
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]

    def __add__(self, other: GreyValues) -> GreyValues:
        start = min(self.start, other.start)
        stop = max(part.start + len(part.lowest) for part in (self, other))
        lowest = np.full(stop - start, self.counts.size, np.int64)
        highest = np.full(stop - start, -1, np.int64)
        for part in (self, other):
            here = slice(part.start - start, part.start - start + len(part.lowest))
            np.minimum(lowest[here], part.lowest, out=lowest[here])
            np.maximum(highest[here], part.highest, out=highest[here])
        return GreyValues(self.counts + other.counts, start, lowest, highest)

    @property
    def constant_planes(self) -> list[int]:
        """Planes of one single grey value."""
        planes: list[int] = (np.flatnonzero(self.lowest == self.highest) + self.start).tolist()
        return planes


class GreyBlock(OwnBox):
    """Block function: the grey values of a block of uint8 or uint16."""

    def __call__(self, image: NDArray[Any], *, block: Block) -> GreyValues:
        """Histogram, and the extremes of every plane."""
        counts = no_counts(image.dtype)
        tally(counts, image)
        ends = (getattr(image, end)(axis=(1, 2)).astype(np.int64) for end in ("min", "max"))
        return GreyValues(counts, block.write.start[0], *ends)


def look_at(volume: Volume, *, runner: Runner | None = None) -> ImageLook:
    """Histogram, constant planes and polarity of the raw image.

    Parameters
    ----------
    runner
        Where blocks are looked at.
    """
    raw = volume.raw()
    found: GreyValues = reduce_blocks(
        GreyBlock(), raw, operator.add, block_shape=volume.block_shape, runner=runner,
        label="check",
    )
    constant = found.constant_planes
    return ImageLook(found.counts, constant, _dark_lines(raw, volume.spacing, constant))


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
