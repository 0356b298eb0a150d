"""Patches on rotated planes: of a densely labelled part of a volume, cut out one by one.

A rotated copy of the stack is never made. Each patch is sampled where it lies: the image by linear
interpolation, the labels voxel by voxel; outside of the part the image is mirrored and the labels
are unknown. All lengths are nm, so planes of anisotropic volumes lie as in the cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.data.augment import crop_half
from fibseg.data.normalise import Normalisation, normalise
from fibseg.data.patches import JITTER, WHERE, Crop, key
from fibseg.data.sparse import SparseData
from fibseg.errors import DataError
from fibseg.geometry import (
    Orientation,
    plane_points,
    random_orientation,
    sample_labels,
    sample_linear,
    study_orientations,
    within_volume,
)
from fibseg.types import Spacing

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelledPart:
    """A part of a volume, raw and annotated.

    Parameters
    ----------
    name
        Of the volume.
    image
        In the raw's own units, (z, y, x).
    annotation
        Of the same shape, uint8: 0 unlabelled, 1 background, 2… classes.
    normalisation
        That of the whole volume.
    spacing
        nm.
    """

    name: str
    image: NDArray[Any]
    annotation: NDArray[np.uint8]
    normalisation: Normalisation
    spacing: Spacing


class ObliquePatches:
    """Draws and cuts the patches of any step from planes at any angle.

    Parameters
    ----------
    parts
        Where patches come from.
    n_channels
        Background and classes.
    data
        Patch, batch, balance.
    pixel_nm
        Side of a pixel.
    context
        Neighbouring planes on each side, as channels, one pixel apart.
    orientations
        Those of the planes; None for any, each as likely.
    every
        Planes of one orientation are this many pixels apart; 0 for planes anywhere.
    seed, rank
        As in `fibseg.data.Patches`.

    Raises
    ------
    DataError
        If a class has no voxel to train on.
    """

    def __init__(
        self, parts: Sequence[LabelledPart], *, n_channels: int, data: SparseData,
        pixel_nm: float, context: int = 0, orientations: Sequence[Orientation] | None = None,
        every: int = 0, seed: int = 0, rank: int = 0,
    ) -> None:
        self.parts, self.data, self.seed, self.rank = parts, data, seed, rank
        self.n_channels, self.pixel_nm, self.context = n_channels, pixel_nm, context
        self.orientations, self.every = orientations, every
        self.half = crop_half(data.patch)
        self._rows, counts = _labelled_rows(parts, n_channels)
        self._cumulative = np.cumsum(counts, axis=0)
        if not len(counts) or (self._cumulative[-1] == 0).any():
            empty = int(np.argmin(self._cumulative[-1])) + 1 if len(counts) else 1
            raise DataError(
                f"No voxel of value {empty} is left to train on in {[p.name for p in parts]}. "
                "Label more, or use another split."
            )

    def batch(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
        """Crops of a step: image (b, c, s, s), annotation and inside (b, s, s)."""
        crops = [self.crop(*self.place(step, slot)) for slot in range(self.data.batch)]
        image, annotation, inside = (np.stack(part) for part in zip(*crops, strict=True))
        return image, annotation, inside

    def place(self, step: int, slot: int) -> tuple[int, Orientation, Floats]:
        """Part, orientation and centre (nm) of one patch."""
        number = self.rank * self.data.batch + slot
        random = np.random.default_rng(key(self.seed, step, number, WHERE))
        part, voxel = self._labelled(random)
        if self.orientations is None:
            orientation = random_orientation(random)
        else:
            orientation = self.orientations[int(random.integers(len(self.orientations)))]
        centre = orientation.to_stack(voxel * self.parts[part].spacing)
        reach = self.data.patch * JITTER * self.pixel_nm
        centre[1:] += random.uniform(-reach, reach, 2)
        if self.every:
            step_nm = self.every * self.pixel_nm
            centre[0] = np.round(centre[0] / step_nm) * step_nm
        return part, orientation, orientation.to_volume(centre)

    def crop(self, part: int, orientation: Orientation, centre_nm: Floats) -> Crop:
        """One crop."""
        source, side = self.parts[part], 2 * self.half
        planes = [
            plane_points(
                orientation, centre_nm, shape=(side, side), pixel_nm=self.pixel_nm,
                offset_nm=offset * self.pixel_nm,
            )
            for offset in range(-self.context, self.context + 1)
        ]
        points = planes[self.context]
        image = np.stack([sample_linear(source.image, p, spacing=source.spacing) for p in planes])
        annotation = sample_labels(source.annotation, points, spacing=source.spacing)
        inside = within_volume(points, shape=source.annotation.shape, spacing=source.spacing)
        return normalise(image, source.normalisation), annotation, inside.astype(np.uint8)

    def _labelled(self, random: np.random.Generator) -> tuple[int, Floats]:
        """Part and voxel of a class, each class as likely, or of background."""
        is_class = random.random() < self.data.foreground
        channel = int(random.integers(1, self.n_channels)) if is_class else 0
        cumulative = self._cumulative[:, channel]
        row = int(np.searchsorted(cumulative, random.integers(cumulative[-1]), side="right"))
        part, z, y = (int(v) for v in self._rows[row])
        x = np.flatnonzero(self.parts[part].annotation[z, y] == channel + 1)
        return part, np.array([z, y, x[random.integers(len(x))]], float)


def study_patches(parts: Sequence[LabelledPart], **settings: Any) -> ObliquePatches:
    """Patches on the planes of the case study: every 5th along seven orientations."""
    return ObliquePatches(parts, orientations=study_orientations(), every=5, **settings)


def _labelled_rows(
    parts: Sequence[LabelledPart], n_channels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(part, z, y) of every labelled row, and its number of voxels of each channel."""
    where, counts = [np.zeros((0, 3), np.int64)], [np.zeros((0, n_channels), np.int64)]
    for i, part in enumerate(parts):
        for z, plane in enumerate(part.annotation):
            n = np.stack([(plane == c + 1).sum(1) for c in range(n_channels)], 1)
            y = np.flatnonzero(n.any(1))
            where.append(np.stack([np.full_like(y, i), np.full_like(y, z), y], 1))
            counts.append(n[y])
    return np.concatenate(where), np.concatenate(counts)
