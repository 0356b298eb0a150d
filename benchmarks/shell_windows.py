"""How many windows a network computes near the envelope of a real nucleus, and on everything.

    python benchmarks/shell_windows.py --data DIR

The nucleus of `hela_cell_labels.npz` (50 × 40 × 40 nm, deeply folded), the nearest voxel at 20 nm:
750 × 1000 × 1000. Windows, blocks and range are those of `fibseg pores`: 48² pixels that count in
96², blocks of a shard, 150 nm inside to 100 nm outside. The engine itself is asked which windows it
needs; they are counted, not computed. Everything is the same engine without `within=`. Asked: near
the envelope at least 5 times fewer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Grid
from fibseg.data import Normalisation
from fibseg.geometry import Box
from fibseg.inference.lattice import Ints, Lattice
from fibseg.inference.oblique import ObliquePredictor, near_border
from fibseg.inference.oblique_plan import ObliquePlan, orientations_named
from fibseg.volume.layout import block_shape

SPACING, FINE = (50.0, 40.0, 40.0), (20.0, 20.0, 20.0)
WITHIN_NM = (-150.0, 100.0)


class Counting(ObliquePredictor):
    """A predictor that counts windows instead of computing them."""

    def _windows(
        self, lattice: Lattice, raw: NDArray[Any], read: Box, windows: Ints
    ) -> NDArray[np.float32]:
        counted.append(len(windows))
        return np.zeros((len(windows), 1, self.plan.core, self.plan.core), np.float32)


counted: list[int] = []


def n_windows(plan: ObliquePlan, write: Box, labels: NDArray[Any] | None) -> int:
    """Windows that a block needs, near the border of labels or all."""
    counted.clear()
    read = plan.read_box(write)
    wanted = None if labels is None else near_border(labels, read, write, plan=plan)
    if wanted is None or wanted.any():
        nothing: Any = None
        Counting(nothing, 1, plan, Normalisation(0.0, 255.0, invert=False)).box(
            nothing, read, write, wanted=wanted
        )
    return sum(counted)


def at_20_nm(nucleus: NDArray[np.bool_], box: Box) -> NDArray[np.uint8]:
    """The nearest voxels of the mask."""
    places = [
        np.minimum(((np.arange(a, b) + 0.5) * fine / coarse).astype(int), n - 1)
        for a, b, fine, coarse, n in zip(
            box.start, box.stop, FINE, SPACING, nucleus.shape, strict=True
        )
    ]
    return nucleus[np.ix_(*places)].astype(np.uint8)


def main() -> None:
    """Print a row for each way of looking."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of hela_cell_labels.npz")
    given = parser.parse_args()
    with np.load(given.data / "hela_cell_labels.npz") as arrays:
        nucleus = np.isin(arrays["label"], (1, 2))
    z, y, x = (
        round(n * s / f) for n, s, f in zip(nucleus.shape, SPACING, FINE, strict=True)
    )
    whole = Box.whole((z, y, x))
    grid = Grid.over(whole.shape, block_shape(whole.shape, ome_version="0.5"))
    blocks = [grid.box(number) for number in range(len(grid))]
    print("| along | windows near the envelope | of all | times fewer |\n|---|---|---|---|")
    for way in ("z", "orthogonal"):
        plan = ObliquePlan(
            (z, y, x), FINE, 20.0, core=48, margin=24, context=0, batch=16,
            orientations=orientations_named(way, 3), within_nm=WITHIN_NM,
        )
        near = sum(n_windows(plan, b, at_20_nm(nucleus, plan.read_box(b))) for b in blocks)
        # Blocks of one shape need about as many windows wherever they lie: the middle one tells.
        of_shape: dict[tuple[int, ...], list[Box]] = {}
        for block in blocks:
            of_shape.setdefault(block.shape, []).append(block)
        every = sum(
            len(same) * n_windows(plan, same[len(same) // 2], None) for same in of_shape.values()
        )
        print(f"| {way} | {near:,} | {every:,} | {every / near:.1f} |", flush=True)


if __name__ == "__main__":
    main()
