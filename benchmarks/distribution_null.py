"""How often two sections of a nucleus are called different when they are not; and when they are.

    python benchmarks/distribution_null.py [--sets 200] [--per-um2 7] [--phantoms 6]

Pores are put on an envelope of two lobes with a furrow, without any difference between the lobes:
evenly at random; keeping 0.2 µm apart, as real ones do; in clusters; and with a density that itself
varies smoothly over the envelope (standard deviation 35 %, correlation over 0.5 or 1 µm), the
harder null. Sections are told to differ where p < 0.05: by Welch's t-test of the pores, which the
case study took; by patches of 1 µm² dealt at random; by the dozen large blocks that fibseg
recommends; and by splits of the same envelope elsewhere. With ``1.35`` the small lobe has that
many times more pores on the same area: a difference that is there.

The phantom's own pores follow, with its built-in difference and without it; and the mean of
density_per_um2 over pores on known shapes, beside pores over area.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fibseg.geometry import Box
from fibseg.measure import envelope_faces
from fibseg.measure.connected_balls import sites_of
from fibseg.measure.crowding import mean_distance_um
from fibseg.measure.envelope import EnvelopeMesh
from fibseg.measure.furrow import furrow_of
from fibseg.measure.section_tests import Comparison, compared, compared_counts
from fibseg.measure.surface_density import density_per_um2
from fibseg.measure.surface_pairs import SITE_UM, scattered
from fibseg.measure.surface_patches import SectionPatches, ways_to_block
from fibseg.phantom.body import make_body
from fibseg.phantom.grid import Grid
from fibseg.phantom.pores import place_pores
from fibseg.types import Mask

SPACING = (40.0, 40.0, 40.0)
LEVEL = 0.05
DRAWS = 399
TESTS = ("welch_p", "patches_p", "blocks_p", "splits_p")
Points = NDArray[np.float64]


class Nucleus:
    """An envelope with its two sections, patches and blocks."""

    def __init__(self, mask: Mask) -> None:
        whole = Box((0, 0, 0), mask.shape)
        parts = envelope_faces.partial(mask, inside=whole, start=(0, 0, 0), shape=mask.shape)
        self.envelope = EnvelopeMesh.of_parts(parts, spacing=SPACING)
        plane = furrow_of(parts, spacing=SPACING)
        if plane is None:
            raise SystemExit("This nucleus has no furrow.")
        self.plane = plane
        self.sites = sites_of(self.envelope, size_um=SITE_UM)
        front = self.envelope.area_um2[plane.height_um(self.envelope.vertices_um) > 0].sum()
        self.ahead = 1 if front > self.envelope.total_um2 / 2 else 2
        section = self.section(self.sites.points_um)
        self.patches = SectionPatches.of_size(self.sites, section, patch_um2=1.0)
        self.blocks = ways_to_block(self.sites, section, n=12)

    def section(self, points: Points) -> NDArray[np.int64]:
        """1 on the larger lobe, 2 on the other."""
        return np.where(self.plane.height_um(points) > 0, self.ahead, 3 - self.ahead)

    def compare(self, points: Points, seed: int) -> tuple[Comparison, Comparison]:
        """Mean-8 distances and pores per area of both sections."""
        site = self.sites.of_vertex[self.envelope.feet(points).vertex]
        told = (site, self.patches, self.blocks)
        return (
            compared(mean_distance_um(points), *told, n_draws=DRAWS, seed=seed),
            compared_counts(*told, n_draws=DRAWS, seed=seed),
        )


def two_balls() -> Mask:
    """Balls of 2.2 and 1.7 µm radius that meet in a furrow: 86 µm²."""
    lines = ((np.arange(n) - n / 2) * 0.04 for n in (130, 210, 130))
    z, y, x = np.meshgrid(*lines, indexing="ij")
    big, small = z * z + (y + 1.3) ** 2 + x * x < 2.2**2, z * z + (y - 1.7) ** 2 + x * x < 1.7**2
    return np.asarray(big | small)


def phantom_nucleus(seed: int = 0) -> Mask:
    """The nucleus of the built-in phantom on the same grid: 22 µm²."""
    body = make_body(Grid((88, 112, 112), SPACING), np.random.default_rng(seed))
    return np.asarray(body.nucleus < 0)


def at_random(envelope: EnvelopeMesh, n: int, rng: np.random.Generator) -> Points:
    return scattered(envelope, n, rng)[0]


def apart(
    envelope: EnvelopeMesh, n: int, rng: np.random.Generator, least_um: float = 0.2
) -> Points:
    points = at_random(envelope, 30 * n, rng)
    tree, blocked, kept = cKDTree(points), np.zeros(len(points), bool), []
    for i in range(len(points)):
        if not blocked[i]:
            kept.append(i)
            blocked[tree.query_ball_point(points[i], least_um)] = True
    return points[kept[:n]]


def clustered(envelope: EnvelopeMesh, n: int, rng: np.random.Generator) -> Points:
    """Three to a cluster of 0.12 µm, on average."""
    middles = at_random(envelope, n // 3, rng)
    near = middles[rng.integers(0, len(middles), n)] + 0.12 * rng.standard_normal((n, 3))
    return envelope.feet(near).points_um


def smooth(
    envelope: EnvelopeMesh, n: int, rng: np.random.Generator, *, over_um: float
) -> Points:
    """Density is the exponential of a Gaussian field, from plane waves."""
    waves, phases = rng.standard_normal((120, 3)) / over_um, rng.uniform(0, 2 * np.pi, 120)
    field = np.cos(envelope.vertices_um @ waves.T + phases).sum(axis=1) * np.sqrt(2 / 120)
    share = np.exp(0.35 * field) * envelope.area_um2
    vertex = rng.choice(len(share), n, p=share / share.sum())
    return envelope.vertices_um[vertex] + rng.uniform(-0.02, 0.02, (n, 3))


def denser(nucleus: Nucleus, n: int, rng: np.random.Generator, times: float = 1.35) -> Points:
    """Apart from each other, and so many times denser on section 2."""
    points = apart(nucleus.envelope, 2 * n, rng, least_um=0.22)
    kept = (nucleus.section(points) == 2) | (rng.random(len(points)) < 1 / times)
    return points[kept][:n]


def rates(
    nucleus: Nucleus, make: Callable[[np.random.Generator], Points], n_sets: int
) -> list[float]:
    """Share of sets below the level, by every test, of mean-8 and of counts."""
    found = []
    for seed in range(n_sets):
        both = nucleus.compare(make(np.random.default_rng(seed)), seed)
        found.append([getattr(one, name) < LEVEL for one in both for name in TESTS])
    return [float(share) for share in np.mean(found, axis=0)]


def null_table(n_sets: int, per_um2: float) -> None:
    """Print the share of sets that are told to differ."""
    for name, mask in (("phantom", phantom_nucleus()), ("two balls", two_balls())):
        nucleus = Nucleus(mask)
        envelope = nucleus.envelope
        n = round(per_um2 * envelope.total_um2)
        print(f"\n{name}: {n} pores on {envelope.total_um2:.1f} µm²; p < {LEVEL} of {n_sets} sets")
        print("| pores | mean-8: " + " | ".join(TESTS) + " | counts: " + " | ".join(TESTS) + " |")
        kinds: dict[str, Callable[[np.random.Generator], Points]] = {
            "at random": lambda rng, e=envelope, n=n: at_random(e, n, rng),
            "0.2 µm apart": lambda rng, e=envelope, n=n: apart(e, n, rng),
            "clusters": lambda rng, e=envelope, n=n: clustered(e, n, rng),
            "smooth, 0.5 µm": lambda rng, e=envelope, n=n: smooth(e, n, rng, over_um=0.5),
            "smooth, 1 µm": lambda rng, e=envelope, n=n: smooth(e, n, rng, over_um=1.0),
            "1.35 (a difference)": lambda rng, c=nucleus, n=n: denser(c, n, rng),
        }
        for kind, make in kinds.items():
            shares = rates(nucleus, make, n_sets)
            print(f"| {kind} | " + " | ".join(f"{s:.3f}" for s in shares) + " |", flush=True)


def phantom_table(n_phantoms: int) -> None:
    """Print what is told of the phantom's own pores."""
    print("\nthe phantom's pores")
    print("| seed | built in | per µm² | ratio | mean-8 p | counts p | t-test p |")
    for seed in range(n_phantoms):
        for gradient in (True, False):
            grid, rng = Grid((176, 224, 224), (20.0, 20.0, 20.0)), np.random.default_rng(seed)
            body = make_body(grid, rng)
            pores = place_pores(
                grid, body, density_per_um2=8.0, pore_gradient=gradient, rng=rng
            ).table
            # As a level of the pyramid has it: half a fine voxel further on.
            nucleus = Nucleus(np.asarray(body.nucleus[::2, ::2, ::2] < 0))
            points = np.stack([pores[f"{a}_um"] for a in "zyx"], axis=1)
            eight, counts = nucleus.compare(points, seed)
            print(
                f"| {seed} | {gradient} | {len(points) / nucleus.envelope.total_um2:.2f} | "
                f"{counts.mean_2 / counts.mean_1:.2f} | {eight.blocks_p:.4f} | "
                f"{counts.blocks_p:.4f} | {eight.welch_p:.1e} |", flush=True,
            )


