"""Every measure of the shape of objects: size, place, axes, surface, topology and brightness.

The sums are whole numbers, so the table is the same for any blocks, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure import euler, regions, surface
from fibseg.measure.axes import axis_directions
from fibseg.measure.directions import Directions
from fibseg.measure.neighbours import added, neighbour_sums
from fibseg.types import Image, Labels, Shape, Spacing, Table

OF_WHOLE_OBJECTS = (
    "surface_area_um2", "surface_to_volume_per_um", "sphericity", "elongation", "flatness",
)
"""Columns that say nothing of an object of which only a part is in the volume."""
OF_SURFACE = ("surface_area_um2", "surface_to_volume_per_um", "sphericity")
"""Columns that are missing where `too_small` objects have no surface."""
MOST_SPHERICITY = 1.05
"""Nothing is rounder than a ball, which has 1: where more is found, the surface is too small."""


@dataclass(frozen=True)
class Parts:
    """Sums of every object over some blocks: of its voxels, and of what their neighbours tell."""

    regions: Table
    neighbours: Table


def reach(directions: Directions) -> tuple[int, int, int]:
    """How many voxels around a block `partial` looks at, along each axis."""
    z, y, x = (max(1, farthest) for farthest in directions.reach)
    return z, y, x


def partial(
    labels: Labels,
    image: Image | None = None,
    *,
    inside: Box,
    start: Sequence[int],
    directions: Directions,
) -> Parts:
    """Sums of every object in one block.

    Parameters
    ----------
    labels
        Numbered objects of the block and `reach` voxels around it, less where the volume ends;
        shape (z, y, x), 0 = none.
    image
        Intensities on the same grid, integers of at most 16 bits; None leaves them out.
    inside
        The block itself, in voxels of `labels`.
    start
        Where the block itself begins in the volume, in voxels (z, y, x).
    directions
        `Directions.of` the spacing, made once: every block has to count the same.

    Raises
    ------
    UsageError
        If the image is of another type or shape.
    """
    regions.check_image(labels, image)
    own = inside.slices
    return Parts(
        regions.partial(labels[own], None if image is None else image[own], start=start),
        neighbour_sums(labels, [surface.rule(directions), euler.RULE], inside=inside),
    )


def merge(first: Parts, second: Parts) -> Parts:
    """Sums of both blocks together."""
    return Parts(
        regions.merge(first.regions, second.regions),
        added([first.neighbours, second.neighbours]),
    )


def finish(
    parts: Parts,
    *,
    directions: Directions,
    keep_border: bool = False,
    shape: Shape,
    spacing: Spacing,
) -> Table:
    """Table of the objects of a volume, one row each, sorted by label.

    Parameters
    ----------
    parts
        Merged `partial` of all blocks.
    directions
        Those that `partial` was given.
    keep_border
        Whether to state `OF_WHOLE_OBJECTS` also of objects that touch a face of the volume; they
        are NaN otherwise. The face itself is never counted as surface.
    shape
        Shape of the volume in voxels (z, y, x).
    spacing
        Size of a voxel in nm, (z, y, x).

    Returns
    -------
    Table
        Columns of `fibseg.measure.regions.finish` and `fibseg.measure.axes.axis_directions`, and

        - ``surface_area_um2``, ``surface_to_volume_per_um``;
        - ``sphericity``: surface of the ball of the same volume by the surface (Wadell 1932), at
          most `MOST_SPHERICITY` but at the border, where the surface is only a part;
        - ``elongation`` (major by middle axis) and ``flatness`` (middle by minor axis), as in ITK
          but that a voxel is no point;
        - ``euler_number``, also of objects at the border: that of what is in the volume.

    Notes
    -----
    No body has less surface than the ball of its volume, but of objects of few voxels less is
    counted: of one voxel 0.44 of it. `OF_SURFACE` are NaN where the sphericity comes out above
    `MOST_SPHERICITY`. In balls and ellipsoids (longest by smallest radius up to 3) at random
    offsets and orientations, spacings 1:1:1, 2.5:1:1 and 5:1:1, it was at most 1.045 from a
    smallest radius of 4 voxels along the finest and 2 along the coarsest axis on, and at most 1.015
    from 8 and 3 on. Of what is smaller, balls go, and longish objects may stay with a surface that
    is too small: down to 0.72 of the true one where they are one voxel thick.
    """
    table = regions.finish(parts.regions, shape=shape, spacing=spacing)
    table |= axis_directions(parts.regions, spacing=spacing)
    volume = table["volume_um3"]
    area = surface.finish(parts.neighbours, labels=table["label"], directions=directions)
    table["surface_area_um2"] = area
    table["surface_to_volume_per_um"] = area / volume
    # Without a surface an object fills the volume; then it touches its faces.
    table["sphericity"] = np.divide(
        np.cbrt(36 * np.pi * volume**2), area, out=np.full(len(area), np.nan), where=area > 0
    )
    impossible = ~table["touches_border"] & (table["sphericity"] > MOST_SPHERICITY)
    for name in OF_SURFACE:
        table[name] = np.where(impossible, np.nan, table[name])
    table["elongation"] = table["axis_major_um"] / table["axis_middle_um"]
    table["flatness"] = table["axis_middle_um"] / table["axis_minor_um"]
    if not keep_border:
        for name in OF_WHOLE_OBJECTS:
            table[name] = np.where(table["touches_border"], np.nan, table[name])
    table["euler_number"] = euler.finish(parts.neighbours, labels=table["label"])
    return table


def too_small(table: Table) -> NDArray[np.bool_]:
    """Which objects of a table have too few voxels for a surface; see `finish`."""
    return np.asarray(~table["touches_border"] & np.isnan(table["surface_area_um2"]))


def measure(
    labels: Labels, image: Image | None = None, *, keep_border: bool = False, spacing: Spacing
) -> Table:
    """Table of all objects of a whole volume in memory; columns of `finish`."""
    z, y, x = labels.shape
    directions = Directions.of(spacing)
    parts = partial(
        labels, image, inside=Box.whole(labels.shape), start=(0, 0, 0), directions=directions
    )
    return finish(
        parts, directions=directions, keep_border=keep_border, shape=(z, y, x), spacing=spacing
    )
