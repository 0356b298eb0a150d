"""Components and their statistics on a volume far larger than a block, beside what users have.

    python benchmarks/components.py [--sides 512 768 1024] [--peers] [--keep DIR]

A procedural mask of some 10 000 rounded objects per gigavoxel lies in Zarr (shards of 64 x 512 x
512, checksums). fibseg numbers its 26-connected components into another Zarr array and measures
voxels, centroid and bounding box of each, on all cores. Targets: 25 Mvoxel/s from Zarr to Zarr and
table, 3 GiB for the whole process tree, the same time per voxel at every size. ``--peers`` runs
skimage (in memory) and dask-image (from the same Zarr) at the first size.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
import sys
import tempfile
import time
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
    from fibseg.blocks import Processes, label_blocks
    from fibseg.pipeline.operators import region_table
    group = zarr.open_group(sys.argv[1])
    block = tuple(min(b, n) for b, n in zip((64, 512, 512), group["mask"].shape))
    begin = time.perf_counter()
    n = label_blocks(group["mask"], group["labels"], block_shape=block, runner=Processes())
    middle = time.perf_counter()
    table = region_table(
        group["labels"], block_shape=block, runner=Processes(), spacing=(10.0, 10.0, 10.0)
    )
    end = time.perf_counter()
    print(n, int(np.sum(table["n_voxels"])), middle - begin, end - middle)
"""

SKIMAGE = """
import sys, time, zarr, numpy as np
from skimage.measure import label, regionprops_table
begin = time.perf_counter()
labels = label(zarr.open_group(sys.argv[1])["mask"][:], connectivity=3)
middle = time.perf_counter()
table = regionprops_table(labels, properties=("label", "area", "centroid", "bbox"))
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
    """Balls of 5 to 22 voxels radius on a jittered grid, slab by slab; some of them touch."""
    group = zarr.open_group(path, mode="w")
    shape, shards = (side,) * 3, (64, 512, 512)
    for name, dtype in (("mask", np.uint8), ("labels", np.uint32)):
        group.create_array(
            name, shape=shape, dtype=dtype, chunks=(64, 64, 64), shards=shards,
            compressors=ZstdCodec(level=1, checksum=True), config={"write_empty_chunks": True},
        )
    for z in range(0, side, 64):
        group["mask"][z : z + 64] = slab(side, z, min(z + 64, side))
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


def measure(script: str, folder: Path) -> tuple[list[float], float, tuple[int, int]]:
    """What a script printed, its wall seconds, and the peak bytes of its process tree."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(script)
        file.flush()
        begin = time.perf_counter()
        process = psutil.Popen(
            [sys.executable, file.name, str(folder)], stdout=subprocess.PIPE, text=True,
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
    return [float(word) for word in printed.split()], seconds, peak


def report(name: str, side: int, script: str, folder: Path) -> float:
    """One line of the result; returns million voxels a second."""
    (n, voxels, label_s, measure_s), seconds, peak = measure(script, folder)
    rate = side**3 / 1e6 / (label_s + measure_s)
    sys.stdout.write(
        f"{name} {side}³: {n:.0f} objects of {voxels:.0f} voxels, {rate:.1f} Mvoxel/s "
        f"(label {label_s:.1f} s, measure {measure_s:.1f} s, all {seconds:.1f} s), peak "
        f"{peak[0] / 2**30:.2f} GiB resident, {peak[1] / 2**30:.2f} GiB proportional\n"
    )
    sys.stdout.flush()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 768, 1024])
    parser.add_argument("--peers", action="store_true", help="also skimage and dask-image")
    parser.add_argument("--keep", type=Path, help="folder for the volumes, used again next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for side in given.sides:
            folder = (given.keep or Path(temporary)) / f"components-{side}.zarr"
            if not folder.exists():
                make_mask(folder, side)
            own = report("fibseg", side, FIBSEG, folder)
            if given.peers and side == given.sides[0]:
                for name, script in (("skimage", SKIMAGE), ("dask_image", DASK_IMAGE)):
                    if importlib.util.find_spec(name) is None:
                        sys.stdout.write(f"{name} is not installed: left out\n")
                        continue
                    peer = report(name, side, script, folder)
                    sys.stdout.write(f"fibseg is {own / peer:.1f} x {name}\n")


if __name__ == "__main__":
    main()
