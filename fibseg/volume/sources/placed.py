"""Planes of a source somewhere in a volume, and planes that are decoded only once."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box
from fibseg.types import Shape
from fibseg.volume.files import room_for
from fibseg.volume.sources.contiguous import ContiguousFile
from fibseg.volume.sources.source import Source


class PlacedPlanes(Source):
    """Some planes of a volume: `source` where it has them, 0 on all other planes."""

    def __init__(self, source: Source, *, depth: int, at: Mapping[int, int]) -> None:
        super().__init__(
            source.path, shape=(depth, *source.shape[1:]), dtype=source.dtype,
            spacing=source.spacing, plane_wise=source.plane_wise, palette=source.palette,
        )  # fmt: skip
        self._source = source
        self._at = dict(at)  # plane of the volume -> plane of the source

    @property
    def unit(self) -> Shape:
        """That of the source in a plane, and one plane: neighbours may lie far apart in it."""
        return (1, *self._source.unit[1:])

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`, 0 where the source has no plane."""
        out = np.zeros(box.shape, self.dtype)
        for k in range(box.shape[0]):
            plane = self._at.get(box.start[0] + k)
            if plane is not None:
                start, stop = (plane, *box.start[1:]), (plane + 1, *box.stop[1:])
                out[k] = self._source.read(Box(start, stop))[0]
        return out

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class UnpackedPlanes(Source):
    """A source of whole planes, each of which is decoded once for all blocks that it lies in.

    The first block that needs a plane puts it, uncompressed, into a file; the others read their
    part of that. A block removes the planes that are far from it. Several processes may read: each
    begins with another plane, so that they share out the decoding.

    Parameters
    ----------
    folder
        Where the files lie meanwhile; made here, and removed by `close`.
    keep
        How far from a block the planes may lie that other blocks in flight still need.
    """

    def __init__(self, source: Source, folder: Path, *, keep: int) -> None:
        super().__init__(
            source.path, shape=source.shape, dtype=source.dtype, spacing=source.spacing
        )
        self._source, self._folder, self._keep = source, folder, keep
        self._decoding = threading.Lock()
        with room_for(folder):
            folder.mkdir(parents=True)

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`."""
        self._drop(box.start[0] - self._keep, box.stop[0] + self._keep)
        out = np.empty(box.shape, self.dtype)
        depth = box.shape[0]
        for k in range(depth):
            turn = (k + os.getpid()) % depth
            out[turn] = self._part(box.start[0] + turn, box)
        return out

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _part(self, z: int, box: Box) -> NDArray[Any]:
        """The part of plane `z` that lies in `box`, shape (y, x)."""
        part = Box((0, *box.start[1:]), (1, *box.stop[1:]))
        while True:
            try:
                voxels = ContiguousFile(
                    self._folder / f"{z}", offset=0, shape=(1, *self.shape[1:]), dtype=self.dtype
                ).read(part)
            except FileNotFoundError:  # not yet decoded, or removed meanwhile
                self._unpack(z)
            else:
                plane: NDArray[Any] = voxels[0]
                return plane

    def _unpack(self, z: int) -> None:
        path = self._folder / f"{z}"
        partial = self._folder / f"{z}.{os.getpid()}"
        with self._decoding:  # one plane at a time: that is what memory was planned for
            if path.exists():
                return
            plane = self._source.read(Box((z, 0, 0), (z + 1, *self.shape[1:])))
            with room_for(path, plane.nbytes):
                partial.write_bytes(np.ascontiguousarray(plane).data)
                partial.replace(path)

    def _drop(self, before: int, after: int) -> None:
        """Remove the planes outside of a range."""
        for path in self._folder.iterdir():
            if path.name.isdigit() and not before <= int(path.name) < after:
                path.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoding": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _decoding=threading.Lock())
