"""Figures of a measured cell for the report: shares, the cell in 3D, scatter plots, histograms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures import NUCLEUS, Shell, column_colors, shaded_cell, trace
from fibseg.pipeline.report_cell import whole_profile
from fibseg.pipeline.report_facts import FIRST_COLORS, measured_of, table_of
from fibseg.pipeline.report_kinds import Kind
from fibseg.pipeline.report_scene import coarse_level, read_coarse, read_coarse_raw
from fibseg.report import (
    Drawing,
    cell_figure,
    column_histogram,
    column_title,
    picture_figure,
    png_uri,
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
HISTOGRAMS = ("volume_um3", "surface_to_volume_per_um", "sphericity", "distance_nearest_um")

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
    still
        Data URI of the picture that stands in for the 3D view.
    """

    cell: Drawings
    objects: Mapping[str, Drawings]
    still: str = ""

    def files(self) -> Drawings:
        """All of them by the name of a file."""
        named = dict(self.cell)
        for name, drawings in self.objects.items():
            named |= {f"{name} {caption}": drawing for caption, drawing in drawings.items()}
        return {file_stem(caption): drawing for caption, drawing in named.items()}


def file_stem(caption: str) -> str:
    """Caption as the name of a file.

    >>> file_stem("mitochondria Surface to volume (1/µm)"), file_stem("The raw image, cut open")
    ('mitochondria_surface_to_volume', 'raw_image_cut_open')
    """
    words = caption.partition(" (")[0].removeprefix("The ").lower()
    return re.sub(r"\W+", "_", words).strip("_")


def drawn(store: Volume, kinds: Sequence[Kind]) -> Drawn:
    """Figures of all kinds, as far as they are measured."""
    names = [kind.name for kind in kinds]
    profile = whole_profile(store, names)
    bodies = body_masks(store, kinds)
    cell: Drawings = {}
    if "cell" in profile:
        cell["Shares of the cell"] = shares_figure(profile)
    if bodies:
        cell["The raw image, cut open"] = cut_open(store, bodies)
    many = next((k.name for k in kinds if k.color is None and table_of(store, k.name)), None)
    picture, still = (None, "") if many is None else in_3d(store, many, bodies)
    if picture is not None:
        cell[f"The {plain_name(str(many))} in 3D"] = picture
    return Drawn(cell, {name: measured_figures(store, name) for name in names}, still)


def body_masks(store: Volume, kinds: Sequence[Kind]) -> dict[Kind, NDArray[Any]]:
    """Coarse labels of the bodies, the one around the others first."""
    level, _ = coarse_level(store, most_voxels=MOST_VOXELS)
    masks = {
        kind: read_coarse(store, kind.name, level, most_voxels=MOST_VOXELS)
        for kind in sorted(kinds, key=lambda kind: not kind.shell) if kind.color is not None
    }
    return {kind: mask for kind, mask in masks.items() if mask.any()}


def in_3d(
    store: Volume, name: str, bodies: Mapping[Kind, NDArray[Any]]
) -> tuple[Drawing | None, str]:
    """Objects within translucent bodies, side by side by some columns; and the first as an URI."""
    level, spacing = coarse_level(store, most_voxels=MOST_VOXELS)
    labels = read_coarse(store, name, level, most_voxels=MOST_VOXELS)
    table = store.table(name)
    columns = [c for c in IN_3D if c in table] or [c for c in FIRST_COLORS if c in table]
    if not columns or not labels.any():
        return None, ""
    shells = [
        Shell(mask) if kind.shell else Shell(mask, kind.color or NUCLEUS, 0.85)
        for kind, mask in bodies.items()
    ]
    scene = trace(labels, shells=shells, spacing=spacing)
    values = {column_title(c): table[c] for c in columns}
    first = scene.colored(column_colors(table[columns[0]]).rgb, numbers=table["label"])
    return cell_figure(scene, numbers=table["label"], columns=values), png_uri(first.rgb)


def cut_open(store: Volume, bodies: Mapping[Kind, NDArray[Any]]) -> Drawing:
    """The raw image of the largest body, shaded, with a wedge taken out."""
    level, spacing = coarse_level(store, most_voxels=MOST_VOXELS)
    raw = read_coarse_raw(store, level, most_voxels=MOST_VOXELS)
    largest = next(iter(bodies.values()))
    return picture_figure(
        shaded_cell(raw, largest, invert=store.polarity == "dark", spacing=spacing)
    )


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
            drawings[_capital(column_title(column))] = column_histogram(
                table[column], title=column_title(column), classes=classes
            )
    return drawings


def _capital(words: str) -> str:
    """Words with a capital, the rest as it stands.

    >>> _capital("volume (µm³)")
    'Volume (µm³)'
    """
    return words[:1].upper() + words[1:]
