"""A network inside of objects only, such as the cell: resin is not computed, and hardly read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.errors import UsageError
from fibseg.geometry import Box
from fibseg.inference.block import ModelBlocks, predictor_of
from fibseg.postprocess import signed_distance
from fibseg.types import Mask, Shape, Spacing

TILE = (32, 512, 512)
"""Voxels whose labels and distances are held at once."""

FARTHEST = 128
"""Voxels beyond which it is not looked for objects: tiles would grow by that on all sides."""


@dataclass(frozen=True)
class Present:
    """Whether there is an object, of a label image: an array of a byte per voxel.

    Parameters
    ----------
    labels
        Array of numbers, 0 outside of objects.
    """

    labels: Any

    @property
    def shape(self) -> Shape:
        """Voxels."""
        z, y, x = self.labels.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """True or false."""
        return np.dtype(bool)

    def __getitem__(self, cut: tuple[slice, slice, slice]) -> Mask:
        """Voxels of a box."""
        found: Mask = np.asarray(self.labels[cut]) != 0
        return found


@dataclass(frozen=True)
class InsideBlocks(ModelBlocks):
    """The folder of a network; sources are the raw and a `Present`, at the level of the plan.

    Windows and planes without any voxel inside of objects are left out; all voxels outside are 0,
    so that the result does not depend on the windows.

    Parameters
    ----------
    inside_nm
        How far outside of the objects voxels still count; negative: how deep inside they must be.
    spacing
        Voxel of the level that is read, nm.
    within_digest
        Of the labels.

    Raises
    ------
    UsageError
        If `inside_nm` is more than `FARTHEST` voxels.
    """

    inside_nm: float = 0.0
    spacing: Spacing = (1.0, 1.0, 1.0)
    within_digest: str = ""

    def __post_init__(self) -> None:
        if abs(self.inside_nm) > FARTHEST * min(self.spacing):
            raise UsageError(
                f"within_nm=[null,{self.inside_nm:g}] is more than {FARTHEST} voxels of "
                f"{min(self.spacing):g} nm. Use labels that are larger (postprocess.closing, "
                "postprocess.grow_regions), and a smaller range."
            )

    def note(self) -> str:
        """As of every network, and where it looks."""
        return f"{super().note()}, up to {self.inside_nm:g} nm outside of the objects"

    def read_parts(self, sources: Sequence[Any], block: Block) -> list[Any]:
        """What it is called with: raw of a part of the block, which voxels of that, and the part.

        The part holds all that is wanted. Where nothing is, no raw is read.
        """
        raw, present = sources
        wanted = self._wanted(present, block.write)
        part = bounds(wanted)
        if not part.size:
            return [None, wanted[part.slices], part]
        own = part.shift(block.write.start)
        read = self.plan.read_box(own)
        return [np.asarray(raw[read.slices]), wanted[part.slices].copy(), own]

    def __call__(self, *arrays: Any, block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        raw, wanted, part = arrays
        predictor = predictor_of(self)
        out = np.zeros((predictor.n_classes, *block.write.shape), np.uint8)
        if raw is not None:
            read, inner = self.plan.read_box(part), part.relative_to(block.write).slices
            found = predictor.box(
                lambda box: raw[box.relative_to(read).slices], part, wanted=wanted
            )
            for own, probs in zip(out, found, strict=True):
                own[inner] = probs
        return tuple(out)

    def _wanted(self, present: Any, write: Box) -> Mask:
        """Voxels of `write` that are inside."""
        factors = self.plan.z.source_factor, self.plan.y.source_factor, self.plan.x.source_factor
        pairs = list(zip(write.start, write.stop, factors, strict=True))
        level = Box(tuple(a // f for a, _, f in pairs), tuple(-(-b // f) for _, b, f in pairs))
        found = inside(present, level.clip(present.shape), self.inside_nm, self.spacing)
        if all(factor == 1 for factor in factors):
            return found
        wanted: Mask = found[np.ix_(*(
            np.arange(a, b) // f - a // f for a, b, f in pairs
        ))]
        return wanted


def inside(present: Any, box: Box, inside_nm: float, spacing: Spacing) -> Mask:
    """Voxels of `box` that are no more than `inside_nm` outside of objects.

    Parameters
    ----------
    present
        Array of whole objects, 0 outside of them, that is read in small boxes.

    >>> row = np.array([[[0, 0, 0, 1, 1]]])
    >>> inside(row, Box.whole(row.shape), 10.0, (10.0, 10.0, 10.0)).astype(int).tolist()
    [[[0, 0, 1, 1, 1]]]
    """
    found = np.empty(box.shape, bool)
    for start in itertools.product(
        *(range(a, b, t) for a, b, t in zip(box.start, box.stop, TILE, strict=True))
    ):
        tile = Box(start, tuple(a + t for a, t in zip(start, TILE, strict=True))).intersect(box)
        found[tile.relative_to(box).slices] = _inside_tile(present, tile, inside_nm, spacing)
    return found


def _inside_tile(present: Any, tile: Box, inside_nm: float, spacing: Spacing) -> Mask:
    if inside_nm == 0:
        return np.asarray(present[tile.slices] != 0)
    # Farther than asked for is as far as the next voxel: the cap itself never counts as near.
    cap = abs(inside_nm) + max(spacing)
    seen = tile.grow([math.ceil(cap / s) + 1 for s in spacing]).clip(present.shape)
    signed = signed_distance(present[seen.slices], max_nm=cap, spacing=spacing)
    near: Mask = (signed <= inside_nm)[tile.relative_to(seen).slices]
    return near


def bounds(mask: Mask) -> Box:
    """Smallest box with all that is true; an empty one if nothing is.

    >>> bounds(np.array([[False, True, True, False], [False] * 4]))
    Box(start=(0, 1), stop=(1, 3))
    """
    start, stop = [], []
    for axis in range(mask.ndim):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        there = np.flatnonzero(mask.any(others))
        start.append(int(there[0]) if len(there) else 0)
        stop.append(int(there[-1]) + 1 if len(there) else 0)
    return Box(tuple(start), tuple(stop))
