"""The interface of a label image as points in files, and the distance of any place to it.

The points of a block are a file, sorted by the small cell that they lie in. Those of a cell are a
piece. Workers open a piece only if something may be as near to its box as to what was found.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fibseg.blocks import Block, Runner, appended, layout_key, reduce_blocks
from fibseg.geometry import Box
from fibseg.measure.interface import REACH, interface_points
from fibseg.measure.nearest import GROUP, PIECE, Boxes, Points, groups, nearest
from fibseg.pipeline.bench import Array
from fibseg.types import Spacing, Table
from fibseg.volume.files import write_bytes

HELD_POINTS = 4_000_000
"""Trees of so many points stay in the memory of a process: 200 MB."""

_AXES = "zyx"


@dataclass(frozen=True)
class Interface:
    """The interface of one mask, in a folder that workers read.

    Attributes
    ----------
    folder
        Files of points, and ``pieces.npz``: which rows of which file each piece is, and its box.
    spacing
        Size of a voxel in nm, (z, y, x).
    """

    folder: Path
    spacing: Spacing

    def distances(self, points: Points) -> NDArray[np.float64]:
        """Distance in nm of places in nm, shape (n, 3), to the nearest face of the interface."""
        out = np.empty(len(points))
        boxes = _pieces(self.folder, self.spacing)[1]
        cells = (points // (GROUP * np.array(self.spacing))).astype(np.int64)
        for rows in groups(cells):
            out[rows] = nearest(points[rows], boxes, self._tree)
        return out

    @property
    def n_pieces(self) -> int:
        """Number of pieces, 0 where there is no interface."""
        return len(_pieces(self.folder, self.spacing)[1].low)

    def _tree(self, piece: int) -> cKDTree:
        """Points of a piece, kept for the next places."""
        return _held.get((str(self.folder), piece), lambda: self._made(piece))

    def _made(self, piece: int) -> cKDTree:
        """Tree of the points of a piece, read from their file."""
        table = _pieces(self.folder, self.spacing)[0]
        path = _points_file(self.folder, int(table["block"][piece]))
        first, n = int(table["first"][piece]), int(table["n"][piece])
        rows = np.load(path, mmap_mode="r")[first : first + n]
        return cKDTree(_in_nm(rows, self.spacing))


class _Held:
    """Trees that were made last, as many as have `HELD_POINTS` points together."""

    def __init__(self) -> None:
        self._trees: OrderedDict[tuple[str, int], cKDTree] = OrderedDict()
        self._n = 0

    def get(self, key: tuple[str, int], make: Callable[[], cKDTree]) -> cKDTree:
        """The tree of a key, made if it is not held."""
        tree = self._trees.get(key)
        if tree is None:
            tree = self._trees[key] = make()
            self._n += tree.n
            while len(self._trees) > 1 and self._n > HELD_POINTS:
                self._n -= self._trees.popitem(last=False)[1].n
        self._trees.move_to_end(key)
        return tree


_held = _Held()


@dataclass(frozen=True)
class FindInterface:
    """Block function: writes the points of the interface in a block, returns the pieces."""

    folder: Path

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and the neighbours of its voxels."""
        return write.grow(REACH).clip(shape)

    def __call__(self, mask: NDArray[Any], *, block: Block) -> Table:
        """Which rows of the file of the block each piece is, and its box in half voxels."""
        inside = block.write.relative_to(block.read)
        points = interface_points(mask, inside=inside, start=block.write.start)
        order = list(groups(points // (2 * PIECE)))
        sizes = np.array([len(rows) for rows in order], dtype=np.int64)
        points = points[np.concatenate([np.zeros(0, dtype=np.intp), *order])]
        table: Table = {
            "block": np.full(len(order), block.index, dtype=np.int64),
            "first": np.cumsum(sizes) - sizes, "n": sizes,
        }
        for axis, name in enumerate(_AXES):
            for end, how in (("low", np.minimum), ("high", np.maximum)):
                values = points[:, axis]
                table[f"{end}_{name}"] = (
                    how.reduceat(values, table["first"]) if len(order) else values
                )
        if len(order):
            content = BytesIO()
            np.save(content, points.astype(np.int32))
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(_points_file(self.folder, block.index), content.getvalue())
        return table


def find_interface(
    mask: Array,
    *,
    folder: Path,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    inputs: str = "",
    label: str = "membrane",
    spacing: Spacing,
) -> Interface:
    """Find the interface of a mask that no memory holds; an interrupted run goes on.

    Parameters
    ----------
    mask
        Anything but 0 is inside.
    folder
        Where its points are kept; the caller removes it.
    block_shape, runner
        As in `fibseg.blocks.reduce_blocks`.
    inputs
        Hash of what `mask` is.
    label
        Name of the step.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    key = layout_key(
        inputs=inputs, step="interface", block_shape=list(block_shape), spacing=list(spacing)
    )
    found = Interface(folder / f"interface-{key[:16]}", spacing)
    if not (found.folder / "pieces.npz").exists():
        pieces: Table | None = reduce_blocks(
            FindInterface(found.folder), mask, appended, block_shape=block_shape, runner=runner,
            scratch=found.folder / "found", fingerprint=key, label=label,
        )
        content = BytesIO()
        columns: dict[str, Any] = dict(pieces or {})
        np.savez(content, **columns)
        found.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(found.folder / "pieces.npz", content.getvalue())
    return found


@functools.lru_cache(maxsize=16)
def _pieces(folder: Path, spacing: Spacing) -> tuple[Table, Boxes]:
    """The list of pieces, and their boxes in nm."""
    with np.load(folder / "pieces.npz") as file:
        table = {name: file[name] for name in file.files}
    empty = np.zeros((0, 3))
    low, high = (
        _in_nm(np.stack([table[f"{end}_{name}"] for name in _AXES], axis=1), spacing)
        if table else empty for end in ("low", "high")
    )
    return table, Boxes(low, high)


def _in_nm(half_voxels: NDArray[Any], spacing: Spacing) -> Points:
    return half_voxels * (np.array(spacing) / 2)


def _points_file(folder: Path, index: int) -> Path:
    return folder / f"points-{index}.npy"
