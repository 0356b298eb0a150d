"""Components and their statistics on a volume far larger than a block, beside what users have.

    python benchmarks/components.py [--sides 512 768 1024] [--peers] [--keep DIR]

A procedural mask of some 10 000 rounded objects per gigavoxel and a noisy image lie in Zarr (shards
of 64 x 512 x 512, checksums). fibseg numbers the mask's 26-connected components into another Zarr
array and measures voxels, bounding box, centroid and second moments of each, on all cores. Targets:
25 Mvoxel/s from Zarr to Zarr and table, 3 GiB for the whole process tree, the same time per voxel
at every size once the start-up is taken off (a straight line through all sizes).

``--peers`` adds, at the first size: skimage in memory with the same statistics, intensities too,
against fibseg with intensities, once on all cores and once in one process with one block at a time;
and dask-image from the same Zarr with voxels and centroids.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import zarr
from infer_memory import tree_bytes
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

CELL = 46
"""Distance of the jittered grid that objects sit on, voxels: 22³ of them in 1024³."""

FIBSEG = """
import sys, time, zarr, numpy as np
if __name__ == "__main__":
    from fibseg.blocks import Processes, Serial, label_blocks
    from fibseg.pipeline.operators import region_table
    group = zarr.open_group(sys.argv[1])
    image = group["image"] if "image" in sys.argv else None
    runner = Serial(in_flight=1) if "frugal" in sys.argv else Processes()
    block = tuple(min(b, n) for b, n in zip((64, 512, 512), group["mask"].shape))
    begin = time.perf_counter()
    n = label_blocks(group["mask"], group["labels"], block_shape=block, runner=runner)
    middle = time.perf_counter()
    table = region_table(
        group["labels"], image, block_shape=block, runner=runner, spacing=(10.0, 10.0, 10.0)
    )
    end = time.perf_counter()
    print(n, int(np.sum(table["n_voxels"])), middle - begin, end - middle)
"""

SKIMAGE = """
import sys, time, zarr, numpy as np
from skimage.measure import label, regionprops_table
begin = time.perf_counter()
group = zarr.open_group(sys.argv[1])
labels = label(group["mask"][:], connectivity=3)
middle = time.perf_counter()
table = regionprops_table(labels, group["image"][:], properties=(
    "label", "area", "bbox", "centroid", "inertia_tensor", "intensity_mean", "intensity_min",
    "intensity_max",
))
print(len(table["label"]), int(table["area"].sum()), middle - begin, time.perf_counter() - middle)
"""

DASK_IMAGE = """
import sys, time, zarr, numpy as np, dask.array as da
from dask_image import ndmeasure
begin = time.perf_counter()
mask = da.from_zarr(zarr.open_group(sys.argv[1])["mask"], chunks=(128, 256, 256))
labels, n = ndmeasure.label(mask, structure=np.ones((3, 3, 3)))
n = int(n.compute())
labels = labels.rechunk((64, 512, 512))
out = zarr.create_array(
    sys.argv[1] + "-dask", shape=mask.shape, dtype=np.uint32, chunks=(64, 512, 512), overwrite=True
)
da.store(labels.astype(np.uint32), out)
middle = time.perf_counter()
stored = da.from_zarr(out)
index = np.arange(1, n + 1)
area = ndmeasure.area(stored > 0, stored, index)
centroid = ndmeasure.center_of_mass(stored > 0, stored, index)
area, centroid = da.compute(area, centroid)
print(n, int(area.sum()), middle - begin, time.perf_counter() - middle)
"""


def make_mask(path: Path, side: int) -> zarr.Group:
    """Balls of 5 to 22 voxels radius on a jittered grid, slab by slab, and noise as their image."""
    group = zarr.open_group(path, mode="w")
    shape, shards = (side,) * 3, (64, 512, 512)
    for name, dtype in (("mask", np.uint8), ("image", np.uint8), ("labels", np.uint32)):
        group.create_array(
            name, shape=shape, dtype=dtype, chunks=(64, 64, 64), shards=shards,
            compressors=ZstdCodec(level=1, checksum=True), config={"write_empty_chunks": True},
        )
    rng = np.random.default_rng(1)
    for z in range(0, side, 64):
        mask = slab(side, z, min(z + 64, side))
        group["mask"][z : z + 64] = mask
        group["image"][z : z + 64] = 60 * mask + rng.integers(0, 100, mask.shape, np.uint8)
    return group


def slab(side: int, start: int, stop: int) -> NDArray[np.uint8]:
    """Planes `start` to `stop` of the mask."""
    out = np.zeros((stop - start, side, side), np.uint8)
    n = side // CELL
    centers = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    centers = (centers + 0.5 + rng.uniform(-0.2, 0.2, centers.shape)) * CELL
    radii = rng.uniform(5, 22, len(centers))
    for (z, y, x), r in zip(centers, radii, strict=True):
        low = [max(int(c - r), a) for c, a in zip((z, y, x), (start, 0, 0), strict=True)]
        high = [min(math.ceil(c + r) + 1, b) for c, b in zip((z, y, x), (stop, side, side),
                                                             strict=True)]
        if low[0] >= high[0]:
            continue
        grid = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        ball = sum((g - c) ** 2 for g, c in zip(grid, (z, y, x), strict=True)) < r * r
        out[low[0] - start : high[0] - start, low[1] : high[1], low[2] : high[2]] |= ball
    return out


@dataclass(frozen=True)
class Measured:
    """What one run gave and took."""

    n_objects: int
    n_voxels: int
    label_s: float
    measure_s: float
    process_s: float
    resident: int
    proportional: int

    def rate(self, side: int) -> float:
        """Million voxels a second."""
        return side**3 / 1e6 / (self.label_s + self.measure_s)


def measure(script: str, folder: Path, *words: str) -> Measured:
    """Run a script on the volume in a process of its own."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        begin = time.perf_counter()
        process = psutil.Popen(
            [sys.executable, file.name, str(folder), *words], stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,
        )
        peak = (0, 0)
        while process.poll() is None:
            resident, proportional = tree_bytes(process)
            peak = max(peak[0], resident), max(peak[1], proportional)
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the script ended with {process.returncode}")
    n, voxels, label_s, measure_s = (float(word) for word in printed.split())
    return Measured(int(n), int(voxels), label_s, measure_s, seconds, *peak)


