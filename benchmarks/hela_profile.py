"""The cell profile of a whole real HeLa cell, beside an independent computation; and its figure.

    python benchmarks/hela_profile.py --data DIR --out DIR

Labels of SBF-SEM, 300 × 500 × 500 voxels of 50 × 40 × 40 nm: one cell with its nucleus, which is
deeply folded, and nuclei of the cells around it. They become a store (there is no image of this
grid: the numbers of the labels stand for it), and `fibseg measure` and `fibseg distance` work on
it. Beside that: voxels counted by NumPy, distances of all voxels by SciPy on the whole, of objects
by a k-d tree of the faces of the membranes. The figure shows how the cytoplasm is spread over the
distances to nucleus and plasma membrane. The first and last plane cut the cell.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from fibseg.report.figures import STYLE
from fibseg.types import Spacing
from fibseg.volume import Volume

SPACING: Spacing = (50.0, 40.0, 40.0)
FARTHEST_NM = 12_000.0
LEAST_UM3 = 1.0
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
Mask = NDArray[np.bool_]


def parts_of(data: Path) -> dict[str, Mask]:
    """Cell, nucleus up to its outer membrane, and nuclei of other cells."""
    with np.load(data / "hela_cell_labels.npz") as arrays:
        label, several = arrays["label"], arrays["label_multinuclei"]
    others = ndimage.label((label == 3) & (several == 2))[0]
    large = np.bincount(others.ravel()) * math.prod(SPACING) * 1e-9 >= LEAST_UM3
    large[0] = False
    nucleus = np.isin(label, (1, 2))
    return {"nucleus": nucleus, "cell": nucleus | (label == 5), "other_nuclei": large[others]}


def fibseg(*words: object) -> None:
    """Run one fibseg command as a user would."""
    subprocess.run([sys.executable, "-m", "fibseg", *map(str, words)], check=True)


def profiled(parts: dict[str, Mask], folder: Path) -> Volume:
    """The store, with tables and distance maps."""
    volume = f"volume={folder / 'hela.ome.zarr'}"
    arrays = {name: mask.astype(np.uint8) for name, mask in parts.items()}
    np.savez(folder / "hela.npz", image=sum(arrays.values()) * np.uint8(80), **arrays)
    source = f"source={folder / 'hela.npz'}"
    fibseg("import", source, "array=image", volume, f"spacing={list(SPACING)}", "polarity=dark")
    for name in parts:
        number = ["objects=components"] if name == "other_nuclei" else []
        fibseg("import", source, f"array={name}", volume, "kind=labels", f"name={name}", *number)
    fibseg("measure", volume, "objects=nucleus", "to=[cell]", "keep_border=true")
    fibseg("measure", volume, "objects=cell", "to=[nucleus]", "keep_border=true")
    fibseg("measure", volume, "objects=other_nuclei", "to=[nucleus,cell]", "keep_border=true")
    for name in ("nucleus", "cell"):
        fibseg("distance", volume, f"labels={name}", f"max_nm={FARTHEST_NM:g}")
    return Volume.open(folder / "hela.ome.zarr")


def distances(mask: Mask) -> NDArray[np.float64]:
    """Signed distance in nm of every voxel to the nearest one of the other side, by SciPy."""
    outside = ndimage.distance_transform_edt(~mask, sampling=SPACING)
    return outside - ndimage.distance_transform_edt(mask, sampling=SPACING)


def faces(mask: Mask) -> NDArray[np.float64]:
    """Centres in nm of all faces between the mask and what is not."""
    found = []
    for axis in range(3):
        at = np.argwhere(np.diff(mask.astype(np.int8), axis=axis)).astype(float)
        at[:, axis] += 0.5
        found.append(at * SPACING)
    return np.concatenate(found)


def surface_voxels(mask: Mask) -> NDArray[np.float64]:
    """Centres in nm of voxels that have a neighbour outside, across a face."""
    inside = ndimage.binary_erosion(mask, border_value=1)
    return np.argwhere(mask & ~inside) * SPACING


def compare_objects(store: Volume, parts: dict[str, Mask]) -> None:
    """Print tables of nuclei around the cell beside what a k-d tree says."""
    labels, table = store.labels("other_nuclei")[:], store.table("other_nuclei")
    trees = {name: KDTree(faces(parts[name])) for name in ("nucleus", "cell")}
    worst = 0.0
    for row, (number, box) in enumerate(zip(
        table["label"].tolist(), ndimage.find_objects(labels), strict=True
    )):
        corner = np.array([cut.start for cut in box])
        # One voxel of room, so that what touches the box is not taken for a face of the volume.
        mask = np.pad(labels[box] == number, 1)
        at_face = [(s.start == 0, s.stop == n) for s, n in zip(box, labels.shape, strict=True)]
        inner = tuple(slice(int(a), -1 if b else None) for a, b in at_face)
        shift = (corner - 1 + [int(a) for a, _ in at_face]) * SPACING
        surface = surface_voxels(mask[inner]) + shift
        centre = (np.argwhere(labels[box] == number).mean(axis=0) + corner) * SPACING
        for name, tree in trees.items():
            pairs = (
                (f"distance_{name}_um", tree.query(centre)[0]),
                (f"surface_distance_{name}_um", tree.query(surface)[0].min()),
                (f"mean_surface_distance_{name}_um", tree.query(surface)[0].mean()),
            )
            worst = max(worst, *(abs(table[key][row] * 1e3 - nm) for key, nm in pairs))
    print(f"{len(table['label'])} nuclei of other cells, all distances to nucleus and cell: "
          f"largest difference {worst:.2g} nm")


def compare_voxels(store: Volume, parts: dict[str, Mask]) -> dict[str, NDArray[np.float32]]:
    """Distances in nm of the voxels of the cytoplasm, printed beside SciPy's."""
    cytoplasm, found = parts["cell"] & ~parts["nucleus"], {}
    # One voxel around the cell is enough: what is nearest to its inside is not farther out.
    box = tuple(
        slice(max(0, s.start - 1), s.stop + 1)
        for s in ndimage.find_objects(parts["cell"].astype(np.uint8))[0]
    )
    for name in ("nucleus", "cell"):
        nm = store.distances(name)[:][box][cytoplasm[box]]
        whole = distances(parts[name][box])[cytoplasm[box]]
        print(f"{nm.size} voxels of cytoplasm to {name}: largest difference "
              f"{np.abs(nm - whole).max():.2g} nm of {np.abs(whole).max():.0f}")
        found[name] = np.abs(nm)
    return found


