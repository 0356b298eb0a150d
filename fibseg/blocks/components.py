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
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csgraph

from fibseg.blocks.functions import Array
from fibseg.blocks.grid import Block, Grid
from fibseg.blocks.journal import Journal, layout_key
from fibseg.blocks.load import load_of
from fibseg.blocks.run import check_targets, map_blocks
from fibseg.blocks.runners import Runner, Serial
from fibseg.blocks.schedule import run_blocks
from fibseg.blocks.seams import Faces, cut_faces, directions, touching
from fibseg.blocks.survey_files import (
    block_file,
    load_faces,
    load_table,
    matches,
    opened,
    store,
)
from fibseg.blocks.task import Task
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
    key = layout_key(
        shape=grid.shape, block_shape=grid.block_shape, connectivity=connectivity,
        min_voxels=min_voxels, numbered=numbered, fingerprint=fingerprint,
    )
    with opened(scratch) as folder:
        result = folder / "result.json"
        if not matches(result, key):
            _survey(mask, grid, folder, connectivity, runner, key, f"{label}: survey")
            joined = _join(grid, folder, connectivity, runner, key, f"{label}: seams")
            dtype = np.dtype(target.dtype)
            n = _rank(*joined, folder, min_voxels=min_voxels, numbered=numbered, dtype=dtype)
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
        found: NDArray[Any] = lookup[labels]
        return found


def _survey(
    mask: Array, grid: Grid, folder: Path, connectivity: int, runner: Runner, key: str, label: str
) -> None:
    (folder / "blocks").mkdir(parents=True, exist_ok=True)
    task = Survey(mask, grid.shape, connectivity, folder)
    with Journal(folder / "survey.journal", key) as done:
        todo = (block for block in grid.blocks() if block.index not in done.done)
        for outcome in run_blocks(
            runner, task, todo, total=len(grid), done=len(done.done), label=label, journal=done,
            load=load_of(grid, None, [mask]),
        ):
            done.mark(outcome.block.index)


@dataclass(frozen=True)
class Survey(Task):
    """What has to be known of the components of every block, into files of `folder`."""

    mask: Array
    shape: tuple[int, ...]
    connectivity: int
    folder: Path

    def read(self, block: Block) -> NDArray[Any]:
        """The mask of the block."""
        return np.asarray(self.mask[block.write.slices])

    def compute(
        self, block: Block, parts: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """First voxels and voxel counts, and the outermost planes."""
        labels, n = connected(parts != 0, connectivity=self.connectivity)
        values, first, counts = fastremap.unique(labels, return_index=True, return_counts=True)
        found = values > 0
        place = np.unravel_index(first[found].astype(np.int64), labels.shape)
        inside = tuple(p + a for p, a in zip(place, block.write.start, strict=True))
        first = np.ravel_multi_index(inside, self.shape).astype(np.int64)
        table = np.stack([first, counts[found].astype(np.int64)])
        if table.shape[1] != n:
            raise DataError(f"cc3d found {n} components, but {table.shape[1]} have voxels.")
        planes = [face.astype(np.uint32).ravel() for face in cut_faces(labels).values()]
        return table, np.concatenate(planes)

    def write(
        self, block: Block, result: tuple[NDArray[np.int64], NDArray[np.uint32]]
    ) -> None:
        """Both into files."""
        for kind, array in zip(("table", "faces"), result, strict=True):
            store(block_file(self.folder, block.index, kind), array)


def _join(
    grid: Grid, folder: Path, connectivity: int, runner: Runner, key: str, label: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Offsets, first voxels and counts of all provisional components, and which ones touch."""
    empty = np.zeros((2, 0), dtype=np.int64)
    tables = [load_table(folder, index) for index in range(len(grid))]
    offsets = np.cumsum([0, *(table.shape[1] for table in tables)], dtype=np.int64)
    first, counts = np.concatenate([empty, *tables], axis=1)
    task = Seams(grid, folder, connectivity, key)
    pairs = [np.zeros((0, 2), dtype=np.int64)]
    for outcome in run_blocks(
        runner, task, grid.blocks(), total=len(grid), label=label, ordered=True
    ):
        here = offsets[outcome.block.index] - 1
        for index, touch in outcome.value:
            pairs.append(touch + np.array([here, offsets[index] - 1]))
    return offsets, first, counts, np.concatenate(pairs)


@dataclass(frozen=True)
class Seams(Task):
    """Touching components of every block and each of its later neighbours."""

    grid: Grid
    folder: Path
    connectivity: int
    key: str

    def read(self, block: Block) -> tuple[Faces, list[tuple[tuple[int, int, int], int, Faces]]]:
        """Faces of the block, and of its later neighbours with direction and index."""
        place = self.grid.position(block.index)
        neighbours = []
        for direction in directions(self.connectivity):
            other = tuple(p + d for p, d in zip(place, direction, strict=True))
            if all(0 <= p < n for p, n in zip(other, self.grid.counts, strict=True)):
                index = self.grid.index(other)
                neighbours.append((direction, index, self._faces(index)))
        return self._faces(block.index), neighbours

    def compute(self, block: Block, parts: Any) -> list[tuple[int, NDArray[np.int64]]]:
        """Index of a neighbour, and which components touch."""
        here, neighbours = parts
        found = [
            (index, touching(here, there, direction, connectivity=self.connectivity))
            for direction, index, there in neighbours
        ]
        return [(index, pairs) for index, pairs in found if len(pairs)]

    def _faces(self, index: int) -> Faces:
        return load_faces(self.folder, self.grid, index, self.key)


def _rank(
    offsets: NDArray[np.int64], first: NDArray[np.int64], counts: NDArray[np.int64],
    pairs: NDArray[np.int64], folder: Path, *, min_voxels: int, numbered: bool,
    dtype: np.dtype[Any],
) -> int:
    """Write the final id of every provisional component; returns the number of objects."""
    n = len(first)
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    n_joined, joined = csgraph.connected_components(graph, directed=False) if n else (0, first)
    voxels = np.zeros(n_joined, dtype=np.int64)
    np.add.at(voxels, joined, counts)
    earliest = np.full(n_joined, np.iinfo(np.int64).max)
    np.minimum.at(earliest, joined, first)
    order = np.argsort(earliest)
    order = order[voxels[order] >= min_voxels]
    ids = np.zeros(n_joined, dtype=dtype)
    ids[order] = _numbers(len(order), dtype) if numbered else 1
    for name, array in (("offsets", offsets), ("ids", ids[joined])):
        partial = folder / f".{name}.npy"
        with room_for(folder / f"{name}.npy", array.nbytes):
            np.save(partial, array)
        partial.replace(folder / f"{name}.npy")
    return len(order)


def _numbers(n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    limit = np.iinfo(dtype).max
    if n > limit:
        raise DataError(
            f"{n} components cannot be numbered in {dtype} (at most {limit}). "
            "Raise the smallest size of an object, or clean the mask first."
        )
    return np.arange(1, n + 1, dtype=dtype)
