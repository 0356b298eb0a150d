"""Half-open boxes of voxels: the one way in which fibseg names a part of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Box:
    """The voxels with ``start <= index < stop`` along every axis.

    >>> Box((0, 4), (2, 8)).grow((1, 1)).clip((3, 100))
    Box(start=(0, 3), stop=(3, 9))
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """Box of a whole array of `shape`."""
        return cls((0,) * len(shape), tuple(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along every axis, never negative."""
        return tuple(max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def size(self) -> int:
        """Number of voxels."""
        n = 1
        for s in self.shape:
            n *= s
        return n

    @property
    def slices(self) -> tuple[slice, ...]:
        """Slices that cut this box out of an array."""
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def grow(self, halo: Sequence[int]) -> Box:
        """Box with `halo` voxels more on both sides of every axis."""
        return Box(
            tuple(a - h for a, h in zip(self.start, halo, strict=True)),
            tuple(b + h for b, h in zip(self.stop, halo, strict=True)),
        )

    def shift(self, offset: Sequence[int]) -> Box:
        """Box moved by `offset` voxels."""
        return Box(
            tuple(a + o for a, o in zip(self.start, offset, strict=True)),
            tuple(b + o for b, o in zip(self.stop, offset, strict=True)),
        )

    def relative_to(self, origin: Box) -> Box:
        """The same box in the index frame of an array that was cut out at `origin`."""
        return self.shift(tuple(-a for a in origin.start))

    def intersect(self, other: Box) -> Box:
        """Voxels in both boxes; the result may be empty."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(min(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, tuple(max(a, b) for a, b in zip(start, stop, strict=True)))

    def hull(self, other: Box) -> Box:
        """Smallest box with all voxels of both."""
        return Box(
            tuple(min(a, b) for a, b in zip(self.start, other.start, strict=True)),
            tuple(max(a, b) for a, b in zip(self.stop, other.stop, strict=True)),
        )

    def clip(self, shape: Sequence[int]) -> Box:
        """The part of this box inside an array of `shape`."""
        return self.intersect(Box.whole(shape))
