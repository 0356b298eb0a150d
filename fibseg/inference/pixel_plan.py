"""On which pyramid levels a pixel classifier works, and which voxels it needs for a box.

::

    level 0            |    write    |                 written: probabilities
    border level      ||   border    ||                a second forest, where the first is unsure
    volume level    |     ||       ||     |            the first forest, with the reach of features
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fibseg.errors import UsageError
from fibseg.export import ForestSpec
from fibseg.geometry import Box
from fibseg.inference.plan import Pyramid
from fibseg.models.features import feature_halo
from fibseg.types import Shape, Spacing


@dataclass(frozen=True)
class Stage:
    """A forest on one level of the pyramid.

    Parameters
    ----------
    level
        Number of the level.
    shape
        Its voxels.
    factors
        Voxels of level 0 in a voxel of it, per axis.
    sigmas_nm
        Gaussians of the features.
    spacing
        Its voxel, nm.
    """

    level: int
    shape: Shape
    factors: Shape
    sigmas_nm: tuple[float, ...]
    spacing: Spacing

    @property
    def halo(self) -> Shape:
        """Voxels of the level that the features of a voxel reach to."""
        return feature_halo(self.sigmas_nm, self.spacing)

    def seen(self, box: Box) -> Box:
        """Voxels of the level that the features of `box` depend on."""
        return box.grow(self.halo).clip(self.shape)


@dataclass(frozen=True)
class PixelPlan:
    """How one pixel classifier runs on one volume; nothing in it depends on blocks.

    Parameters
    ----------
    shape
        Voxels of level 0.
    volume
        Where every voxel is classified.
    border
        Where the voxels near a border are classified again, the next finer level; None where
        there is none.
    """

    shape: Shape
    volume: Stage
    border: Stage | None

    @property
    def source(self) -> Stage:
        """The level that is read; what is coarser is made of it."""
        return self.border or self.volume

    @property
    def level(self) -> int:
        """Pyramid level that is read."""
        return self.source.level

    @property
    def ratio(self) -> Shape:
        """Voxels of the source in a voxel of the volume's level, per axis."""
        z, y, x = (
            a // b for a, b in zip(self.volume.factors, self.source.factors, strict=True)
        )
        return z, y, x

    def near(self, write: Box) -> Box:
        """Voxels of the source that the probabilities of `write` are interpolated between."""
        return around(write, self.source.factors, self.source.shape)

    def read_box(self, write: Box) -> Box:
        """Voxels of the source that the voxels `write` of level 0 depend on."""
        if write.size == 0:
            return Box(write.start, write.start)
        near = self.near(write)
        if self.border is None:
            return self.volume.seen(near)
        coarse = self.volume.seen(around(near, self.ratio, self.volume.shape))
        return _hull(self.border.seen(near), finer(coarse, self.ratio, self.border.shape))

    def block_shape(self, shards: Sequence[int]) -> Shape:
        """Voxels per block: as many shards as make the halo a small part of what is read."""
        z, y, x = (
            min(n, math.ceil(least * f / shard) * shard)
            for n, least, f, shard in zip(
                self.shape, LEAST, self.volume.factors, shards, strict=True
            )
        )
        return z, y, x


LEAST = (16, 64, 128)
"""Voxels of the volume's level that a block covers at least, if the volume has them."""


def plan_pixels(spec: ForestSpec, volume: Pyramid) -> PixelPlan:
    """Plan of a pixel classifier on `volume`: the coarsest level that is fine enough.

    Raises
    ------
    UsageError
        If the precision asked for is far finer than the voxels.
    """
    level = coarsest_within(volume, spec.precision_nm)
    border = None
    if level > 0 and spec.sigmas_nm["border"]:
        border = _stage(volume, level - 1, spec.sigmas_nm["border"])
    return PixelPlan(volume.shape, _stage(volume, level, spec.sigmas_nm["volume"]), border)


def coarsest_within(volume: Pyramid, precision_nm: float) -> int:
    """Coarsest level with voxels of at most `precision_nm`, except along axes that are never finer.

    Raises
    ------
    UsageError
        If even level 0 is more than twice as coarse along its finest axis.
    """
    finest = min(volume.spacing)
    if not 0 < precision_nm < math.inf or precision_nm * 2 < finest:
        raise UsageError(
            f"precision_nm={precision_nm:g}, but the voxels of the volume are {finest:g} nm and "
            f"more. Use precision_nm={2 * finest:g} or so."
        )
    best = 0
    for level in range(1, volume.n_levels):
        at = volume.level_spacing(level)
        pairs = zip(at, volume.spacing, strict=True)
        if all(a <= precision_nm * (1 + 1e-6) or a == s for a, s in pairs):
            best = level
    return best


def around(box: Box, factors: Sequence[int], shape: Sequence[int]) -> Box:
    """Voxels of a coarser grid that hold `box`, and one more on each side.

    >>> around(Box((4,), (8,)), (2,), (100,))
    Box(start=(1,), stop=(5,))
    """
    start = tuple(a // f for a, f in zip(box.start, factors, strict=True))
    stop = tuple(-(-b // f) for b, f in zip(box.stop, factors, strict=True))
    return Box(start, stop).grow((1,) * len(start)).clip(shape)


def finer(box: Box, factors: Sequence[int], shape: Sequence[int]) -> Box:
    """The voxels of a finer grid in `box` of a coarser one.

    >>> finer(Box((1,), (5,)), (2,), (9,))
    Box(start=(2,), stop=(9,))
    """
    start = tuple(a * f for a, f in zip(box.start, factors, strict=True))
    stop = tuple(b * f for b, f in zip(box.stop, factors, strict=True))
    return Box(start, stop).clip(shape)


def _stage(volume: Pyramid, level: int, sigmas_nm: tuple[float, ...]) -> Stage:
    """A level of the volume, with what is computed on it."""
    at = volume.level_spacing(level)
    z, y, x = (round(a / b) for a, b in zip(at, volume.spacing, strict=True))
    n_z, n_y, n_x = (int(n) for n in volume.raw(level).shape)
    return Stage(level, (n_z, n_y, n_x), (z, y, x), sigmas_nm, at)


def _hull(a: Box, b: Box) -> Box:
    """Smallest box around two."""
    return Box(
        tuple(map(min, a.start, b.start)), tuple(map(max, a.stop, b.stop))
    )
