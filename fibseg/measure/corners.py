"""The corners of voxels on the surface of every object: what distances between objects need.

An object is the union of its voxels, as boxes. The nearest points of two boxes of one grid can
always be chosen among their corners, as along each axis their sides either share a corner's place
or are apart. So the least distance of two objects, from interface to interface, is that of the
nearest two of their corners, exactly; and inner corners, with the object all around, never matter.
Where the volume ends, an object goes on as it is there: the face of the volume is no surface.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.measure.runs import first_of_equal
from fibseg.types import Labels, Shape, Table

_SLAB_VOXELS = 2**22
_AXES = ("z", "y", "x")


@dataclass(frozen=True)
class Corners:
    """Corners on the surface of all objects, those of one object together.

    Attributes
    ----------
    label
        Numbers of the objects, sorted. An object that fills the volume has no surface, and no row.
    first
        Where the corners of each object begin, and where the last ones end.
    places
        (z, y, x) in voxels, 0 = where the volume begins, half a voxel before the centre of the
        first; shape (corners, 3), int32. May lie in a file (`numpy.memmap`).
    """

    label: NDArray[Any]
    first: NDArray[np.intp]
    places: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.label)

    def of(self, row: int) -> NDArray[np.int32]:
        """Corners of one object, shape (corners, 3)."""
        return self.places[self.first[row] : self.first[row + 1]]


def partial(labels: Labels, *, inside: Box, start: Sequence[int], shape: Sequence[int]) -> Table:
    """Corners on the surface of every object in one block.

    Parameters
    ----------
    labels
        Numbered objects of the block and at least one voxel before it along every axis, less where
        the volume begins; shape (z, y, x), 0 = none.
    inside
        The block itself, in voxels of `labels`.
    start
        Where the block itself begins in the volume, in voxels (z, y, x).
    shape
        Of the volume.

    Returns
    -------
    Table
        ``label``, ``z``, ``y``, ``x`` of the corners at the beginnings of the block's voxels and,
        where it ends with the volume, at their ends, too; sorted.
    """
    first = [max(0, a - 1) for a in inside.start]
    own = labels[tuple(map(slice, first, inside.stop))]
    at_end = [s + n == whole for s, n, whole in zip(start, inside.shape, shape, strict=True)]
    missing = [(int(a == 0), int(end)) for a, end in zip(inside.start, at_end, strict=True)]
    own = np.pad(own, missing, mode="edge") if own.size else own
    planes = max(1, _SLAB_VOXELS // max(1, own.shape[1] * own.shape[2]))
    found = [_none(labels.dtype)]
    for z in range(0, max(0, own.shape[0] - 1), planes):
        found.append(_rows(own[z : z + planes + 1], (start[0] + z, start[1], start[2])))
    return merged(found)


def merged(tables: Sequence[Table]) -> Table:
    """Corners of all blocks together, sorted by label and place."""
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.lexsort([joined[name] for name in (*reversed(_AXES), "label")])
    return {name: values[order] for name, values in joined.items()}


def finish(table: Table) -> Corners:
    """Corners of all objects from the rows of all blocks, in the order of `merged`."""
    first = first_of_equal(table["label"])
    places = np.stack([table[axis] for axis in _AXES], axis=1)
    return Corners(table["label"][first], np.append(first, len(places)), places)


def measure(labels: Labels) -> Corners:
    """Corners of all objects of a whole volume in memory.

    >>> measure(np.array([[[0, 7, 7]]])).of(0).tolist()
    [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    shape: Shape = labels.shape
    inside = Box.whole(shape)
    return finish(partial(labels, inside=inside, start=(0, 0, 0), shape=shape))


def _none(dtype: np.dtype[Any]) -> Table:
    return {"label": np.zeros(0, dtype)} | {axis: np.zeros(0, np.int32) for axis in _AXES}


def _rows(labels: Labels, start: Sequence[int]) -> Table:
    """One row for each object at each corner between the voxels; the first corner is `start`."""
    around = [
        labels[tuple(slice(d, n - 1 + d) for d, n in zip(step, labels.shape, strict=True))]
        for step in itertools.product((0, 1), repeat=3)
    ]
    mixed = np.zeros(around[0].shape, dtype=bool)
    for other in around[1:]:
        mixed |= other != around[0]
    where = np.nonzero(mixed)
    names = np.sort(np.stack([each[where] for each in around], axis=1), axis=1)
    new = names != 0
    new[:, 1:] &= names[:, 1:] != names[:, :-1]
    corner, which = np.nonzero(new)
    table: Table = {"label": names[corner, which]}
    for axis, place, begin in zip(_AXES, where, start, strict=True):
        table[axis] = (place[corner] + begin).astype(np.int32)
    return table