def print_profile(store: Volume, parts: dict[str, Mask]) -> None:
    """Volumes beside voxels counted, and shapes."""
    voxel_um3 = math.prod(SPACING) * 1e-9
    profile = store.table_info("nucleus")["measured"]["profile"]
    for name in ("cell", "nucleus"):
        counted = np.count_nonzero(parts[name]) * voxel_um3
        print(f"{name}: {profile[name]['volume_um3']:.3f} µm³, counted {counted:.3f}")
        table, n = store.table(name), len(store.table(name)["label"])
        area, ratio = (table[f"surface_{key}"][0] for key in ("area_um2", "to_volume_per_um"))
        print(f"  surface {area:.1f} µm², {ratio:.3f} per µm; sphericity "
              f"{table['sphericity'][0]:.3f}, {n} object, cut by a face: "
              f"{bool(table['touches_border'][0])}")
    cytoplasm = np.count_nonzero(parts["cell"] & ~parts["nucleus"]) * voxel_um3
    share = profile["nucleus"]["share_of_cell"]
    print(f"cytoplasm, counted: {cytoplasm:.3f} µm³; nucleus is {share:.1%} of the cell")


def draw(
    store: Volume, parts: dict[str, Mask], found: dict[str, NDArray[np.float32]], path: Path
) -> None:
    """A section with lines of equal distance, and how the cytoplasm is spread over them."""
    um = {name: nm / 1e3 for name, nm in found.items()}
    um["nearer of both"] = np.minimum(um["nucleus"], um["cell"])
    colors = dict(zip(um, (BLUE, ORANGE, GREEN), strict=True))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.5, 4.0), layout="constrained")
        section, spread, both = figure.subplots(1, 3)
        _section(section, store, parts)
        bins = np.arange(0, max(v.max() for v in um.values()) + 0.1, 0.1)
        voxel_um3 = math.prod(SPACING) * 1e-9
        for name, values in um.items():
            weights = np.full(values.size, voxel_um3 / 0.1)
            spread.hist(values, bins, weights=weights, histtype="step", color=colors[name],
                        lw=1.6, label=f"{name}, median {np.median(values):.2f} µm")
        spread.set(xlabel="distance (µm)", ylabel="cytoplasm (µm³ per µm)", xlim=(0, None))
        spread.legend(frameon=False, fontsize=9)
        image = both.hist2d(um["nucleus"], um["cell"], bins=80, cmap="cividis", cmin=1,
                            norm="log")[3]
        figure.colorbar(image, ax=both, label="voxels")
        both.set(xlabel="to nucleus (µm)", ylabel="to plasma membrane (µm)", aspect="equal")
        figure.savefig(path, dpi=150)


def _section(axes: Axes, store: Volume, parts: dict[str, Mask]) -> None:
    """The plane with the most nucleus, in µm."""
    z = int(parts["nucleus"].sum(axis=(1, 2)).argmax())
    shown = np.ones((*parts["cell"].shape[1:], 3))
    for name, rgb in (("other_nuclei", (0.8,) * 3), ("cell", (0.96, 0.87, 0.8)),
                      ("nucleus", (0.7, 0.82, 0.92))):
        shown[parts[name][z]] = rgb
    extent = (0, shown.shape[1] * SPACING[2] / 1e3, shown.shape[0] * SPACING[1] / 1e3, 0)
    axes.imshow(shown, extent=extent)
    inside = parts["cell"][z] & ~parts["nucleus"][z]
    um = np.where(inside, store.distances("nucleus")[z] / 1e3, np.nan)
    axes.contour(um, levels=[1, 2, 3, 4], extent=(*extent[:2], 0, extent[2]), colors=BLUE,
                 linewidths=0.7)
    axes.set(xlabel="x (µm)", ylabel="y (µm)", title=f"plane {z}: each µm from the nucleus")
    axes.title.set_fontsize(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="new folder for store and figure")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    parts = parts_of(options.data)
    store = profiled(parts, options.out)
    print_profile(store, parts)
    compare_objects(store, parts)
    found = compare_voxels(store, parts)
    draw(store, parts, found, options.out / "hela_profile.png")


if __name__ == "__main__":
    main()
