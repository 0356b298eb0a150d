"""The passes over blocks that end in pockets: growing behind sites, distances, what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, layout_key, map_blocks, reduce_blocks
from fibseg.geometry import Box, halo_voxels
from fibseg.pipeline.bench import Array, Sheet, Work
from fibseg.pipeline.numbering import first_places, write_numbered
from fibseg.pipeline.region_sums import region_sums
from fibseg.postprocess.numbers import ranks
from fibseg.pseudolabel import PocketBody, PocketLimits, grow_pockets, nearest_to_border
from fibseg.types import Labels, Spacing, Table
from fibseg.volume.files import write_bytes


@dataclass(frozen=True)
class GrowBehind:
    """Block function: `fibseg.pseudolabel.grow_pockets` behind the sites of a table, a file."""

    sites: Path
    body: PocketBody
    bright_stain: bool
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` with the whole of every pocket that reaches into it, and what that rests on."""
        return write.grow(halo_voxels(self.body.reach_nm, self.spacing)).clip(shape)

    def __call__(self, raw: NDArray[Any], *, block: Block) -> Labels:
        """Numbers of the sites."""
        table, box = load_rows(self.sites), block.read
        near = rows_near(table, block.write, self.body.extent_nm, self.spacing)
        if not len(near["label"]):
            return np.zeros(block.write.shape, np.uint32)
        z, y, x = box.start
        image = raw.astype(np.float32)
        found = grow_pockets(
            -image if self.bright_stain else image, near, body=self.body, start=(z, y, x),
            spacing=self.spacing,
        )
        return found[block.write.relative_to(box).slices]


@dataclass(frozen=True)
class Nearest:
    """Block function: how near each object of the block comes to the border of the nucleus."""

    max_nm: float
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and how far is looked."""
        far = self.max_nm + max(self.spacing)
        return write.grow(halo_voxels(far, self.spacing)).clip(shape)

    def __call__(self, labels: NDArray[Any], nucleus: NDArray[Any], *, block: Block) -> Table:
        """`fibseg.pseudolabel.nearest_to_border`."""
        own = np.zeros_like(labels)
        cut = block.write.relative_to(block.read).slices
        own[cut] = labels[cut]
        return nearest_to_border(own, nucleus, max_nm=self.max_nm, spacing=self.spacing)


def grown_behind(
    raw: Array, sites: Table, *, body: PocketBody, bright_stain: bool, work: Work, inputs: str
) -> Array:
    """Stored pockets behind sites, by the numbers of these.

    Parameters
    ----------
    sites
        With ``label`` above 0 where a pocket is grown.
    """
    sheet = work.bench.sheet("grown", dtype=np.uint32, inputs=inputs)
    chosen = {name: column[sites["label"] > 0] for name, column in sites.items()}
    file = save_rows(sheet.folder / "sites.npz", chosen)
    map_blocks(
        GrowBehind(file, body, bright_stain, work.spacing), raw, sheet.array,
        block_shape=work.block_shape, runner=work.runner, journal=sheet.journal,
        fingerprint=inputs, label="pockets: grown",
    )
    return sheet.array


@dataclass(frozen=True)
class Kept:
    """The pockets that were kept: their numbers before and now, and their distances in nm."""

    before: NDArray[np.int64]
    number: NDArray[np.int64]
    distance_nm: NDArray[np.float64]


def keep_pockets(
    pockets: Array, nucleus: Array, target: Sheet | None, *, limits: PocketLimits, work: Work,
    inputs: str,
) -> Kept:
    """Write the pockets within limits, numbered anew by their first voxels, into `target`.

    Parameters
    ----------
    target
        None if they are written already.
    """
    over: dict[str, Any] = {"block_shape": work.block_shape, "runner": work.runner}
    sums = region_sums(pockets, moments=False, label="pockets: sizes", **over)
    far = limits.max_distance_nm + 2 * max(work.spacing)
    found: Table | None = reduce_blocks(
        Nearest(far, work.spacing), [pockets, nucleus], _nearest, label="pockets: distances", **over
    )
    distance = np.zeros(0) if found is None else found["distance_nm"]
    stays = limits.keep(sums["n_voxels"], distance, spacing=work.spacing)
    places = first_places(pockets, label="pockets: places", **over)
    if target is not None:
        write_numbered(
            pockets, places, target, stays=stays, inputs=layout_key(before=inputs, step="kept"),
            label="pockets", **over,
        )
    numbers, first = places[:, stays]
    return Kept(numbers, ranks(first), distance[stays])


def save_rows(path: Path, table: Table) -> Path:
    """File of a table that workers open."""
    content = BytesIO()
    columns: dict[str, Any] = dict(table)
    np.savez(content, **columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())
    return path


def load_rows(path: Path) -> Table:
    """Table of a file."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def rows_near(table: Table, box: Box, reach_nm: float, spacing: Sequence[float]) -> Table:
    """Rows whose place is within reach of a box of the volume."""
    places = np.stack([table[f"{a}_um"] for a in "zyx"], axis=1) * 1000
    low, high = (np.array(end) * spacing for end in (box.start, box.stop))
    near = ((places >= low - reach_nm) & (places <= high + reach_nm)).all(axis=1)
    return {name: column[near] for name, column in table.items()}


def _nearest(first: Table, second: Table) -> Table:
    """The objects of both, each with its least distance."""
    numbers = np.concatenate([first["label"], second["label"]])
    distances = np.concatenate([first["distance_nm"], second["distance_nm"]])
    both, which = np.unique(numbers, return_inverse=True)
    least = np.full(len(both), np.inf)
    np.minimum.at(least, which, distances)
    return {"label": both, "distance_nm": least}
