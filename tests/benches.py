"""Where tests of chains keep their intermediate arrays: in memory, or on disk for processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from fibseg.pipeline.operators import Sheet


@dataclass
class MemoryBench:
    """Intermediate arrays as NumPy arrays, full of what was never written."""

    shape: tuple[int, ...]
    folder: Path

    def sheet(self, name, *, dtype, inputs):
        return Sheet(np.full(self.shape, 77, dtype=dtype), None, self.folder / name)


@dataclass
class DiskBench:
    """Intermediate arrays as Zarr arrays, opened again when they are there."""

    shape: tuple[int, ...]
    folder: Path

    def sheet(self, name, *, dtype, inputs=""):
        path = self.folder / f"{name}.zarr"
        array = zarr.open_array(path) if path.exists() else zarr.create_array(
            path, shape=self.shape, dtype=dtype, chunks=(8, 8, 8)
        )
        return Sheet(array, self.folder / f"{name}.journal", self.folder / name)

    def stored(self, name, values):
        """Array with contents, to read from."""
        array = self.sheet(name, dtype=values.dtype).array
        array[:] = values
        return array
