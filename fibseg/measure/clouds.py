"""Objects as clouds of points, coarse enough to be moved about by the million.

The volume is cut into cells of a few voxels. Every cell that an object reaches into gives it one
point, the mean of its voxels there. So a thin object keeps its place and never vanishes, as it
would in a coarser label image. The sums are whole numbers that add over blocks: points are the same
for any blocks, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.measure.runs import first_of_equal
from fibseg.types import Labels, Shape, Spacing, Table

_SLAB_VOXELS = 2**22
_PLACE = ("cell_z", "cell_y", "cell_x")
_SUMS = ("n_voxels", "sum_z", "sum_y", "sum_x")


@dataclass(frozen=True)
class Clouds:
    """Points of all objects, those of one object together.

    Attributes
    ----------
    label
        Numbers of the objects, sorted.
    first
        Where the points of each object begin, and where the last ones end.
    points_um
        (z, y, x) in µm, the centre of the first voxel of the volume at 0; shape (points, 3).
    cells
        Which cell of the volume each point stands for; shape (points, 3).
    n_voxels
        How many voxels of the object are in it.
    cell_um
        Size of a cell, (z, y, x).
    """

    label: NDArray[Any]
    first: NDArray[np.intp]
    points_um: NDArray[np.float64]
    cells: NDArray[np.int64]
    n_voxels: NDArray[np.int64]
    cell_um: tuple[float, float, float]

    def __len__(self) -> int:
        return len(self.label)

    def of(self, row: int) -> slice:
        """Points of one object."""
        return slice(int(self.first[row]), int(self.first[row + 1]))

    def only(self, rows: NDArray[np.bool_]) -> Clouds:
        """Clouds of some objects, True for those kept."""
        n = np.diff(self.first)
        kept = rows.repeat(n)
        return Clouds(
            self.label[rows], np.append(0, np.cumsum(n[rows])), self.points_um[kept],
            self.cells[kept], self.n_voxels[kept], self.cell_um,
        )

    def finer(self, times: Shape) -> Clouds:
        """The same clouds, every cell cut into `times` parts along each axis, a point in each.

        Centres stay where they are; `n_voxels` is that of the whole cell in all of its parts.
        """
        steps = np.indices(times).reshape(3, -1).T
        size = np.asarray(self.cell_um) / times
        offsets = (steps + 0.5) * size - np.asarray(self.cell_um) / 2
        z, y, x = size.tolist()
        return Clouds(
            self.label, self.first * len(steps),
            (self.points_um[:, None] + offsets).reshape(-1, 3),
            (self.cells[:, None] * times + steps).reshape(-1, 3),
            self.n_voxels.repeat(len(steps)), (z, y, x),
        )

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Number of voxels of every object, times the parts of a cell after `finer`."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        return np.asarray(np.add.reduceat(self.n_voxels, self.first[:-1]))

    @property
    def centres_um(self) -> NDArray[np.float64]:
        """Centre of geometry of every object, shape (objects, 3)."""
        if not len(self):
            return np.zeros((0, 3))
        weighted = self.points_um * self.n_voxels[:, None]
        return np.asarray(np.add.reduceat(weighted, self.first[:-1]) / self.sizes[:, None])


def cell_voxels(cell_nm: float, *, spacing: Spacing) -> Shape:
    """Voxels of a cell that is about `cell_nm` wide, at least one along every axis.

    Raises
    ------
    UsageError
        If the width is not above 0.

    >>> cell_voxels(50, spacing=(30.0, 10.0, 8.0))
    (2, 5, 6)
    """
    if not (cell_nm > 0 and math.isfinite(cell_nm)):
        raise UsageError(f"cell_nm={cell_nm} is no width of a cell. Give e.g. 50.")
    z, y, x = (max(1, round(cell_nm / size)) for size in spacing)
    return z, y, x


def partial(labels: Labels, *, start: Sequence[int], cell: Shape) -> Table:
    """Sums of every object in every cell of one block.

    Parameters
    ----------
    labels
        Numbered objects of the block, shape (z, y, x), 0 = none.
    start
        Where it begins in the volume, in voxels.
    cell
        Voxels of a cell along every axis; cells begin at the first voxel of the volume.

    Returns
    -------
    Table
        ``label``, ``cell_z``, ``cell_y``, ``cell_x``, ``n_voxels``, ``sum_z``, ``sum_y``,
        ``sum_x`` (of places in the volume, voxels), sorted by the first four.
    """
    planes = max(1, _SLAB_VOXELS // max(1, labels.shape[1] * labels.shape[2]))
    found = [_rows(labels[:0], start, cell)]
    for z in range(0, labels.shape[0], planes):
        begin = (start[0] + z, start[1], start[2])
        found.append(_rows(labels[z : z + planes], begin, cell))
    return _together(found)


def merge(first: Table, second: Table) -> Table:
    """Sums of both blocks together."""
    return _together([first, second])


def finish(sums: Table, *, cell: Shape, spacing: Spacing) -> Clouds:
    """Clouds of all objects from the sums of all blocks; `spacing` in nm."""
    names = first_of_equal(sums["label"])
    sizes_um = [size * 1e-3 for size in spacing]
    sums_um = [sums[f"sum_{axis}"] * size for axis, size in zip("zyx", sizes_um, strict=True)]
    z, y, x = (n * size for n, size in zip(cell, sizes_um, strict=True))
    return Clouds(
        sums["label"][names], np.append(names, len(sums["label"])),
        np.stack(sums_um, axis=1) / sums["n_voxels"][:, None],
        np.stack([sums[name] for name in _PLACE], axis=1), sums["n_voxels"], (z, y, x),
    )


def measure(labels: Labels, *, cell_nm: float, spacing: Spacing) -> Clouds:
    """Clouds of all objects of a whole volume in memory."""
    cell = cell_voxels(cell_nm, spacing=spacing)
    return finish(partial(labels, start=(0, 0, 0), cell=cell), cell=cell, spacing=spacing)


def _rows(labels: Labels, start: Sequence[int], cell: Shape) -> Table:
    """Sums of a few planes, one row for each object in each cell."""
    place = np.nonzero(labels)
    where = np.stack(place, axis=1) + np.asarray(start, dtype=np.int64)
    low = np.asarray(start) // cell
    extent = (np.asarray(start) + labels.shape - 1) // cell - low + 1
    names, code = np.unique(labels[place], return_inverse=True)
    flat = code.astype(np.int64)
    for axis in range(3):
        flat = flat * max(1, extent[axis]) + (where[:, axis] // cell[axis] - low[axis])
    keys, row = np.unique(flat, return_inverse=True)
    table: Table = {}
    for axis in (2, 1, 0):
        keys, inner = np.divmod(keys, max(1, extent[axis]))
        table[_PLACE[axis]] = inner + low[axis]
    table = {"label": names[keys]} | {name: table[name] for name in _PLACE}
    n = len(table["label"])
    table["n_voxels"] = np.bincount(row, minlength=n)
    for axis, name in enumerate("zyx"):
        # Sums of whole numbers below 2⁵³ are exact in float64.
        total = np.bincount(row, weights=where[:, axis], minlength=n)
        table[f"sum_{name}"] = total.astype(np.int64)
    return table


def _together(tables: Sequence[Table]) -> Table:
    """All rows of one object in one cell made one."""
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.lexsort([joined[name] for name in (*reversed(_PLACE), "label")])
    joined = {name: values[order] for name, values in joined.items()}
    new = np.zeros(len(order), dtype=bool)
    for name in ("label", *_PLACE):
        new[first_of_equal(joined[name])] = True
    starts = np.flatnonzero(new)
    merged = {name: joined[name][starts] for name in ("label", *_PLACE)}
    for name in _SUMS:
        values = joined[name]
        merged[name] = np.add.reduceat(values, starts) if len(starts) else values
    return merged
