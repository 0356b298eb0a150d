"""What the report shows of how objects lie on the envelope of a nucleus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.recapture import recapture
from fibseg.metrics import match_points
from fibseg.pictures import Shell, trace
from fibseg.pipeline.distribution_job import FACTS
from fibseg.pipeline.pore_level import WITHIN_UM
from fibseg.pipeline.report_facts import measured_of, table_of
from fibseg.pipeline.report_kinds import Kind
from fibseg.pipeline.report_scene import coarse_level, first_voxel_um, read_coarse
from fibseg.pipeline.report_scores import true_recall
from fibseg.report import (
    Drawing,
    Fact,
    cell_figure,
    column_title,
    pairs_figure,
    relations,
    scatter_figure,
    section_names,
    sections_figure,
)
from fibseg.types import Labels, Spacing, Table
from fibseg.volume import Volume

IN_3D = ("mean_distance_8_um", "density_per_um2")
"""Columns that colour objects in the pictures, beside the section."""
PORES, PSEUDO = "pores", "pores_pseudo"
"""Pores of the network, and those that it learned from."""
LEAST_RADIUS_VOXELS = 1.8
"""Smaller balls are hardly seen."""


def distribution_of(store: Volume, name: str) -> dict[str, Any]:
    """Facts of the distribution of a label image; empty if they are not there or not of today."""
    return dict(measured_of(store, name).get(FACTS) or {})


def distribution_facts(
    store: Volume, name: str, runs: Sequence[Mapping[str, Any]] = ()
) -> tuple[Fact, ...]:
    """Counts per area, and the signs of pores that were split or missed.

    Parameters
    ----------
    runs
        Records of the store, oldest first: an evaluation tells the true recall.
    """
    facts = distribution_of(store, name)
    if not facts:
        return ()
    q = facts["quality"]
    low, high = q["literature_per_um2"]
    found = [
        Fact(
            f"{facts['objects_per_um2']:.3g} /µm²", f"of the envelope of {facts['on']}",
            f"{facts['n_on_envelope']:,} on {facts['envelope_um2']:.4g} µm²; pores in the "
            f"literature: {low:g} to {high:g}",
        ),
        Fact(
            f"{q['n_nearest_below']:,}", f"nearer than {q['nearest_below_um']:g} µm to another",
            "split pores, if any",
        ),
        Fact(
            f"{q['n_mean_8_above']:,}", f"with a mean-8 distance above {q['mean_8_above_um']:g} µm",
            "missed pores nearby, or the rim of the envelope",
        ),
    ]
    if facts["n_far"]:
        found.append(Fact(f"{facts['n_far']:,}", "far from the envelope", "without a density"))
    found += agreement_facts(store, name, runs)
    rows = facts["sections"]["rows"]
    if rows:
        found += [
            Fact(
                f"{row['objects_per_um2'] or 0:.3g} /µm²", f"section {row['section']}",
                f"{row['n_objects']:,} on {row['area_um2']:.4g} µm²",
            ) for row in rows
        ]
    else:
        found.append(Fact("none", "sections", str(facts["sections"]["why_none"])))
    return tuple(found)


def agreement_facts(
    store: Volume, name: str, runs: Sequence[Mapping[str, Any]] = ()
) -> list[Fact]:
    """How the network and the detector that it learned from agree; none without both.

    What this says of recall stands beside the true one, where that was evaluated.
    """
    table, pseudo = table_of(store, name), table_of(store, PSEUDO)
    if name != PORES or table is None or pseudo is None:
        return []
    found, first = (
        np.stack([t[f"{prefix}{a}_um"] for a in "zyx"], axis=1)
        for t, prefix in ((table, "centroid_"), (pseudo, ""))
    )
    both = len(match_points(found, first, within=WITHIN_UM))
    told = recapture(len(first), len(found), both)
    value, label = f"≤ {told.recall:.0%}", "recall by capture and recapture"
    note = (
        f"{told.n_second:,} by the network, {told.n_first:,} pseudo-labels, {both:,} by both; an "
        "upper bound: the network learned from the pseudo-labels"
    )
    true = true_recall(store, name, runs)
    if true is not None:
        value, label = f"{value}, true {true.recall:.0%}", f"{label}, beside the true one"
        near = "" if true.within_nm is None else f" within {true.within_nm:g} nm"
        note += f"; true: {true.recall:.1%} of {true.truth} found{near}"
    return [Fact(value, label, note)]


def distribution_figures(store: Volume, name: str) -> dict[str, Drawing]:
    """Correlations of density, both sections and the pair correlation, by caption."""
    facts, table = distribution_of(store, name), table_of(store, name)
    if not facts or table is None or len(table["label"]) < 2:
        return {}
    drawings: dict[str, Drawing] = {}
    stated = {"correlations": facts["correlations"]}
    names = ["density_per_um2", *facts["correlations"]["with_column"]]
    titles = {column: column_title(column) for column in names if column in table}
    found = relations(table, stated, column="density_per_um2", titles=titles)
    if found:
        drawings["Density on the envelope"] = scatter_figure(found, with_null=False)
    if facts["sections"]["rows"]:
        columns = {c: (column_title(c), np.asarray(table[c], float)) for c in IN_3D}
        drawings["Sections of the nucleus"] = sections_figure(
            columns, np.asarray(table["section"], float), facts["comparisons"]
        )
    if facts["pair_correlation"]:
        drawings["Pair correlation on the envelope"] = pairs_figure(facts["pair_correlation"])
    return drawings


def distribution_in_3d(
    store: Volume, name: str, bodies: Mapping[Kind, NDArray[Any]], *, most_voxels: int, camera: Any
) -> Drawing | None:
    """Objects by mean-8 distance, density and section, on the nucleus that they lie on.

    Parameters
    ----------
    bodies
        Coarse labels of the bodies of the report.
    most_voxels
        Of the level that pictures are made from.
    camera
        ``camera(shape, spacing)``, the one of the other pictures.
    """
    facts, table = distribution_of(store, name), table_of(store, name)
    if not facts or table is None:
        return None
    level, spacing = coarse_level(store, most_voxels=most_voxels)
    on = [mask for kind, mask in bodies.items() if kind.name == facts["on"]]
    shape = on[0].shape if on else read_coarse(store, name, level, most_voxels=most_voxels).shape
    # Objects of some voxels vanish on coarse levels: balls stand for them.
    labels = painted_balls(
        table, shape=shape, first_um=first_voxel_um(store, spacing), spacing=spacing
    )
    if not labels.any():
        return None
    box = _around([labels, *on])
    labels = np.ascontiguousarray(labels[box])
    scene = trace(
        labels, shells=[Shell(np.ascontiguousarray(mask[box])) for mask in on],
        camera=camera(labels.shape, spacing), spacing=spacing,
    )
    values: dict[str, NDArray[Any]] = {column_title(c): table[c] for c in IN_3D if c in table}
    if facts["sections"]["rows"]:
        values["section"] = section_names(np.asarray(table["section"], float))
    return cell_figure(scene, numbers=table["label"], columns=values)


def painted_balls(
    table: Table, *, shape: Sequence[int], first_um: tuple[float, float, float], spacing: Spacing
) -> Labels:
    """Every object as a ball of its volume where its centre is, uint32; none is thinner than seen.

    Parameters
    ----------
    table
        ``label``, ``volume_um3`` and ``centroid_z_um`` ….
    shape, first_um, spacing
        Of the grid, and where the centre of its first voxel lies.
    """
    labels = np.zeros(tuple(shape), np.uint32)
    unit = np.asarray(spacing) * 1e-3
    least = LEAST_RADIUS_VOXELS * float(unit.max())
    radius = np.maximum(np.cbrt(table["volume_um3"] * 3 / (4 * np.pi)), least)
    centre = np.stack([table[f"centroid_{a}_um"] for a in "zyx"], axis=1) - np.asarray(first_um)
    for number, middle, r in zip(table["label"].tolist(), centre, radius, strict=True):
        start = np.maximum(np.floor((middle - r) / unit).astype(int), 0)
        stop = np.minimum(np.ceil((middle + r) / unit).astype(int) + 1, shape)
        if (stop <= start).any():
            continue
        lines = [
            (np.arange(a, b) * u - m) ** 2
            for a, b, u, m in zip(start, stop, unit, middle, strict=True)
        ]
        inside = sum(np.meshgrid(*lines, indexing="ij")) <= r * r
        labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))][inside] = number
    return labels


def _around(masks: list[NDArray[Any]]) -> tuple[slice, ...]:
    """The box that holds all of them, and two voxels more."""
    there = np.logical_or.reduce([mask != 0 for mask in masks])
    box = []
    for axis in range(3):
        hit = np.flatnonzero(there.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(max(int(hit[0]) - 2, 0), int(hit[-1]) + 3))
    return tuple(box)
