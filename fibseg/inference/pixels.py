"""A pixel classifier on one volume: raw voxels of a box in, probabilities on level 0 out.

The first forest sees every voxel of a coarse level. Where the classes of neighbouring voxels
differ, a second one, with smaller features, decides about the voxels of the next finer level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.blocks import Grid
from fibseg.data import Normalisation, normalise, refuse_not_finite
from fibseg.geometry import Box, downsample_mean
from fibseg.inference.forest import Forest
from fibseg.inference.interpolate import enlarged
from fibseg.inference.pixel_plan import PixelPlan, Stage, around, finer
from fibseg.models.features import pixel_features

Floats = NDArray[np.float32]
SLAB = 16
"""Planes of level 0 that are interpolated together."""

TILES = {"volume": (64, 128, 128), "border": (32, 64, 64)}
"""Voxels whose features are computed together; larger ones take more memory."""


class PixelClassifier:
    """Forests, plan and intensities, ready to compute.

    Parameters
    ----------
    forests
        ONNX files by stage, as `fibseg.export.load_forests` gives them.
    n_classes
        Number of classes without background.
    plan
        From `fibseg.inference.plan_pixels`.
    normalisation
        That of the volume.
    """

    def __init__(
        self, forests: Mapping[str, bytes], *, n_classes: int, plan: PixelPlan,
        normalisation: Normalisation,
    ) -> None:
        self.plan, self.n_classes = plan, n_classes
        self._normalisation = normalisation
        self._forests = {stage: Forest(data) for stage, data in forests.items()}

    def box(self, raw: NDArray[Any], read: Box, write: Box) -> tuple[NDArray[np.uint8], ...]:
        """Probabilities, uint8, 0 to 255, of the voxels `write` of level 0, one array per class.

        Parameters
        ----------
        raw
            Voxels of the source level, of the box `read`.
        read
            ``plan.read_box(write)`` or more.
        """
        refuse_not_finite(raw, read)
        near = self.plan.near(write)
        border, source = self.plan.border, self.plan.source
        if border is None:
            probs = self._coarse(raw, read, near)
        else:
            probs = self._refined(raw, read, near, border)
        out = np.empty((self.n_classes, *write.shape), np.uint8)
        for first in range(0, write.shape[0], SLAB):
            part = Box(
                (write.start[0] + first, *write.start[1:]),
                (min(write.start[0] + first + SLAB, write.stop[0]), *write.stop[1:]),
            )
            fine = enlarged(probs, near, part, factors=source.factors, shape=source.shape)
            fine *= np.float32(255)
            fine += np.float32(0.5)
            out[:, first : first + SLAB] = fine
        return tuple(out)

    def _coarse(self, raw: NDArray[Any], read: Box, want: Box) -> Floats:
        """Probabilities of the classes, shape (classes, z, y, x), in a box of the volume's level.

        `raw`, voxels of the box `read`, are of that level too.
        """
        probs = np.empty((self.n_classes, *want.shape), np.float32)
        self._classify("volume", self.plan.volume, raw, read, want, probs)
        return probs

    def _refined(self, raw: NDArray[Any], read: Box, want: Box, border: Stage) -> Floats:
        """Probabilities of the classes in a box of the border's level."""
        plan = self.plan
        far = around(want, plan.ratio, plan.volume.shape)
        seen = plan.volume.seen(far)
        own = raw[finer(seen, plan.ratio, border.shape).relative_to(read).slices]
        coarse = self._coarse(downsample_mean(own, factors=plan.ratio), seen, far)
        probs = enlarged(coarse, far, want, factors=plan.ratio, shape=plan.volume.shape)
        places = [
            np.arange(a, b) // f - first
            for a, b, f, first in zip(want.start, want.stop, plan.ratio, far.start, strict=True)
        ]
        unsure = near_border(coarse)[np.ix_(*places)]
        self._classify("border", border, raw, read, want, probs, unsure)
        return probs

    def _classify(
        self, name: str, stage: Stage, raw: NDArray[Any], read: Box, want: Box, probs: Floats,
        where: NDArray[np.bool_] | None = None,
    ) -> None:
        """Write the probabilities of the classes, in a box or `where` in it, into `probs`."""
        grid = Grid.over(want.shape, TILES[name])
        for tile in map(grid.box, range(len(grid))):
            chosen = np.ones(tile.shape, bool) if where is None else where[tile.slices]
            if not chosen.any():
                continue
            whole = tile.shift(want.start)
            seen = stage.seen(whole)
            image = normalise(raw[seen.relative_to(read).slices], self._normalisation)
            features = pixel_features(image, sigmas_nm=stage.sigmas_nm, spacing=stage.spacing)
            rows = features[(slice(None), *whole.relative_to(seen).slices)][:, chosen]
            found = self._forests[name](rows)[1:]  # the first is background
            for of_class, values in zip(probs, found, strict=True):
                of_class[tile.slices][chosen] = values


def near_border(probs: Floats) -> NDArray[np.bool_]:
    """Voxels that differ in their likeliest class, or background, from one of 26 neighbours.

    Parameters
    ----------
    probs
        Of the classes, without background; shape (classes, z, y, x).

    >>> near_border(np.array([[[[0.1, 0.2, 0.4, 0.6]]]], np.float32)).tolist()
    [[[False, False, True, True]]]
    """
    rest = 1 - probs.sum(axis=0, keepdims=True)
    winner = np.concatenate([rest, probs]).argmax(axis=0).astype(np.uint8)
    most = ndimage.maximum_filter(winner, size=3, mode="nearest")
    return np.asarray(most != ndimage.minimum_filter(winner, size=3, mode="nearest"))
