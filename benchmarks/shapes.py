"""Every measure of the shape of 10 000 objects in 512³ voxels, beside what users have.

    python benchmarks/shapes.py [--side 512] [--rounds 1] [--keep DIR]

Numbered balls of 4 to 10 voxels radius on a jittered grid and a noisy image lie in Zarr (shards of
64 x 512 x 512, checksums), at 10 nm. fibseg measures voxels, box, centroid, axes and their
direction, surface, surface to volume, sphericity, elongation, Euler number and intensities: once of
arrays in memory, and once from Zarr over blocks on all cores, reading and the start of processes
included. The peer takes skimage's regionprops_table of the same arrays in memory, and for the
surface marching cubes of each object in its own box. Target: at least 4 times as fast.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import zarr
from components import Measured, measure, say
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

CELL = 23.2
"""Distance of the jittered grid that objects sit on, voxels: 22³ = 10 648 of them in 512³."""

MEMORY = """
import sys, time, zarr, numpy as np
from fibseg.measure import shape
group = zarr.open_group(sys.argv[1])
labels, image = group["labels"][:], group["image"][:]
begin = time.perf_counter()
table = shape.measure(labels, image, keep_border=True, spacing=(10.0, 10.0, 10.0))
seconds = time.perf_counter() - begin
np.savez(sys.argv[2], n_voxels=table["n_voxels"], surface=table["surface_area_um2"],
         euler=table["euler_number"])
print(len(table["label"]), int(np.sum(table["n_voxels"])), 0, seconds)
"""

BLOCKS = """
import sys, time, zarr, numpy as np
if __name__ == "__main__":
    from fibseg.blocks import Processes
    from fibseg.pipeline.shape_sums import shape_table
    group = zarr.open_group(sys.argv[1])
    block = tuple(min(b, n) for b, n in zip((64, 512, 512), group["labels"].shape))
    begin = time.perf_counter()
    table = shape_table(
        group["labels"], group["image"], keep_border=True, block_shape=block, runner=Processes(),
        spacing=(10.0, 10.0, 10.0),
    )
    seconds = time.perf_counter() - begin
    np.savez(sys.argv[2], n_voxels=table["n_voxels"], surface=table["surface_area_um2"],
             euler=table["euler_number"])
    print(len(table["label"]), int(np.sum(table["n_voxels"])), 0, seconds)
"""

SKIMAGE = """
import sys, time, zarr, numpy as np
from skimage.measure import marching_cubes, mesh_surface_area, regionprops_table
group = zarr.open_group(sys.argv[1])
labels, image = group["labels"][:], group["image"][:]
begin = time.perf_counter()
table = regionprops_table(labels, image, spacing=(0.01, 0.01, 0.01), properties=(
    "label", "num_pixels", "area", "bbox", "centroid", "axis_major_length", "axis_minor_length",
    "inertia_tensor", "euler_number", "intensity_mean", "intensity_std", "intensity_min",
    "intensity_max", "slice",
))
surface = []
for number, box in zip(table["label"], table["slice"]):
    mask = np.pad(labels[box] == number, 1)
    vertices, faces, _, _ = marching_cubes(mask, 0.5, spacing=(0.01, 0.01, 0.01))
    surface.append(mesh_surface_area(vertices, faces))
seconds = time.perf_counter() - begin
np.savez(sys.argv[2], n_voxels=table["num_pixels"], surface=surface, euler=table["euler_number"])
print(len(table["label"]), int(table["num_pixels"].sum()), 0, seconds)
"""


def make_labels(path: Path, side: int) -> None:
    """Numbered balls and an image of noise."""
    group = zarr.open_group(path, mode="w")
    for name, dtype in (("labels", np.uint32), ("image", np.uint8)):
        group.create_array(
            name, shape=(side,) * 3, dtype=dtype, chunks=(64, 64, 64), shards=(64, 512, 512),
            compressors=ZstdCodec(level=1, checksum=True), config={"write_empty_chunks": True},
        )
    group["labels"][:] = balls(side)
    rng = np.random.default_rng(1)
    for z in range(0, side, 64):
        shape = (min(64, side - z), side, side)
        group["image"][z : z + 64] = rng.integers(0, 256, shape, np.uint8)


def balls(side: int) -> NDArray[np.uint32]:
    """Balls that do not touch, numbered in C order of the grid."""
    labels = np.zeros((side,) * 3, np.uint32)
    n = int(side / CELL)
    centres = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    centres = (centres + 0.5 + rng.uniform(-0.05, 0.05, centres.shape)) * CELL
    for number, (centre, r) in enumerate(
        zip(centres, rng.uniform(4, 10, len(centres)), strict=True), start=1
    ):
        box = tuple(slice(max(int(c - r), 0), min(math.ceil(c + r) + 1, side)) for c in centre)
        grid = np.ogrid[box]
        ball = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < r * r
        labels[box][ball] = number
    return labels


def run(name: str, script: str, folder: Path, side: int) -> Measured:
    """Run a script, say how long it took; its table is left in ``FOLDER/NAME.npz``."""
    found = measure(script, folder / "labels.zarr", str(folder / f"{name}.npz"))
    say(
        f"{name}: {found.n_objects} objects of {found.n_voxels} voxels, {found.measure_s:.1f} s, "
        f"{found.rate(side):.1f} Mvoxel/s (process {found.process_s:.1f} s), peak "
        f"{found.resident / 2**30:.2f} GiB resident"
    )
    return found


def compare(folder: Path, own: Measured, peer: Measured, name: str) -> None:
    """How much faster, and whether both found the same."""
    with np.load(folder / f"{name}.npz") as ours, np.load(folder / "skimage.npz") as theirs:
        same = all(np.array_equal(ours[key], theirs[key]) for key in ("n_voxels", "euler"))
        ratio = np.median(theirs["surface"] / ours["surface"])
    say(
        f"{name} is {peer.measure_s / own.measure_s:.1f} x as fast as skimage; voxels and Euler "
        f"numbers {'the same' if same else 'OTHER'}; marching cubes finds {ratio:.3f} of the "
        "surface (median)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the volume, used again next time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "labels.zarr").exists():
            make_labels(folder / "labels.zarr", given.side)
        for _ in range(given.rounds):
            peer = run("skimage", SKIMAGE, folder, given.side)
            for name, script in (("fibseg in memory", MEMORY), ("fibseg over blocks", BLOCKS)):
                compare(folder, run(name, script, folder, given.side), peer, name)


if __name__ == "__main__":
    main()
