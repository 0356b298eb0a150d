"""How many edits separate clean-up from the truth, where mitochondria touch and where none does.

    python benchmarks/touching.py [--seeds 0 4]

Phantoms whose mitochondria are swollen until many touch, and the same as they are; probabilities
are the truth, blurred and noisy, so that nothing but shape tells where two objects meet. Every
rule of the watershed works on the objects that `postprocess=mitochondria` makes before it. A cell
holds merges + splits + other edits (Funke et al. 2017) to the truth, summed over the phantoms.

The settings were chosen on seeds 0 to 3, at cubes of 20 nm; run others for a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fibseg.metrics import Edits
from fibseg.phantom import make_cell
from fibseg.postprocess import (
    closing,
    components,
    fill_holes,
    grow_regions,
    remove_small,
    smooth,
    threshold,
    watershed,
)
from fibseg.types import Labels, Spacing

GRIDS: dict[Spacing, tuple[tuple[int, int, int], float]] = {
    (20.0, 20.0, 20.0): ((112, 160, 160), 30.0), (40.0, 16.0, 16.0): ((56, 200, 200), 44.0),
}
"""Size of a voxel: number of voxels, and swelling in nm; on coarse grids phantoms keep apart."""

RULES = {
    "no watershed": None,
    "depth 50 nm": {"depth_nm": 50.0},
    "depth 80 nm": {"depth_nm": 80.0},
    "depth 25 nm, angle 16°": {"depth_nm": 25.0, "min_angle_deg": 16.0},
}


def probabilities(truth: Labels) -> NDArray[np.uint8]:
    noise = 0.5 * np.random.default_rng(1).standard_normal(truth.shape)
    blurred = ndimage.gaussian_filter((truth > 0) + noise, 1.0)
    return np.clip(255 * blurred, 0, 255).astype(np.uint8)


def cleaned(probs: NDArray[np.uint8], spacing: Spacing) -> Labels:
    """As `postprocess=mitochondria` does without its watershed."""
    mask = threshold(smooth(probs, sigma_nm=20, spacing=spacing), level=0.5)
    mask = remove_small(mask, min_volume_um3=0.0005, spacing=spacing)
    mask = fill_holes(closing(mask, radius_nm=20, spacing=spacing), spacing=spacing)
    return components(mask, min_volume_um3=0.002, spacing=spacing)


def phantoms(seeds: range, swollen_nm: float, spacing: Spacing) -> Iterator[tuple[Labels, Labels]]:
    """Truth, and what is found of it."""
    for seed in seeds:
        cell = make_cell(GRIDS[spacing][0], seed=seed, pores=False, spacing=spacing)
        truth = cell.labels["mitochondria"].astype(np.uint32)
        truth = grow_regions(truth, distance_nm=swollen_nm, spacing=spacing)
        yield truth, cleaned(probabilities(truth), spacing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs=2, default=[0, 4], help="from, up to")
    options = parser.parse_args()
    for spacing, (_, most_nm) in GRIDS.items():
        for swollen_nm in (most_nm, 0.0):
            edits, n_true = dict.fromkeys(RULES, Edits()), 0
            for truth, found in phantoms(range(*options.seeds), swollen_nm, spacing):
                n_true += len(np.unique(truth)) - 1
                for name, rule in RULES.items():
                    parts = watershed(found, **rule, spacing=spacing) if rule else found
                    edits[name] += Edits.between(parts, truth)
            print(f"\nvoxels {spacing} nm, {n_true} mitochondria swollen by {swollen_nm:g} nm")
            for name, e in edits.items():
                rest = e.n_additions + e.n_deletions
                print(f"{name:24} {e.n_merges:3} + {e.n_splits:3} + {rest:3} = {e.n_edits:4}",
                      flush=True)


if __name__ == "__main__":
    main()
