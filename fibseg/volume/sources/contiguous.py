"""Voxels that lie one after the other in a file, read without mapping the file into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.types import Shape
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.units import FileSpacing


class ContiguousFile(Source):
    """A C-ordered block of voxels at a byte offset: NPY, MRC and uncompressed TIFF alike.

    Memory maps would be shorter to write, but their pages count as memory of the process, so
    that a job of 2 GB looks (and on a cluster is killed) like one of the size of the file.

    Raises
    ------
    DataError
        If the file is shorter than its header promises.
    """

    def __init__(
        self, path: Path, *, offset: int, shape: Shape, dtype: np.dtype[Any],
        spacing: FileSpacing | None = None, data_path: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__(path, shape=shape, dtype=dtype, spacing=spacing)
        self._data_path = data_path or path
        self._offset = offset
        self._file_dtype = dtype
        present = self._data_path.stat().st_size - offset
        plane_bytes = shape[1] * shape[2] * dtype.itemsize
        if present < shape[0] * plane_bytes:
            raise DataError(
                f"{path} is truncated: its header promises {shape[0]} planes of "
                f"{shape[1]} x {shape[2]} {dtype.name}, the file holds "
                f"{max(0, present) / plane_bytes:.1f}. Copy or export it again."
            )

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`."""
        _, n_y, n_x = self.shape
        n_z, n_rows, _ = box.shape
        out = np.empty(box.shape, self.dtype)
        rows = np.empty((n_rows, n_x), self._file_dtype)
        with self._data_path.open("rb") as file:
            for k in range(n_z):
                voxel = ((box.start[0] + k) * n_y + box.start[1]) * n_x
                file.seek(self._offset + voxel * self._file_dtype.itemsize)
                # a row band is contiguous in the file; columns and byte order come afterwards
                file.readinto(rows.view(np.uint8).data)
                out[k] = rows[:, box.slices[2]]
        return out
