"""Test-time augmentation: a set of symmetries of the square is data, and one loop folds over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fibseg.errors import UsageError


@dataclass(frozen=True)
class Symmetry:
    """One way to lay down a plane: transposed or not, then mirrored along y and x."""

    transpose: bool = False
    mirror_y: bool = False
    mirror_x: bool = False

    def apply(self, images: Tensor) -> Tensor:
        """Images, shape (b, c, y, x), laid down this way."""
        turned = images.transpose(2, 3) if self.transpose else images
        return turned.flip(self._mirrored) if self._mirrored else turned

    def undo(self, images: Tensor) -> Tensor:
        """Images laid down this way, as they were."""
        turned = images.flip(self._mirrored) if self._mirrored else images
        return turned.transpose(2, 3) if self.transpose else turned

    @property
    def _mirrored(self) -> list[int]:
        return [d for d, on in ((2, self.mirror_y), (3, self.mirror_x)) if on]


_BOTH = (False, True)
SYMMETRIES: dict[str, tuple[Symmetry, ...]] = {
    "none": (Symmetry(),),
    "flips": tuple(Symmetry(False, y, x) for y in _BOTH for x in _BOTH),
    "d4": tuple(Symmetry(t, y, x) for t in _BOTH for y in _BOTH for x in _BOTH),
}
"""Sets by name: the plane as it is, its mirror images, and all eight ways to lay it down."""


def symmetries(tta: str) -> tuple[Symmetry, ...]:
    """Symmetries of the set `tta`.

    Raises
    ------
    UsageError
        If there is no such set.
    """
    if tta not in SYMMETRIES:
        raise UsageError(f"tta={tta!r} is not known. Use one of: {', '.join(SYMMETRIES)}.")
    return SYMMETRIES[tta]


def average(
    predict: Callable[[Tensor], Tensor], images: Tensor, ways: tuple[Symmetry, ...]
) -> Tensor:
    """Mean of `predict` over the ways to lay down `images`, summed in the order of `ways`."""
    total = ways[0].undo(predict(ways[0].apply(images).contiguous()))
    for way in ways[1:]:
        total = total + way.undo(predict(way.apply(images).contiguous()))
    return total if len(ways) == 1 else total / len(ways)