def density_table(per_um2: float) -> None:
    """Print mean density_per_um2 over the truth on shapes, ten sets each."""
    lines = ((np.arange(n) - n / 2 + 0.3) * 0.04 for n in (100, 100, 100))
    z, y, x = np.meshgrid(*lines, indexing="ij")
    ball = z * z + y * y + x * x < 1.6**2
    shapes = {
        "ball": ball, "ellipsoid": z * z + (y / 1.4) ** 2 + (x / 1.9) ** 2 < 1,
        "slit of 0.16 µm": ball & ~((np.abs(z) < 0.08) & (y > 0)), "two balls": two_balls(),
    }
    print("\nmean density_per_um2 over the truth\n| shape | at random | 0.2 µm apart | clusters |")
    for name, mask in shapes.items():
        envelope = EnvelopeMesh.of(mask, spacing=SPACING)
        n, cells = round(per_um2 * envelope.total_um2), []
        for make in (at_random, apart, clustered):
            ratios = []
            for seed in range(10):
                points = make(envelope, n, np.random.default_rng(seed))
                found = density_per_um2(envelope, envelope.feet(points))
                ratios.append(found.per_um2.mean() * envelope.total_um2 / len(points))
            cells.append(f"{np.mean(ratios):.3f} ± {np.std(ratios):.3f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--per-um2", type=float, default=7.0)
    parser.add_argument("--phantoms", type=int, default=6)
    given = parser.parse_args()
    begin = time.monotonic()
    density_table(given.per_um2)
    phantom_table(given.phantoms)
    null_table(given.sets, given.per_um2)
    print(f"\n{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