def report(name: str, side: int, found: Measured) -> None:
    """One line of the result."""
    say(
        f"{name} {side}³: {found.n_objects} objects of {found.n_voxels} voxels, "
        f"{found.rate(side):.1f} Mvoxel/s (label {found.label_s:.1f} s, measure "
        f"{found.measure_s:.1f} s, process {found.process_s:.1f} s), peak "
        f"{found.resident / 2**30:.2f} GiB resident, {found.proportional / 2**30:.2f} proportional"
    )


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def compare(side: int, folder: Path, alone: Measured) -> None:
    """Time and memory of fibseg and its peers at one size."""
    with_image = measure(FIBSEG, folder, "image")
    report("fibseg with intensities", side, with_image)
    frugal = measure(FIBSEG, folder, "image", "frugal")
    report("fibseg with intensities, one process and one block at a time", side, frugal)
    for name, script, owns in (
        ("skimage", SKIMAGE, (with_image, frugal)), ("dask_image", DASK_IMAGE, (alone,))
    ):
        if importlib.util.find_spec(name) is None:
            say(f"{name} is not installed: left out")
            continue
        peer = measure(script, folder)
        report(name, side, peer)
        for own in owns:
            same = (peer.n_objects, peer.n_voxels) == (own.n_objects, own.n_voxels)
            say(
                f"fibseg is {own.rate(side) / peer.rate(side):.2f} x as fast as {name} and takes "
                f"{own.resident / peer.resident:.2f} of its memory; "
                f"{'the same' if same else 'OTHER'} objects"
            )


def straight_line(sides: list[int], runs: list[Measured]) -> None:
    """Start-up and time per voxel of all sizes together, and how each size compares."""
    voxels = np.array(sides, float) ** 3
    seconds = np.array([run.process_s for run in runs])
    # Weighted by 1 / voxels: each size counts with its relative error.
    slope, start = np.polyfit(voxels, seconds, 1, w=1 / voxels)
    say(f"start-up {start:.1f} s, then {1e-6 / slope:.1f} Mvoxel/s")
    for side, n, s in zip(sides, voxels, seconds, strict=True):
        say(f"  {side}³: {100 * ((s - start) / n / slope - 1):+.0f} % time per voxel")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 768, 1024])
    parser.add_argument("--peers", action="store_true", help="also skimage and dask-image")
    parser.add_argument("--keep", type=Path, help="folder for the volumes, used again next time")
    given = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as temporary:
        for side in given.sides:
            folder = (given.keep or Path(temporary)) / f"components-{side}.zarr"
            if not folder.exists():
                make_mask(folder, side)
            runs.append(measure(FIBSEG, folder, "alone"))
            report("fibseg", side, runs[-1])
            if given.peers and side == given.sides[0]:
                compare(side, folder, runs[-1])
    if len(runs) > 1:
        straight_line(given.sides, runs)


if __name__ == "__main__":
    main()
