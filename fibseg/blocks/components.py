"""The verb label_blocks: connected components of a volume that no memory holds.

1. *Survey*: cc3d numbers the components of every block; kept are their voxel counts, their first
   voxels and the outermost planes.
2. *Seams*: components of neighbouring blocks that touch across faces, edges and corners are
   joined by one union-find; ids are ranked by the first voxel in C order.
3. *Relabel*: cc3d numbers every block again, which is cheaper than storing its provisional
   labels, and the ids are looked up.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.functions import Array
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.journal import Journal, layout_key
from fibseg.blocks.load import load_of
from fibseg.blocks.map import check_targets, map_blocks
from fibseg.blocks.room import refuse_without_room
from fibseg.blocks.runners import Runner, Serial
from fibseg.blocks.schedule import run_blocks
from fibseg.blocks.survey import Seams, Survey
from fibseg.blocks.survey_files import matches, opened
from fibseg.blocks.union import Components, Joined
from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box, connected
from fibseg.volume.files import room_for, write_bytes


def label_blocks(
    mask: Array,
    target: Array,
    *,
    block_shape: Sequence[int],
    connectivity: int = 26,
    min_voxels: int = 0,
    numbered: bool = True,
    runner: Runner | None = None,
    scratch: Path | None = None,
    journal: Path | None = None,
    fingerprint: str = "",
    label: str = "components",
) -> int:
    """Write the connected components of `mask` into `target`; returns how many there are.

    They are those of the whole volume, numbered 1 … N by their first voxel in C order, whatever
    the blocks are.

    Parameters
    ----------
    mask
        Anything but 0 is inside.
    target
        Unsigned integers on the same grid; must not be `mask` itself.
    block_shape
        Voxels per block, a multiple of the shards of `target`.
    connectivity
        6, 18 or 26 neighbours.
    min_voxels
        Components with fewer voxels in the whole volume are left out.
    numbered
        If false, every component that stays is written as 1: a mask without small objects.
    runner, journal, fingerprint, label
        As in `map_blocks`; the fingerprint must stand for the contents of `mask`.
    scratch
        Folder for what is known of each block, so that the same call continues after a crash;
        the caller removes it. Without it a temporary one is used.

    Raises
    ------
    UsageError
        If the connectivity is none of 6, 18, 26, or the blocks do not fit.
    DataError
        If there are more components than `target` can number.
    PartlyDoneError, InterruptedRunError
        As in `map_blocks`.
    """
    runner = runner or Serial()
    if connectivity not in (6, 18, 26):
        raise UsageError(f"connectivity {connectivity} does not exist in 3D. Use 6, 18 or 26.")
    grid = Grid.over(mask.shape, block_shape)
    check_targets(grid, [target], runner)
    refuse_without_room(label, grid, None, [mask], [target], runner=runner)
    key = layout_key(
        shape=grid.shape, block_shape=grid.block_shape, connectivity=connectivity,
        min_voxels=min_voxels, numbered=numbered, fingerprint=fingerprint,
    )
    with opened(scratch) as folder:
        result = folder / "result.json"
        if not matches(result, key):
            offsets = _survey(mask, grid, folder, connectivity, runner, key, f"{label}: survey")
            with room_for(folder / "offsets.npy", offsets.nbytes):
                np.save(folder / "offsets.npy", offsets)
            found = _join(grid, offsets, folder, connectivity, runner, key, f"{label}: seams")
            dtype = np.dtype(target.dtype)
            n = _rank(found, folder, min_voxels=min_voxels, numbered=numbered, dtype=dtype)
            write_bytes(result, json.dumps({"key": key, "n": n}).encode())
        n = int(json.loads(result.read_bytes())["n"])
        shutil.rmtree(folder / "blocks", ignore_errors=True)
        map_blocks(
            Relabel(folder, connectivity), mask, target, block_shape=block_shape, runner=runner,
            journal=journal, fingerprint=key, label=f"{label}: number",
        )
    return n


@dataclass(frozen=True)
class Relabel:
    """Block function: the mask of a block with the final ids from the tables in `folder`."""

    folder: Path
    connectivity: int

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` itself: the seams are solved."""
        return write

    def __call__(self, mask: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """Final ids, 0 where there is no object."""
        labels, n = connected(mask != 0, connectivity=self.connectivity)
        start, stop = np.load(self.folder / "offsets.npy", mmap_mode="r")[block.index :][:2]
        if n != stop - start:
            raise DataError(
                f"the mask has {n} components in block {block.index}, but had {stop - start} a "
                "moment ago: it is being changed. Run again when nothing else writes to it."
            )
        ids = np.load(self.folder / "ids.npy", mmap_mode="r")[start:stop]
        lookup: NDArray[Any] = np.concatenate([np.zeros(1, dtype=ids.dtype), ids])
        found = np.empty(labels.shape, dtype=lookup.dtype)
        for plane, ids_of_plane in zip(labels, found, strict=True):
            # Plane by plane, since NumPy makes eight bytes of every index.
            np.take(lookup, plane, out=ids_of_plane, mode="clip")
        return found


def _survey(
    mask: Array, grid: Grid, folder: Path, connectivity: int, runner: Runner, key: str, label: str
) -> NDArray[np.int64]:
    """Where the components of every block begin among those of all, and where the last end."""
    task = Survey(mask, grid.shape, connectivity, folder)
    with Journal(folder / "survey.journal", key) as done:
        todo = grid.blocks(without=done.done)
        for outcome in run_blocks(
            runner, task, todo, total=len(grid), done=len(done.done), label=label, journal=done,
            load=load_of(grid, None, [mask]),
        ):
            done.mark(outcome.block.index, outcome.value)
        counts = (int(done.notes[index]) for index in range(len(grid)))
        offsets = np.zeros(len(grid) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(counts, np.int64, len(grid)), out=offsets[1:])
    return offsets


def _join(
    grid: Grid, offsets: NDArray[np.int64], folder: Path, connectivity: int, runner: Runner,
    key: str, label: str,
) -> Components:
    """All provisional components, and which of them are one object."""
    n, per_row = int(offsets[-1]), math.prod(grid.counts[1:])
    found = Components(
        Joined(n), np.empty(n, np.int64), np.empty(n, np.int64),
        [*offsets[: -1 : per_row or 1].tolist(), n],
    )
    task = Seams(grid, folder, connectivity, key)
    for outcome in run_blocks(
        runner, task, grid.blocks(), total=len(grid), label=label, ordered=True
    ):
        start, stop = offsets[outcome.block.index :][:2]
        (found.first[start:stop], found.voxels[start:stop]), pairs = outcome.value
        found.joined.add(pairs)
    return found


def _rank(
    found: Components, folder: Path, *, min_voxels: int, numbered: bool, dtype: np.dtype[Any]
) -> int:
    """Write the final id of every provisional component; returns the number of objects."""
    n = found.number(min_voxels=min_voxels)
    limit = np.iinfo(dtype).max
    if numbered and n > limit:
        raise DataError(
            f"{n} components cannot be numbered in {dtype} (at most {limit}). "
            "Raise the smallest size of an object, or clean the mask first."
        )
    path, partial, shape = folder / "ids.npy", folder / ".ids.npy", found.first.shape
    kind = np.lib.format.dtype_to_descr(dtype)
    with room_for(path, math.prod(shape) * dtype.itemsize), partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": kind, "fortran_order": False, "shape": shape}
        )
        for ids in found.ids():
            file.write((ids if numbered else ids > 0).astype(dtype).tobytes())
    partial.replace(path)
    return n
