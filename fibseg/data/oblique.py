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
from fibseg.data.labelled import LabelledRows
from fibseg.data.normalise import Normalisation, normalise
from fibseg.data.patches import ALL, JITTER, WHERE, Crop, key
from fibseg.data.share import Share
from fibseg.data.sparse import SparseData
from fibseg.geometry import (
    Orientation,
    plane_points,
    random_orientation,
    sample_labels,
    sample_linear,
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
    seed, share
        As in `fibseg.data.Patches`.

    Raises
    ------
    DataError
        If a class has no voxel to train on.
    """

    def __init__(
        self, parts: Sequence[LabelledPart], *, n_channels: int, data: SparseData,
        pixel_nm: float, context: int = 0, orientations: Sequence[Orientation] | None = None,
        every: int = 0, seed: int = 0, share: Share = ALL,
    ) -> None:
        self.parts, self.data, self.seed, self.share = parts, data, seed, share
        self.pixel_nm, self.context = pixel_nm, context
        self.orientations, self.every = orientations, every
        self.half = crop_half(data.patch)
        self.rows = LabelledRows(
            [p.annotation for p in parts], n_channels, names=[p.name for p in parts],
            balance=data.balance,
        )

    def batch(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
        """Crops of a step: image (b, c, s, s), annotation and inside (b, s, s)."""
        slots = self.share.rows(self.data.batch)
        crops = [self.crop(*self.place(step, slot)) for slot in slots]
        image, annotation, inside = (np.stack(part) for part in zip(*crops, strict=True))
        return image, annotation, inside

    def place(self, step: int, slot: int) -> tuple[int, Orientation, Floats]:
        """Part, orientation and centre (nm) of one patch."""
        random = np.random.default_rng(key(self.seed, step, slot, WHERE))
        part, voxel = self.rows.draw(random, foreground=self.data.foreground)
        if self.orientations is None:
            orientation = random_orientation(random)
        else:
            orientation = self.orientations[int(random.integers(len(self.orientations)))]
        centre = orientation.to_stack(np.multiply(voxel, self.parts[part].spacing))
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
