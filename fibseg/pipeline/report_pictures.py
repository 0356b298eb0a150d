"""Figures of a measured cell for the report: shares, the cell in 3D, scatter plots, histograms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fibseg.pictures import NUCLEUS, Shell, shaded_cell, trace
from fibseg.pipeline.report_camera import Kind
from fibseg.pipeline.report_cell import whole_profile
from fibseg.pipeline.report_facts import FIRST_COLORS, measured_of, table_of
from fibseg.pipeline.report_scene import coarse_level, read_coarse, read_coarse_raw
from fibseg.report import (
    Drawing,
    cell_figure,
    column_histogram,
    column_title,
    picture_figure,
    relations,
    scatter_figure,
    shares_figure,
)
from fibseg.report.methods import plain_name
from fibseg.volume import Volume

MOST_VOXELS = 2**22
"""Of what still pictures are made from: seconds, and sharper than they are shown."""
IN_3D = ("surface_to_volume_per_um", "distance_nearest_um", "spatial_class")
"""Columns that colour the objects of the still pictures."""
HISTOGRAMS = ("surface_to_volume_per_um", "sphericity", "distance_nearest_um")

Drawings = dict[str, Drawing]


@dataclass(frozen=True)
class Drawn:
    """Everything that is drawn of measured objects, by caption.

    Attributes
    ----------
    cell
        Of the cell as a whole.
    objects
        Of each label image.
    """

    cell: Drawings
    objects: Mapping[str, Drawings]

    def files(self) -> Drawings:
        """All of them by the name of a file."""
        named = dict(self.cell)
        for name, drawings in self.objects.items():
            named |= {f"{name} {caption}": drawing for caption, drawing in drawings.items()}
        return {re.sub(r"\W+", "_", k.partition(" (")[0]).strip("_"): v for k, v in named.items()}


def drawn(store: Volume, kinds: Sequence[Kind]) -> Drawn:
    """Figures of all kinds, as far as they are measured."""
    names = [kind.name for kind in kinds]
    profile = whole_profile(store, names)
    cell = {"Shares of the cell": shares_figure(profile)} if "cell" in profile else {}
    return Drawn(
        cell | still_cell(store, kinds), {name: measured_figures(store, name) for name in names}
    )


def still_cell(store: Volume, kinds: Sequence[Kind]) -> Drawings:
    """The objects of the first kind that has many, by three columns, in the shells of the others.

    And the raw image of the cell, shaded and cut open, where the largest body is known.
    """
    level, spacing = coarse_level(store, most_voxels=MOST_VOXELS)
    bodies = {k.name: read_coarse(store, k.name, level, most_voxels=MOST_VOXELS)
              for k in kinds if k.color is not None}
    bodies = {name: voxels for name, voxels in bodies.items() if voxels.any()}
    drawings: Drawings = {}
    many = next((k.name for k in kinds if k.color is None and table_of(store, k.name)), None)
    largest = max(bodies, key=lambda name: np.count_nonzero(bodies[name]), default=None)
    if many is not None:
        shells = [
            Shell(voxels) if name == largest else Shell(voxels, NUCLEUS, 0.85)
            for name, voxels in bodies.items()
        ]
        table = store.table(many)
        columns = {column_title(c): table[c] for c in IN_3D if c in table}
        columns = columns or {column_title(c): table[c] for c in FIRST_COLORS if c in table}
        labels = read_coarse(store, many, level, most_voxels=MOST_VOXELS)
        if columns and labels.any():
            scene = trace(labels, shells=shells, spacing=spacing)
            drawings[f"The {plain_name(many)} in 3D"] = cell_figure(
                scene, numbers=table["label"], columns=columns
            )
    if largest is not None:
        raw = read_coarse_raw(store, level, most_voxels=MOST_VOXELS)
        picture = shaded_cell(
            raw, bodies[largest], invert=store.polarity == "dark", spacing=spacing
        )
        drawings["The raw image, cut open"] = picture_figure(picture)
    return drawings


def measured_figures(store: Volume, name: str) -> Drawings:
    """Scatter plots with fit, interval and null, and histograms by class, of one table."""
    measured: dict[str, Any] = measured_of(store, name)
    table = table_of(store, name)
    if table is None or not measured or len(table["label"]) < 2:
        return {}
    drawings: Drawings = {}
    classes = table.get("spatial_class")
    correlated = measured.get("correlations")
    if correlated:
        columns = dict.fromkeys([correlated["column"][0], *correlated["with_column"]])
        found = relations(table, measured, titles={c: column_title(c) for c in columns})
        drawings["Correlations with distance"] = scatter_figure(found, classes=classes)
    for column in HISTOGRAMS:
        if column in table and np.isfinite(table[column]).any():
            drawings[column_title(column).capitalize()] = column_histogram(
                table[column], title=column_title(column), classes=classes
            )
    return drawings
