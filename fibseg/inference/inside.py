"""A network inside of objects only, such as the cell: resin is neither read nor computed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.geometry import Box
from fibseg.inference.block import ModelBlocks, predictor_of
from fibseg.postprocess import signed_distance
from fibseg.types import Mask, Spacing

TILE = (32, 512, 512)
"""Voxels whose distances are held at once."""


@dataclass(frozen=True)
class InsideBlocks(ModelBlocks):
    """The folder of a network; sources are the raw and labels, at the level of the plan.

    Windows and planes without any voxel inside of the labels are left out; all voxels outside are
    0, so that the result does not depend on the windows.

    Parameters
    ----------
    inside_nm
        How far outside of the labels voxels still count; negative: how deep inside they must be.
    spacing
        Voxel of the level that is read, nm.
    within_digest
        Of the labels.
    """

    inside_nm: float = 0.0
    spacing: Spacing = (1.0, 1.0, 1.0)
    within_digest: str = ""

    def note(self) -> str:
        """As of every network, and where it looks."""
        return f"{super().note()}, up to {self.inside_nm:g} nm outside of the objects"

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Box of the level that is read: for the windows, and for the labels near."""
        box = super().read_box(write, shape)
        return box.hull(self._near(write).clip(shape)) if write.size else box

    def __call__(self, *arrays: NDArray[Any], block: Block) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities of the classes in the write box of `block`."""
        raw, labels = arrays
        return predictor_of(self).box(
            lambda box: raw[box.relative_to(block.read).slices], block.write,
            wanted=self._wanted(labels, block),
        )

    def _wanted(self, labels: NDArray[Any], block: Block) -> Mask:
        """Voxels of the write box that are inside."""
        own = self._level_box(block.write).intersect(block.read)
        found = inside(labels, own.relative_to(block.read), self.inside_nm, self.spacing)
        places = [
            np.arange(start, stop) // factor - low
            for start, stop, factor, low in zip(
                block.write.start, block.write.stop, self._factors, own.start, strict=True
            )
        ]
        if all(factor == 1 for factor in self._factors):
            return found
        wanted: Mask = found[np.ix_(*places)]
        return wanted

    @property
    def _factors(self) -> tuple[int, int, int]:
        plan = self.plan
        return plan.z.source_factor, plan.y.source_factor, plan.x.source_factor

    def _level_box(self, write: Box) -> Box:
        """The voxels of the level that the voxels `write` of level 0 lie in."""
        pairs = list(zip(write.start, write.stop, self._factors, strict=True))
        return Box(tuple(a // f for a, _, f in pairs), tuple(-(-b // f) for _, b, f in pairs))

    def _near(self, write: Box) -> Box:
        return self._level_box(write).grow(_halo(self.inside_nm, self.spacing))


def inside(labels: NDArray[Any], box: Box, inside_nm: float, spacing: Spacing) -> Mask:
    """Voxels of `box` that are no more than `inside_nm` outside of the objects.

    Parameters
    ----------
    labels
        0 outside of objects; an array that holds `box` and as much around it as there is.

    >>> row = np.array([[[0, 0, 0, 1, 1]]])
    >>> inside(row, Box.whole(row.shape), 10.0, (10.0, 10.0, 10.0)).astype(int).tolist()
    [[[0, 0, 1, 1, 1]]]
    """
    if inside_nm == 0:
        return np.asarray(labels[box.slices] != 0)
    found = np.empty(box.shape, bool)
    halo = _halo(inside_nm, spacing)
    # Farther than asked for is as far as the next voxel: the cap itself never counts as near.
    cap = abs(inside_nm) + max(spacing)
    starts = [range(a, b, t) for a, b, t in zip(box.start, box.stop, TILE, strict=True)]
    for start in itertools.product(*starts):
        tile = Box(start, tuple(a + t for a, t in zip(start, TILE, strict=True))).intersect(box)
        seen = tile.grow(halo).clip(labels.shape)
        signed = signed_distance(labels[seen.slices], max_nm=cap, spacing=spacing)
        found[tile.relative_to(box).slices] = (signed <= inside_nm)[tile.relative_to(seen).slices]
    return found


def _halo(inside_nm: float, spacing: Spacing) -> tuple[int, int, int]:
    """Voxels beside a box that decide about it."""
    if inside_nm == 0:
        return 0, 0, 0
    z, y, x = (math.ceil(abs(inside_nm) / s) + 2 for s in spacing)
    return z, y, x
