"""Walking through a source within a given memory, and copying it into an array of shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.progress import track
from fibseg.types import Shape
from fibseg.volume.digests import Facts, NotedArray
from fibseg.volume.files import partial_path
from fibseg.volume.sources.contiguous import ContiguousFile
from fibseg.volume.sources.source import Source

Convert = Callable[[NDArray[Any]], NDArray[Any]]


class PlacedPlanes(Source):
    """Some planes of a volume: `source` where it has them, 0 on all other planes."""

    def __init__(self, source: Source, *, depth: int, at: Mapping[int, int]) -> None:
        super().__init__(
            source.path, shape=(depth, *source.shape[1:]), dtype=source.dtype,
            spacing=source.spacing, plane_wise=source.plane_wise, palette=source.palette,
        )  # fmt: skip
        self._source = source
        self._at = dict(at)  # plane of the volume -> plane of the source

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`, 0 where the source has no plane."""
        out = np.zeros(box.shape, self.dtype)
        for k in range(box.shape[0]):
            plane = self._at.get(box.start[0] + k)
            if plane is not None:
                start, stop = (plane, *box.start[1:]), (plane + 1, *box.stop[1:])
                out[k] = self._source.read(Box(start, stop))[0]
        return out


def plan_slabs(
    shape: Shape, unit: Sequence[int], *, bytes_per_voxel: float, memory_bytes: float
) -> list[list[Box]]:
    """Slabs of one `unit` depth, each cut into boxes that are whole units and fit into memory.

    A box is as wide as the volume as long as that fits, then as high as fits: rows are read
    faster than columns. One unit is the least, whatever the memory.

    >>> [len(s) for s in plan_slabs((8, 100, 100), (4, 10, 10), bytes_per_voxel=1,
    ...                             memory_bytes=20_000)]
    [2, 2]
    """
    depth, high, wide = (min(u, n) for u, n in zip(unit, shape, strict=True))
    voxels = memory_bytes / bytes_per_voxel
    n_wide = max(1, min(-(-shape[2] // wide), int(voxels // (depth * high * wide))))
    step_x = n_wide * wide
    step_y = high
    if step_x >= shape[2]:
        step_y = high * max(1, int(voxels // (depth * high * shape[2])))
    return [
        [
            Box((z, y, x), (z + depth, y + step_y, x + step_x)).clip(shape)
            for y in range(0, shape[1], step_y)
            for x in range(0, shape[2], step_x)
        ]
        for z in range(0, shape[0], depth)
    ]


def boxes_in_order(shape: Shape, *, voxels: int) -> Iterator[Box]:
    """Boxes of up to `voxels` voxels that follow one another in memory order (C order)."""
    rows = max(1, voxels // shape[2])
    if rows >= shape[1]:
        step = max(1, rows // shape[1])
        for z in range(0, shape[0], step):
            yield Box((z, 0, 0), (z + step, *shape[1:])).clip(shape)
        return
    for z in range(shape[0]):
        for y in range(0, shape[1], rows):
            yield Box((z, y, 0), (z + 1, y + rows, shape[2])).clip(shape)


def copy(
    source: Source, target: Any, *, unit: Sequence[int], memory_bytes: float, convert: Convert,
    scratch: Path, label: str,
) -> None:  # fmt: skip
    """Write every voxel of `source`, converted, into `target`, whole units (shards) at a time.

    A shard needs its full depth of planes. Where such a slab exceeds the memory it is read in
    row bands; files that only decode as whole planes are then unpacked once, slab by slab, into
    a temporary file in the folder `scratch`, instead of being decoded once per band.
    """
    # source voxels and their converted copy, plus zarr's chunks and the encoded shard
    per_voxel = source.dtype.itemsize * 1.5 + target.dtype.itemsize * 3
    slabs = plan_slabs(
        source.shape, unit, bytes_per_voxel=per_voxel, memory_bytes=memory_bytes
    )  # fmt: skip
    boxes = _boxes_of(source, slabs, scratch)
    facts: list[Facts] = []
    for box, voxels in track(boxes, total=sum(map(len, slabs)), label=label, unit="block"):
        if isinstance(target, NotedArray):
            facts += target.commit(box, convert(voxels))
        else:
            target[box.slices] = convert(voxels)
    if isinstance(target, NotedArray):
        target.keep(facts)


def _boxes_of(
    source: Source, slabs: list[list[Box]], scratch: Path
) -> Iterator[tuple[Box, NDArray[Any]]]:
    """Every box of the plan with its voxels."""
    for slab in slabs:
        if len(slab) == 1 or not source.plane_wise:
            yield from ((box, source.read(box)) for box in slab)
            continue
        first, path = slab[0].start[0], partial_path(scratch / "slab")
        try:
            unpacked = _unpack(source, first, slab[0].stop[0], path)
            for box in slab:
                yield box, unpacked.read(box.shift((-first, 0, 0)))
        finally:
            path.unlink(missing_ok=True)


def _unpack(source: Source, first: int, stop: int, path: Path) -> ContiguousFile:
    """Planes `first` to `stop` of a source in an uncompressed file."""
    _, n_y, n_x = source.shape
    with path.open("wb") as file:
        for z in range(first, stop):
            plane = source.read(Box((z, 0, 0), (z + 1, n_y, n_x)))
            file.write(np.ascontiguousarray(plane).data)
    return ContiguousFile(path, offset=0, shape=(stop - first, n_y, n_x), dtype=source.dtype)
