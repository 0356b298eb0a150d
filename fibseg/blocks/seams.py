"""Which components of neighbouring blocks touch: across faces, edges and corners."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Faces: TypeAlias = dict[tuple[int, int], NDArray[np.uint32]]
"""The outermost planes of a block: (axis, side) with side −1 the first and +1 the last plane."""

_DISTANCE = {6: 1, 18: 2, 26: 3}
"""Along how many axes two neighbouring voxels may differ."""


def cut_faces(labels: NDArray[Any]) -> Faces:
    """The six outermost planes of `labels`, each with its axis kept at length 1."""
    faces = {}
    for axis, side in itertools.product(range(3), (-1, 1)):
        cut = [slice(None)] * 3
        cut[axis] = _end(side)
        faces[axis, side] = labels[tuple(cut)]
    return faces


def directions(connectivity: int) -> list[tuple[int, int, int]]:
    """The half of the neighbouring blocks (at most 13) that comes later in C order."""
    steps = itertools.product((-1, 0, 1), repeat=3)
    return [
        (z, y, x) for z, y, x in steps
        if (z, y, x) > (0, 0, 0) and abs(z) + abs(y) + abs(x) <= _DISTANCE[connectivity]
    ]


def touching(
    here: Faces, there: Faces, direction: Sequence[int], *, connectivity: int
) -> NDArray[np.int64]:
    """Pairs of labels that touch, shape (n, 2), without repeats.

    Parameters
    ----------
    here, there
        Faces of two blocks whose places in the grid differ by `direction`.
    direction
        −1, 0 or 1 along (z, y, x), not all 0.
    connectivity
        6, 18 or 26.
    """
    a, b = _contact(here, direction, near=True), _contact(there, direction, near=False)
    inside, other = a != 0, b != 0
    keys = [_keys(a, b, inside & other)]
    gap = ~other
    for shift in _shifts(direction, connectivity):
        from_a, from_b = _overlap(a.shape, shift)
        # Where the voxel straight ahead is set, the shifted one is its neighbour inside `there`
        # and hence of the same component: only the gaps have to be looked at.
        hit = inside[from_a] & gap[from_a] & other[from_b]
        keys.append(_keys(a[from_a], b[from_b], hit))
    found = np.unique(np.concatenate(keys))
    low = np.uint64(0xFFFFFFFF)
    return np.stack([found >> np.uint64(32), found & low], axis=1).astype(np.int64)


def _contact(faces: Faces, direction: Sequence[int], *, near: bool) -> NDArray[np.uint32]:
    """The plane, line or voxel of a block that lies against its neighbour."""
    sides = [d if near else -d for d in direction]
    axis = next(i for i, d in enumerate(direction) if d)
    cut = tuple(_end(s) if s else slice(None) for s in sides)
    return faces[axis, sides[axis]][cut]


def _shifts(direction: Sequence[int], connectivity: int) -> Iterator[tuple[int, ...]]:
    left = _DISTANCE[connectivity] - sum(map(abs, direction))
    for shift in itertools.product(*((0,) if d else (-1, 0, 1) for d in direction)):
        if 0 < sum(map(abs, shift)) <= left:
            yield shift


def _overlap(
    shape: Sequence[int], shift: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Parts of two arrays of `shape` that meet when the second is moved by `shift`."""
    a = tuple(slice(max(0, -s), n - max(0, s)) for n, s in zip(shape, shift, strict=True))
    b = tuple(slice(max(0, s), n - max(0, -s)) for n, s in zip(shape, shift, strict=True))
    return a, b


def _keys(
    a: NDArray[np.uint32], b: NDArray[np.uint32], hit: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    """Pairs as one number each, which sort much faster than rows."""
    return (a[hit].astype(np.uint64) << np.uint64(32)) | b[hit].astype(np.uint64)


def _end(side: int) -> slice:
    return slice(0, 1) if side < 0 else slice(-1, None)
