"""How often objects at random are called correlated with the distance to membranes, by two nulls.

    python benchmarks/null.py [--sets 200] [--objects 16] [--simulations 99] [--choice 1]

Capsules of random sizes, at random in a round cell with a nucleus, made by exact geometry (see
`capsules.py`): surface to volume has nothing to do with place, but for that thick ones cannot come
near a membrane. A share of p-values below 0.05 above 5 % is a false alarm. The naive null permutes
values among places; the spatial one puts the objects, as they are, at random places. With
``--choice 4`` every thin capsule takes that of 4 places which is nearest to the nucleus: a
correlation that is there, and the share is the power to find it.

Also printed: the same null on finer and finer working grids, and the time of one simulation.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator

import numpy as np
from capsules import Capsules, masks, random_capsules
from scipy.stats import binomtest

from fibseg.measure.clouds import measure
from fibseg.measure.cytoplasm import DISTANCES, Cell
from fibseg.measure.null import SpatialNull, coefficients, spatial_null, two_sided_p

GRID_UM = 0.1
LEVEL = 0.05
KINDS = ("pearson_r", "spearman_rho")


def cell(grid_um: float, voxel_um: float) -> Cell:
    """The round cell on a working grid of that spacing, for objects on voxels of another."""
    inside, nucleus = masks(grid_um)
    first = (grid_um - voxel_um) / 2
    return Cell(inside, nucleus, (grid_um * 1e3,) * 3, (first,) * 3)


def simulated(
    capsules: Capsules, *, n_simulations: int, seed: int = 0, grid_um: float = GRID_UM,
    voxel_um: float = GRID_UM,
) -> SpatialNull:
    """The spatial null of surface to volume."""
    clouds = measure(
        capsules.labels(voxel_um), cell_nm=voxel_um * 1e3, spacing=(voxel_um * 1e3,) * 3
    )
    return spatial_null(
        capsules.surface_to_volume_per_um, clouds, cell(grid_um, voxel_um),
        n_simulations=n_simulations, seed=seed,
    )


def naive(capsules: Capsules, *, n_simulations: int, seed: int = 0) -> dict[tuple[str, str], float]:
    """Two-sided p-values of values permuted among places, by distance and kind."""
    rng = np.random.default_rng(seed)
    found = {}
    values = capsules.surface_to_volume_per_um
    for column, distances in zip(DISTANCES, capsules.distances_um, strict=True):
        mixed = np.stack([distances, *(rng.permutation(distances) for _ in range(n_simulations))])
        for kind, each in zip(KINDS, coefficients(values, mixed), strict=True):
            found[column, kind] = two_sided_p(float(each[0]), each[1:])
    return found


def spatial(null: SpatialNull) -> dict[tuple[str, str], float]:
    """p-values of a spatial null by distance and kind."""
    return {
        (column, kind): float(null.table[f"{kind.partition('_')[0]}_null_p"][row])
        for row, column in enumerate(DISTANCES) for kind in KINDS
    }


def sets(n: int, n_objects: int, choice: int) -> Iterator[Capsules]:
    """Sets of capsules, each from a seed of its own."""
    for seed in range(n):
        yield random_capsules(n_objects, np.random.default_rng([7, seed]), choice=choice)


def share(p: list[float]) -> str:
    """Share below 0.05 with its 95 % interval (Clopper and Pearson)."""
    below = binomtest(int(np.sum(np.array(p) < LEVEL)), len(p))
    low, high = below.proportion_ci()
    return f"{100 * below.statistic:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def rates(given: argparse.Namespace) -> None:
    """Print the shares of both nulls."""
    p: dict[str, list[dict[tuple[str, str], float]]] = {"naive": [], "spatial": []}
    unplaced, seconds = 0, 0.0
    for seed, capsules in enumerate(sets(given.sets, given.objects, given.choice)):
        p["naive"].append(naive(capsules, n_simulations=given.simulations, seed=seed))
        begin = time.perf_counter()
        null = simulated(capsules, n_simulations=given.simulations, seed=seed)
        seconds += time.perf_counter() - begin
        p["spatial"].append(spatial(null))
        unplaced += int(null.unplaced["n_unplaced"].sum())
    say(
        f"{given.sets} sets of {given.objects} capsules, {given.simulations} simulations each, "
        f"p < {LEVEL}; {unplaced} objects without a place; "
        f"{1e3 * seconds / given.sets / given.simulations:.1f} ms a simulation\n"
    )
    say("| | permuted values | random places |\n|---|---|---|")
    for key in p["naive"][0]:
        cells = " | ".join(share([each[key] for each in p[null]]) for null in p)
        say(f"| {key[0]}, {key[1]} | {cells} |")


def grids(given: argparse.Namespace) -> None:
    """Print means and spreads of the null of one set on finer and finer grids."""
    capsules = next(sets(1, given.objects, given.choice))
    say("\nnull mean ± sd (standard error of the mean), Pearson, of one set\n")
    say("| working grid, µm | " + " | ".join(DISTANCES) + " |\n|---|---|---|---|")
    for grid_um in (0.2, 0.1, 0.05):
        null = simulated(capsules, n_simulations=400, grid_um=grid_um, voxel_um=0.05)
        drawn = [null.simulated[column, "pearson_r"] for column in DISTANCES]
        cells = (f"{d.mean():+.3f} ± {d.std():.3f} ({d.std() / math.sqrt(len(d)):.3f})"
                 for d in drawn)
        say(f"| {grid_um} | " + " | ".join(cells) + " |")


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--simulations", type=int, default=99)
    parser.add_argument("--choice", type=int, default=1)
    given = parser.parse_args()
    rates(given)
    grids(given)


if __name__ == "__main__":
    main()
