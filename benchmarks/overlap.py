"""What reading ahead and writing behind saves, on a disk at hand and on a distant one.

    python benchmarks/overlap.py [--delay 0.2] [--blocks-per-worker 8]

A volume in Zarr is smoothed block by block into another one, once with one block at a time in each
process and once as fibseg does it: one block is computed while the next is read and the one before
is written. ``--delay`` is how many seconds longer a file server takes for every block that is read
or written; the processor waits meanwhile.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fibseg.blocks import IN_FLIGHT, Processes, Serial, map_blocks
from fibseg.postprocess import smooth
from fibseg.volume.layout import create_array

BLOCK = (64, 256, 256)


@dataclass(frozen=True)
class Distant:
    """An array on a file server that answers late."""

    array: zarr.Array
    delay: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the array."""
        return self.array.dtype

    @property
    def shards(self) -> tuple[int, ...]:
        """Shape of one file."""
        return tuple(self.array.shards or self.array.chunks)

    def __getitem__(self, box: Any) -> Any:
        time.sleep(self.delay)
        return self.array[box]

    def __setitem__(self, box: Any, voxels: Any) -> None:
        time.sleep(self.delay)
        self.array[box] = voxels


def timed(runner: Any, in_flight: int, delay: float, folder: Path) -> float:
    """Million voxels a second."""
    source, target = (Distant(zarr.open_array(folder / n), delay) for n in ("in", "out"))
    fn = functools.partial(smooth, sigma_nm=20.0, spacing=(10.0, 10.0, 10.0))
    begin = time.perf_counter()
    map_blocks(
        fn, source, target, block_shape=BLOCK, runner=replace(runner, in_flight=in_flight)
    )
    return math.prod(source.shape) / 1e6 / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--blocks-per-worker", type=int, default=8)
    given = parser.parse_args()
    planes = BLOCK[0] * given.blocks_per_worker * Processes().at_once()
    with tempfile.TemporaryDirectory() as temporary:
        shape, folder = (planes, *BLOCK[1:]), Path(temporary)
        for name, dtype in (("in", np.uint8), ("out", np.float32)):
            create_array(folder / name, shape=shape, dtype=np.dtype(dtype), ome_version="0.5")
        image = zarr.open_array(folder / "in", mode="r+")
        image[:] = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
        for runner in (Serial(), Processes()):
            timed(runner, IN_FLIGHT, 0.0, folder)  # workers are there, files are in memory
            for delay in (0.0, given.delay):
                one, several = (timed(runner, n, delay, folder) for n in (1, IN_FLIGHT))
                sys.stdout.write(
                    f"{type(runner).__name__:9} delay {delay:.2f} s: one block at a time "
                    f"{one:.1f} Mvoxel/s, overlapped {several:.1f}, {several / one:.2f} x\n"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
