"""What ``fibseg distribution`` is asked: radii, simulations, and where the nucleus is split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fibseg.errors import UsageError
from fibseg.measure.furrow import Plane

SPLITS = ("furrow", "plane", "none")


@dataclass(frozen=True)
class Spreading:
    """Radii and numbers behind the measures of how objects lie on an envelope.

    Parameters
    ----------
    density_um, self_weight
        As ``radius_um`` and ``self_weight`` of `fibseg.measure.surface_density.density_per_um2`.
    curvature_um
        As ``radius_um`` of `fibseg.measure.curvature.curvature`.
    bandwidth_um, leave_one_out
        As of `fibseg.measure.crowding.kernel_density_per_um3`.
    far_um
        An object farther than this from the envelope stands on no place of it.
    pairs_um, pairs_step_um, n_simulations
        As of `fibseg.measure.pair_correlation.pair_correlation`; 0 simulations leave it out.
    cluster_um, cluster_others
        As of `fibseg.measure.surface_clusters.clusters`.
    island_um
        As ``radius_um`` of `fibseg.measure.surface_clusters.islands`.
    seed
        Of random placements and draws.

    Raises
    ------
    UsageError
        If these cannot be meant.
    """

    density_um: float = 0.5
    self_weight: float | None = None
    curvature_um: float = 0.3
    bandwidth_um: float = 0.1
    leave_one_out: bool = False
    far_um: float = 0.3
    pairs_um: float = 1.0
    pairs_step_um: float = 0.05
    n_simulations: int = 199
    cluster_um: float | None = None
    cluster_others: int = 4
    island_um: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        lengths = {
            name: getattr(self, name) for name in
            ("density_um", "curvature_um", "bandwidth_um", "far_um", "pairs_um", "pairs_step_um",
             "cluster_um", "island_um") if getattr(self, name) is not None
        }
        for name, value in lengths.items():
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(f"spreading.{name}={value} is no length in µm. Give e.g. 0.5.")
        if self.self_weight is not None and not 0 <= self.self_weight <= 1:
            raise UsageError(
                f"spreading.self_weight={self.self_weight} has to lie between 0 and 1, or be null "
                "to be found from the objects."
            )
        if self.pairs_step_um > self.pairs_um:
            raise UsageError(
                f"spreading.pairs_step_um={self.pairs_step_um} is more than "
                f"spreading.pairs_um={self.pairs_um}. Give e.g. 0.05 and 1."
            )
        if self.n_simulations and self.n_simulations < 19:
            raise UsageError(
                f"spreading.n_simulations={self.n_simulations} is too few for a band of 95 %. "
                "Give at least 19, such as 199, or 0 for none."
            )
        if self.cluster_others < 1:
            raise UsageError(
                f"spreading.cluster_others={self.cluster_others} makes everything a cluster. Give "
                "at least 1, such as 4."
            )
        _check_seed("spreading", self.seed)


@dataclass(frozen=True)
class Sections:
    """Where a nucleus is split in two, and how the sections are compared.

    Parameters
    ----------
    split
        At its ``furrow``, at a ``plane``, or ``none``.
    point_um, normal
        Of the plane, (z, y, x); the section in front of it, where the normal points, is 2 or 1 by
        its area, as everywhere. Of several volumes a list of such, one for each.
    patch_um2
        Area of a patch of envelope, for the intervals and the permutation of patches.
    n_blocks
        Into so many compact blocks the envelope is cut for the recommended test.
    n_draws
        Of every test and interval.
    seed
        Of patches, blocks and draws.

    Raises
    ------
    UsageError
        If these cannot be meant.
    """

    split: str = "furrow"
    point_um: Sequence[float] | Sequence[Sequence[float]] | None = None
    normal: Sequence[float] | Sequence[Sequence[float]] | None = None
    patch_um2: float = 1.0
    n_blocks: int = 12
    n_draws: int = 1999
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.point_um is not None, self.normal is not None
        if self.split not in SPLITS:
            raise UsageError(f"sections.split={self.split} is none of {', '.join(SPLITS)}.")
        if self.split == "plane" and not all(given):
            raise UsageError(
                "sections.split=plane needs a plane: sections.point_um=[z,y,x] and "
                "sections.normal=[z,y,x]."
            )
        if self.split != "plane" and any(given):
            raise UsageError(
                f"sections.point_um and sections.normal are nothing to sections.split={self.split}."
                " Add sections.split=plane, or leave them out."
            )
        if not (self.patch_um2 > 0 and math.isfinite(self.patch_um2)):
            raise UsageError(f"sections.patch_um2={self.patch_um2} is no area. Give e.g. 1.")
        if self.n_blocks < 8 or self.n_draws < 99:
            raise UsageError(
                f"sections.n_blocks={self.n_blocks} and sections.n_draws={self.n_draws}: give at "
                "least 8 blocks and 99 draws, such as 12 and 1999."
            )
        _check_seed("sections", self.seed)
        if self.split == "plane":
            for plane in self._planes():
                Plane.given(*plane)

    def plane(self) -> Plane:
        """The plane that was given, of one volume."""
        (plane,) = self._planes()
        return Plane.given(*plane)

    def of_cell(self, number: int, n_cells: int) -> Sections:
        """The settings of one of several volumes.

        Raises
        ------
        UsageError
            If there is not a plane for each of them.
        """
        if self.split != "plane":
            return self
        planes = self._planes()
        if len(planes) != n_cells:
            raise UsageError(
                f"sections.split=plane with {len(planes)} plane{'s' * (len(planes) != 1)} for "
                f"{n_cells} volumes, each of which has places of its own. Give one for each, "
                "sections.point_um=[[z,y,x],[z,y,x]] and sections.normal likewise, or use "
                "sections.split=furrow."
            )
        point, normal = planes[number]
        return replace(self, point_um=point, normal=normal)

    def _planes(self) -> list[tuple[list[float], list[float]]]:
        """Point and normal of each plane."""
        points, normals = _each(self.point_um), _each(self.normal)
        if len(points) != len(normals):
            raise UsageError(
                f"sections.point_um are {len(points)} points, sections.normal {len(normals)} "
                "directions. Give as many."
            )
        return list(zip(points, normals, strict=True))


def _each(values: Sequence[float] | Sequence[Sequence[float]] | None) -> list[list[float]]:
    """One triple, or several, as a list of them."""
    lists = [[float(x) for x in v] for v in values or () if isinstance(v, Sequence)]
    return lists or [[float(v) for v in values or () if not isinstance(v, Sequence)]]


def _check_seed(part: str, seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise UsageError(f"{part}.seed={seed} is not between 0 and {2**32 - 1}. Give 0, 1, 2, …")
