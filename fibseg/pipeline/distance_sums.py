"""Distances of all objects of a label image to membranes, in volumes that no memory holds.

1. *Interfaces*: a pass over each target finds the faces between inside and outside.
2. *Surfaces*: a pass over the objects takes each surface voxel to the nearest of these faces, and
   adds up what it finds per object.
3. *Centres*: those of geometry are taken there as they are, between the voxels.

No map of distances is needed: only voxels on surfaces are looked at, and nothing has a cap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, appended, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure import distances
from fibseg.measure.interface import REACH, surface_voxels
from fibseg.measure.nearest import GROUP
from fibseg.pipeline.bench import Array, OwnBox
from fibseg.pipeline.interfaces import Interface, find_interface
from fibseg.types import Spacing, Table

CENTRES = 1024
"""So many centres of objects are one task."""


@dataclass(frozen=True)
class DistanceSums:
    """Block function: the sums of `fibseg.measure.distances` of every object in the block."""

    interfaces: Mapping[str, Interface]
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the neighbours of its voxels."""
        return write.grow(REACH).clip(shape)

    def __call__(
        self, labels: NDArray[Any], *targets: NDArray[Any], block: Block
    ) -> Table:
        """Sums of the surface voxels in the block, and of the voxels within the targets."""
        inside = block.write.relative_to(block.read)
        own = labels[inside.slices]
        places = surface_voxels(labels, inside=inside)
        points = (places + np.array(block.write.start)) * np.array(self.spacing)
        within = {
            name: own[np.logical_and(own, target[inside.slices])]
            for name, target in zip(self.interfaces, targets, strict=True)
        }
        nm = {name: there.distances(points) for name, there in self.interfaces.items()}
        return distances.partial(own[tuple(places.T)], nm, within)


@dataclass(frozen=True)
class CentreDistances(OwnBox):
    """Block function over a list of places in nm: their distances to each interface."""

    interfaces: Mapping[str, Interface]

    def __call__(self, points: NDArray[np.float64], *, block: Block) -> Table:
        """A column per target."""
        return {name: there.distances(points) for name, there in self.interfaces.items()}


def distance_table(
    labels: Array,
    targets: Mapping[str, Array],
    table: Table,
    *,
    nearest: Sequence[str] | None = None,
    folder: Path,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    inputs: str = "",
    spacing: Spacing,
) -> Table:
    """Columns of `fibseg.measure.distances.finish` for the objects of a table.

    The distance of a centre of geometry is that of the exact point, not of the voxel that holds it.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none.
    targets
        Label images on the same grid by name, anything but 0 is inside.
    table
        ``label`` (sorted), ``n_voxels`` and ``centroid_z_um`` … of the objects.
    nearest
        As in `fibseg.measure.distances.finish`.
    folder
        Where the interfaces, and what is known of single blocks, are kept; the caller removes it.
    block_shape, runner
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what `labels` and `targets` are.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    interfaces = {
        name: find_interface(
            target, folder=folder / name, block_shape=block_shape, runner=runner, inputs=inputs,
            label=f"membrane of {name}", spacing=spacing,
        )
        for name, target in targets.items()
    }
    key = layout_key(inputs=inputs, step="distances", to=list(targets), spacing=list(spacing))
    sums: Table | None = reduce_blocks(
        DistanceSums(interfaces, spacing), [labels, *targets.values()], distances.merge,
        block_shape=block_shape, runner=runner, scratch=folder / f"sums-{key[:16]}",
        fingerprint=key, label="distances",
    )
    if sums is None:
        sums = distances.partial(table["label"], {name: np.zeros(0) for name in targets}, {})
    return distances.finish(
        sums, labels=table["label"], n_voxels=table["n_voxels"],
        of_centres_nm=_of_centres(interfaces, table, runner=runner, spacing=spacing),
        nearest=nearest,
    )


def _of_centres(
    interfaces: Mapping[str, Interface], table: Table, *, runner: Runner | None, spacing: Spacing
) -> Table:
    """Distance in nm of each centre of geometry to each target."""
    points = 1000 * np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1)
    # Neighbours together, so that few pieces are opened for each lot.
    order = np.lexsort((points // (GROUP * np.array(spacing))).T[::-1])
    found: Table = reduce_blocks(
        CentreDistances(interfaces), points[order], appended, block_shape=(CENTRES, 3),
        runner=runner, label="distances: centres",
    ) or {name: np.zeros(0) for name in interfaces}
    back = np.argsort(order)
    return {name: nm[back] for name, nm in found.items()}
