"""Densely labelled parts of volumes as a source of rotated planes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.data.dense import as_annotation, is_objects, painting
from fibseg.data.normalise import Normalisation
from fibseg.data.oblique import LabelledPart, ObliquePatches
from fibseg.data.oblique_data import ObliqueData
from fibseg.data.patches import ALL
from fibseg.data.planes import allocate, mirrored
from fibseg.data.share import Share
from fibseg.data.source import HeldOutPlane, labelled
from fibseg.data.space import SpaceSplit, labelled_cells, split_space
from fibseg.errors import DataError
from fibseg.geometry import Box, finest_nm

if TYPE_CHECKING:
    from fibseg.volume import Volume

logger = logging.getLogger("fibseg.data")
SAME = 0.01
"""Finest voxel sides that differ by less than this share count as equal."""


@dataclass(frozen=True, eq=False)
class RotatedPlanes:
    """Labelled parts as a source; made by `load_parts`.

    Attributes
    ----------
    parts
        What is trained on.
    splits
        Of every volume.
    volumes, names
        Stores, and what is labelled in each.
    n_channels
        Background and classes.
    data
        Settings.
    pixel_nm
        Side of a pixel.
    context
        Neighbouring planes on each side.
    """

    parts: Sequence[LabelledPart]
    splits: Sequence[SpaceSplit]
    volumes: Sequence[Volume]
    names: Sequence[str]
    n_channels: int
    data: ObliqueData
    pixel_nm: float
    context: int = 0

    def counts(self) -> NDArray[np.int64]:
        """Labelled voxels of background and of each class."""
        planes = (plane for part in self.parts for plane in part.annotation)
        return labelled(planes, self.n_channels)

    def batches(self, *, seed: int, share: Share = ALL) -> ObliquePatches:
        """Patches on planes at an angle."""
        return ObliquePatches(
            self.parts, n_channels=self.n_channels, data=self.data, pixel_nm=self.pixel_nm,
            context=self.context, orientations=self.data.orientations, every=self.data.every,
            seed=seed, share=share,
        )

    def held_out(self, most: int) -> list[HeldOutPlane]:
        """Planes across z of the parts for validation."""
        each = max(1, most // len(self.volumes))
        return [
            self._plane(volume, name, split.validation, z)
            for volume, name, split in zip(self.volumes, self.names, self.splits, strict=True)
            if split.validation is not None for z in spread(split.validation, each)
        ][:most]

    def _plane(self, volume: Volume, name: str, box: Box, z: int) -> HeldOutPlane:
        """A plane, labelled within a box."""
        rows = [mirrored(z + d, volume.shape[0]) for d in range(-self.context, self.context + 1)]
        image = np.stack([np.asarray(volume.raw()[row]) for row in rows])
        return HeldOutPlane(
            f"{volume.name}, plane {z}", image, labelled_plane(volume, name, box, z),
            Normalisation.of(volume),
        )


def load_parts(
    volumes: Sequence[Volume], names: Sequence[str], classes: Sequence[str], *, data: ObliqueData,
    context: int = 0, folder: Path | None = None, runner: Runner | None = None,
) -> RotatedPlanes:
    """Return the parts to train on, and where what is held out lies.

    Parameters
    ----------
    volumes, names
        Stores, and the name of an annotation, or ``labels/NAME`` of numbered objects, in each.
    classes
        Their names.
    data
        Settings.
    context
        Neighbouring planes on each side, as channels.
    folder
        Where parts that do not fit in memory go; a temporary folder if None.
    runner
        Where labelled voxels are counted.

    Raises
    ------
    DataError
        If volumes have voxels of different size, a part lacks a class, or the region lies outside.
    """
    pixel_nm = finest_nm(volumes[0].spacing)
    parts, splits = [], []
    for volume, name in zip(volumes, names, strict=True):
        if abs(finest_nm(volume.spacing) / pixel_nm - 1) > SAME:
            raise DataError(
                f"{volume.name} has voxels of {finest_nm(volume.spacing):g} nm, "
                f"{volumes[0].name} of {pixel_nm:g} nm: rotated planes would differ in scale. "
                "Train on volumes of one voxel size."
            )
        split = _split(volume, name, classes, data, runner)
        splits.append(split)
        parts.append(_load(volume, name, split, data.memory_gb / len(volumes), data, folder))
        sides = [n * s for n, s in zip(split.train.shape, volume.spacing, strict=True)]
        if min(sides) < data.patch * pixel_nm / 2:
            logger.warning(
                "the part of %s to train on is %s nm large, a patch %g nm: most of many patches "
                "will be mirrored.", volume.name, " x ".join(f"{side:g}" for side in sides),
                data.patch * pixel_nm,
            )
    return RotatedPlanes(
        parts, splits, volumes, names, len(classes) + 1, data, pixel_nm, context
    )


def labelled_plane(volume: Volume, name: str, box: Box, z: int) -> NDArray[np.uint8]:
    """A plane of an annotation or of objects, 0 (unlabelled) outside of a box; (y, x)."""
    plane = np.zeros(volume.shape[1:], np.uint8)
    cut = box.slices[1:]
    plane[cut] = as_annotation(
        np.asarray(painting(volume, name)[z][cut]), objects=is_objects(name)
    )
    return plane


def spread(box: Box, n: int) -> list[int]:
    """At most `n` planes of a box, evenly spaced, none at its faces.

    >>> spread(Box((10, 0, 0), (30, 5, 5)), 2)
    [15, 25]
    """
    depth = box.shape[0]
    n = min(n, depth)
    return [box.start[0] + int((i + 0.5) * depth / n) for i in range(n)]


def _split(
    volume: Volume, name: str, classes: Sequence[str], data: ObliqueData, runner: Runner | None
) -> SpaceSplit:
    """Parts of one volume."""
    region = data.box
    if region is not None and region.clip(volume.shape) != region:
        raise DataError(
            f"data.region={list(data.region or ())} reaches beyond {volume.name}, which has "
            f"{' x '.join(map(str, volume.shape))} voxels (z, y, x)."
        )
    if data.split == "none":
        return SpaceSplit(region or Box.whole(volume.shape))
    cells = labelled_cells(
        painting(volume, name), len(classes) + 1, objects=is_objects(name),
        spacing=volume.spacing, runner=runner,
    )
    return split_space(
        cells, names=["background", *classes], folds=data.folds, gap_nm=data.gap_nm,
        region=region, where=volume.name, spacing=volume.spacing,
    )


def _load(
    volume: Volume, name: str, split: SpaceSplit, memory_gb: float, data: ObliqueData,
    folder: Path | None,
) -> LabelledPart:
    """The part to train on, with as much of the image around it as the gap allows."""
    halo = [int(data.gap_nm / s) for s in volume.spacing]
    box = split.train.grow(halo).clip(volume.shape)
    raw = volume.raw()
    image = allocate(box.shape, raw.dtype, memory_gb / 2, folder)
    annotation = allocate(box.shape, np.dtype(np.uint8), memory_gb / 2, folder)
    for piece in _pieces(box, raw):
        image[piece.relative_to(box).slices] = np.asarray(raw[piece.slices])
    annotation[:] = 0
    painted = painting(volume, name)
    for piece in _pieces(split.train, painted):
        annotation[piece.relative_to(box).slices] = as_annotation(
            np.asarray(painted[piece.slices]), objects=is_objects(name)
        )
    return LabelledPart(
        volume.name, image, annotation, Normalisation.of(volume), volume.spacing
    )


def _pieces(box: Box, array: Any) -> Iterator[Box]:
    """Parts of a box, chunk by chunk along z and y."""
    depth, height = (getattr(array, "chunks", None) or (64, 64))[:2]
    for z in range(box.start[0] // depth * depth, box.stop[0], depth):
        for y in range(box.start[1] // height * height, box.stop[1], height):
            yield Box((z, y, box.start[2]), (z + depth, y + height, box.stop[2])).intersect(box)
