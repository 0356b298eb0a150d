"""A whole synthetic HeLa-like cell as a FIB-SEM would show it, with exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.phantom.body import Body, make_body
from fibseg.phantom.chromatin import fold_chromatin
from fibseg.phantom.crowd import Crowd
from fibseg.phantom.endomembranes import scatter_balls, stack_golgi, weave_er
from fibseg.phantom.grid import Grid
from fibseg.phantom.microscope import photograph
from fibseg.phantom.mitochondria import grow_mitochondria
from fibseg.phantom.pores import no_pores, place_pores
from fibseg.phantom.stain import Filling, Parts, stain
from fibseg.types import Labels, Shape, Spacing, Table


@dataclass(frozen=True)
class Cell:
    """An image with exact truth.

    Attributes
    ----------
    image
        uint8, shape (z, y, x), stain dark.
    labels
        Truth by name, each (z, y, x). Masks (bool): ``cell``, ``cytoplasm`` (cell without
        nucleus), ``nucleus`` (up to the outer membrane of its envelope), ``envelope`` (both
        membranes and the gap, part of the nucleus), ``heterochromatin``, ``nucleolus``, ``er``,
        ``golgi``.
        Numbered objects (uint16): ``mitochondria``, ``pores``, ``pockets`` (pore i owns pocket
        i), ``vesicles``, ``lysosomes``, ``droplets``.
    pores
        One row per pore: ``label``; centre ``z_um, y_um, x_um`` (voxel i is centred at
        i · spacing); unit vector ``axis_z, axis_y, axis_x`` out of the nucleus; ``n_voxels``,
        ``pocket_n_voxels``; ``lobe`` (1 the big one, 2 the small one).
    spacing
        Size of a voxel in nm, (z, y, x).
    """

    image: NDArray[np.uint8]
    labels: dict[str, Labels]
    pores: Table
    spacing: Spacing


def make_cell(
    shape: Sequence[int] = (176, 224, 224),
    *,
    seed: int = 0,
    pores: bool = True,
    pore_gradient: bool = True,
    thickness_gradient: bool = True,
    mitochondria_share: float = 0.10,
    pores_per_um2: float = 8.0,
    spacing: Sequence[float] = (20.0, 20.0, 20.0),
) -> Cell:
    """Cell in resin with mitochondria, ER, vesicles, and a nucleus of two lobes with pores.

    The cell fills the volume, so that a smaller volume shows a smaller cell with fewer pores;
    a flat one shows a slab. Sizes follow HeLa cells: pores 120 nm across, 6 to 11 per µm² of
    envelope, mitochondria a tenth of the cytoplasm.

    Parameters
    ----------
    shape
        Number of voxels (z, y, x), any positive ones.
    seed
        The same seed, shape and switches give the same bits.
    pores
        Whether the envelope has pores, with pockets under them.
    pore_gradient
        Whether pores are denser on the small lobe (1.35 times) or alike on both.
    thickness_gradient
        Whether mitochondria are thicker away from the plasma membrane and the envelope.
    mitochondria_share
        Part of the cytoplasm that mitochondria fill, where there is room.
    pores_per_um2
        Pores wanted per µm² of envelope; those without room for themselves are dropped.
    spacing
        Size of a voxel in nm, (z, y, x).

    Raises
    ------
    UsageError
        If `shape`, `spacing`, `seed` or a density cannot be meant.
    """
    grid = _grid(shape, spacing, mitochondria_share, pores_per_um2, seed)
    streams = iter(np.random.default_rng(seed).spawn(7))
    body = make_body(grid, next(streams))
    filling = _fill_cytoplasm(grid, body, mitochondria_share, thickness_gradient, next(streams))
    stream = next(streams)
    npc = (
        place_pores(
            grid, body, density_per_um2=pores_per_um2, pore_gradient=pore_gradient, rng=stream
        )
        if pores
        else no_pores(grid)
    )
    chromatin = fold_chromatin(grid, body, npc.pockets, next(streams))
    parts = Parts(body, filling, chromatin, npc)
    image = photograph(stain(grid, parts, next(streams)), next(streams))
    return Cell(image, _truth(parts), npc.table, grid.spacing)


def _fill_cytoplasm(
    grid: Grid, body: Body, share: float, thickness_gradient: bool, rng: np.random.Generator
) -> Filling:
    """Everything between plasma membrane and envelope, the large first, the ER in what is left."""
    depth = body.depth(grid)
    crowd = Crowd(depth, grid)
    golgi_rng, worm_rng, ball_rng, er_rng = rng.spawn(4)
    golgi = stack_golgi(grid, crowd, n=3, rng=golgi_rng)
    mitochondria = grow_mitochondria(
        grid, crowd, share=share, thickness_gradient=thickness_gradient, rng=worm_rng
    )
    lysosomes = scatter_balls(
        grid, crowd, per_um3=0.6, radius_nm=(80, 170), gap_nm=40, rng=ball_rng
    )
    droplets = scatter_balls(
        grid, crowd, per_um3=0.35, radius_nm=(80, 180), gap_nm=40, rng=ball_rng
    )
    vesicles = scatter_balls(grid, crowd, per_um3=22, radius_nm=(28, 68), rng=ball_rng)
    others = np.minimum(golgi, mitochondria.distance)
    for balls in (lysosomes, droplets, vesicles):
        others = np.minimum(others, balls.distance)
    er = weave_er(grid, depth=depth, nucleus=body.nucleus, others=others, rng=er_rng)
    return Filling(mitochondria, er, golgi, vesicles, lysosomes, droplets)


def _grid(
    shape: Sequence[int], spacing: Sequence[float], share: float, density: float, seed: int
) -> Grid:
    """The frame of the cell, after a check of everything that a user can get wrong."""
    sizes, steps = [int(n) for n in shape], [float(s) for s in spacing]
    if len(sizes) != 3 or min(sizes) < 1 or any(a != b for a, b in zip(sizes, shape, strict=True)):
        raise UsageError(f"shape={tuple(shape)} is not three positive whole numbers (z, y, x). "
                         "Use e.g. shape=[176,224,224].")  # fmt: skip
    if len(steps) != 3 or not all(0 < s < float("inf") for s in steps):
        raise UsageError(f"spacing={tuple(spacing)} is not three positive lengths in nm "
                         "(z, y, x). Use e.g. spacing=[20,20,20].")  # fmt: skip
    if not 0 <= share <= 0.5:
        raise UsageError(f"mitochondria_share={share} is not in 0 to 0.5. HeLa cells have 0.1.")
    if not 0 <= density <= 20:
        raise UsageError(f"pores_per_um2={density} is not in 0 to 20. HeLa cells have 6 to 11.")
    if seed < 0:
        raise UsageError(f"seed={seed} is negative. Use 0 or more; each number gives a cell.")
    full: Shape = (sizes[0], sizes[1], sizes[2])
    return Grid(full, (steps[0], steps[1], steps[2]))


def _truth(parts: Parts) -> dict[str, Labels]:
    """Masks and numbered objects by name, none in two places that exclude each other."""
    body, filling, npc = parts.body, parts.filling, parts.pores
    nucleus = body.nucleus < 0
    inner = body.nucleus + body.gap
    pores = npc.labels > 0
    nucleolus = (parts.chromatin.nucleolus < 0) & ~pores
    return {
        "cell": (body.cell < 0) | nucleus,
        "cytoplasm": body.cytoplasm,
        "nucleus": nucleus,
        "envelope": nucleus & (inner >= 0),
        "heterochromatin": (parts.chromatin.hetero > 0.5) & (inner < 0) & ~nucleolus & ~pores,
        "nucleolus": nucleolus,
        "er": filling.er < 0,
        "golgi": filling.golgi < 0,
        "mitochondria": filling.mitochondria.labels,
        "pores": npc.labels,
        "pockets": npc.pockets,
        "vesicles": filling.vesicles.labels,
        "lysosomes": filling.lysosomes.labels,
        "droplets": filling.droplets.labels,
    }
