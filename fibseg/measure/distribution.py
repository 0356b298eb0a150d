"""How small objects lie on a nuclear envelope: columns for each of them, and what holds of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.measure import pair_correlation, section_tests, surface_clusters
from fibseg.measure.connected_balls import Sites
from fibseg.measure.crowding import kernel_density_per_um3, mean_distance_um
from fibseg.measure.curvature import curvature
from fibseg.measure.distribution_settings import Sections, Spreading
from fibseg.measure.envelope import EnvelopeMesh, Feet
from fibseg.measure.furrow import Plane, furrow_of
from fibseg.measure.statistics import correlations
from fibseg.measure.surface_density import density_per_um2
from fibseg.measure.surface_pairs import SITE_UM, SurfacePairs
from fibseg.measure.surface_patches import SectionPatches, ways_to_block
from fibseg.types import Spacing, Table

Floats = NDArray[np.float64]

OF_EIGHT = 8
"""The case study takes the mean distance to the eight nearest."""
COMPARED = ("mean_distance_8_um", "density_per_um2", "kernel_density_per_um3")
"""Columns that are compared between sections."""
WITH_DENSITY = ("mean_distance_8_um", "mean_curvature_per_um", "gaussian_curvature_per_um2")
"""What density is correlated with."""
SPLIT_PORES_UM, MISSED_PORES_UM = 0.12, 0.5
"""A nearest neighbour below the first hints at split pores, a mean-8 above the second at missed."""
LITERATURE_PER_UM2 = (6.0, 11.0)
"""Pores per µm² of envelope."""
_MOST_NAMED, _MOST_ISLANDS = 20, 20


@dataclass(frozen=True, eq=False)
class Distribution:
    """What was found.

    Attributes
    ----------
    columns
        One value for each object: see `distribution`.
    facts
        Plain values, for the report.
    """

    columns: Table
    facts: dict[str, Any]


def distribution(
    labels: NDArray[np.integer], points_um: Floats, parts: Table, *, spreading: Spreading,
    sections: Sections, spacing: Spacing, first_um: tuple[float, float, float] = (0, 0, 0),
) -> Distribution:
    """How objects lie on an envelope.

    Parameters
    ----------
    labels, points_um
        (n,) and (n, 3): number and middle of every object.
    parts
        Of `fibseg.measure.envelope_faces.partial`, all blocks together.
    spacing, first_um
        Of the grid that `parts` are on, nm, and where the centre of its first voxel lies.

    Returns
    -------
    Distribution
        Columns ``nearest_um``, ``mean_distance_8_um``, ``kernel_density_per_um3``,
        ``envelope_distance_um`` (negative inside), ``density_per_um2``,
        ``mean_curvature_per_um``, ``gaussian_curvature_per_um2``, ``section`` (1 is the larger)
        and ``cluster`` (0 is none). What cannot be stated is missing.

    Raises
    ------
    DataError
        If there is no envelope.
    """
    envelope = EnvelopeMesh.of_parts(parts, spacing=spacing, first_um=first_um)
    feet = envelope.feet(points_um)
    on = feet.distance_um <= spreading.far_um
    columns = _among_each_other(points_um, spreading)
    columns["envelope_distance_um"] = np.where(feet.height_um < 0, -1, 1) * feet.distance_um
    standing, pairs = feet.at(on), _pairs(envelope, spreading)
    facts: dict[str, Any] = _of_envelope(envelope, parts, labels, on, spacing)
    columns |= _on_envelope(envelope, standing, on, spreading, facts)
    plane = _plane(parts, sections, spacing, first_um)
    columns["section"], rest = _in_sections(
        envelope, pairs.sites, standing, on, columns, plane, sections
    )
    facts["correlations"] = _correlated(columns, spreading.seed)
    cluster, crowds = _pattern(pairs, standing, spreading)
    columns["cluster"] = np.zeros(len(labels), np.int64)
    columns["cluster"][on] = cluster
    return Distribution(columns, facts | rest | crowds | {"quality": quality(columns, facts)})


def quality(columns: Table, facts: dict[str, Any]) -> dict[str, Any]:
    """Signs of pores that were split or missed: counts, and the density beside the literature."""
    near, eight = columns["nearest_um"], columns["mean_distance_8_um"]
    return {
        "nearest_below_um": SPLIT_PORES_UM, "n_nearest_below": int(np.sum(near < SPLIT_PORES_UM)),
        "mean_8_above_um": MISSED_PORES_UM, "n_mean_8_above": int(np.sum(eight > MISSED_PORES_UM)),
        "objects_per_um2": facts["objects_per_um2"],
        "literature_per_um2": list(LITERATURE_PER_UM2),
    }


def _among_each_other(points_um: Floats, spreading: Spreading) -> Table:
    return {
        "nearest_um": mean_distance_um(points_um, k=1),
        "mean_distance_8_um": mean_distance_um(points_um, k=OF_EIGHT),
        "kernel_density_per_um3": kernel_density_per_um3(
            points_um, bandwidth_um=spreading.bandwidth_um, leave_one_out=spreading.leave_one_out
        ),
    }


def _pairs(envelope: EnvelopeMesh, spreading: Spreading) -> SurfacePairs:
    radius = spreading.pairs_um
    return SurfacePairs.of(
        envelope, radii_um=(radius / 4, radius / 2, radius), site_um=SITE_UM
    )


def _of_envelope(
    envelope: EnvelopeMesh, parts: Table, labels: NDArray[Any], on: NDArray[np.bool_],
    spacing: Spacing,
) -> dict[str, Any]:
    faces = np.asarray(parts["at_face"]).reshape(-1, 6).sum(axis=0)
    names = [f"{end} {axis}" for axis in "zyx" for end in ("first", "last")]
    far = np.asarray(labels)[~on]
    return {
        "n_objects": len(labels), "n_on_envelope": int(on.sum()), "n_far": len(far),
        "far": far[:_MOST_NAMED].tolist(), "envelope_um2": envelope.total_um2,
        "n_pieces": envelope.n_pieces, "left_out_um2": envelope.left_out_um2,
        "objects_per_um2": float(on.sum() / envelope.total_um2),
        "working_spacing_nm": list(spacing),
        "cut_by": [name for name, n in zip(names, faces.tolist(), strict=True) if n],
    }


def _on_envelope(
    envelope: EnvelopeMesh, feet: Feet, on: NDArray[np.bool_], spreading: Spreading,
    facts: dict[str, Any],
) -> Table:
    """Density and curvature, missing for what is far; tells `facts` what density is made of."""
    dense = density_per_um2(
        envelope, feet, radius_um=spreading.density_um, self_weight=spreading.self_weight
    )
    facts["self_weight"], facts["density_um"] = dense.self_weight, spreading.density_um
    facts["self_weight_given"] = spreading.self_weight is not None
    found = {"density_per_um2": dense.per_um2} | curvature(
        envelope, feet, radius_um=spreading.curvature_um
    )
    return {name: spread_out(values, on) for name, values in found.items()}


def spread_out(values: NDArray[Any], on: NDArray[np.bool_]) -> Floats:
    """`values` where `on` is true, NaN elsewhere."""
    found = np.full(len(on), np.nan)
    found[on] = values
    return found


def _plane(
    parts: Table, sections: Sections, spacing: Spacing, first_um: tuple[float, float, float]
) -> Plane | None:
    if sections.split == "plane":
        return sections.plane()
    if sections.split == "furrow":
        return furrow_of(parts, spacing=spacing, first_um=first_um)
    return None


def _in_sections(
    envelope: EnvelopeMesh, sites: Sites, feet: Feet, on: NDArray[np.bool_], columns: Table,
    plane: Plane | None, sections: Sections,
) -> tuple[Floats, dict[str, Any]]:
    """Column ``section`` and the facts ``sections`` and ``comparisons``."""
    missing = np.full(len(on), np.nan)
    if plane is None:
        why = {"furrow": "the nucleus has no furrow", "none": "no split was asked for"}
        return missing, {
            "sections": {"plane": None, "why_none": why[sections.split], "rows": []},
            "comparisons": {},
        }
    front = plane.height_um(envelope.vertices_um) > 0
    area = [float(envelope.area_um2[side].sum()) for side in (front, ~front)]
    # Section 1 is the larger.
    ahead, behind = (1, 2) if area[0] >= area[1] else (2, 1)
    of_object = np.where(plane.height_um(feet.points_um) > 0, ahead, behind)
    of_site = np.where(plane.height_um(sites.points_um) > 0, ahead, behind)
    section = spread_out(of_object, on)
    rows = [
        _row(number, max(area) if number == 1 else min(area), columns, section)
        for number in (1, 2)
    ]
    empty = [row["section"] for row in rows if row["area_um2"] == 0 or row["n_objects"] == 0]
    told = {"plane": asdict(plane), "why_none": None, "rows": rows, "empty": empty}
    compared = {} if min(area) == 0 else _compared(sites, of_site, feet, on, columns, sections)
    return section, {"sections": told, "comparisons": compared}


def _row(number: int, area_um2: float, columns: Table, section: Floats) -> dict[str, Any]:
    mine = section == number
    row: dict[str, Any] = {
        "section": number, "area_um2": area_um2, "n_objects": int(mine.sum()),
        "objects_per_um2": float(mine.sum() / area_um2) if area_um2 else float("nan"),
    }
    for name in COMPARED:
        values = columns[name][mine]
        values = values[np.isfinite(values)]
        row[f"mean_{name}"] = float(values.mean()) if len(values) else float("nan")
        row[f"median_{name}"] = float(np.median(values)) if len(values) else float("nan")
    return row


def _compared(
    sites: Sites, of_site: NDArray[np.int64], feet: Feet, on: NDArray[np.bool_], columns: Table,
    sections: Sections,
) -> dict[str, Any]:
    patches = SectionPatches.of_size(
        sites, of_site, patch_um2=sections.patch_um2, seed=sections.seed
    )
    blocks = ways_to_block(sites, of_site, n=sections.n_blocks, seed=sections.seed)
    site = sites.of_vertex[feet.vertex]
    told: dict[str, Any] = {"n_draws": sections.n_draws, "seed": sections.seed}
    found = {
        name: section_tests.compared(columns[name][on], site, patches, blocks, **told)
        for name in COMPARED
    }
    found["objects_per_um2"] = section_tests.compared_counts(site, patches, blocks, **told)
    return {name: asdict(comparison) for name, comparison in found.items()}


def _correlated(columns: Table, seed: int) -> dict[str, Any]:
    """How density goes with the rest; p-values and intervals count every object for itself."""
    table = correlations(columns, "density_per_um2", WITH_DENSITY, seed=seed)
    return {name: column.tolist() for name, column in table.items()}


def _pattern(
    pairs: SurfacePairs, feet: Feet, spreading: Spreading
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Cluster of every object on the envelope; pair correlation, clusters and islands."""
    n_simulations, seed = spreading.n_simulations, spreading.seed
    curves = None
    if n_simulations and len(feet.vertex) >= pair_correlation.FEWEST:
        curves = asdict(pair_correlation.pair_correlation(
            pairs, feet, radius_um=spreading.pairs_um, step_um=spreading.pairs_step_um,
            n_simulations=n_simulations, seed=seed,
        ))
    crowds = surface_clusters.clusters(
        pairs, feet, distance_um=spreading.cluster_um, n_others=spreading.cluster_others,
        n_simulations=n_simulations, seed=seed,
    )
    free = surface_clusters.islands(pairs.envelope, feet, radius_um=spreading.island_um)
    largest = {name: column[:_MOST_ISLANDS].tolist() for name, column in free.items()}
    return crowds.cluster, {
        "pair_correlation": curves,
        "clusters": {
            "n_clusters": int(crowds.cluster.max(initial=0)), "distance_um": crowds.distance_um,
            "n_others": crowds.n_others, "share": crowds.share,
            "share_at_random": crowds.share_at_random, "p_value": crowds.p_value,
            "sizes": _sizes(crowds.cluster),
        },
        "islands": {
            "radius_um": spreading.island_um, "n_islands": len(free["area_um2"]),
            "area_um2": float(free["area_um2"].sum()), "largest": largest,
        },
    }


def _sizes(cluster: NDArray[np.int64]) -> Sequence[int]:
    """Objects in each of the largest clusters."""
    sizes: list[int] = np.bincount(cluster)[1 : _MOST_NAMED + 1].tolist()
    return sizes
