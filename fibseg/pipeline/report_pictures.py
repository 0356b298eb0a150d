"""Figures of a measured cell for the report: shares, the cell in 3D, scatter plots, histograms."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures import NUCLEUS, Camera, Shell, column_colors, shaded_cell, trace
from fibseg.pipeline.report_cell import roles, whole_profile
from fibseg.pipeline.report_distribution import distribution_figures, distribution_in_3d
from fibseg.pipeline.report_facts import FIRST_COLORS, measured_of, table_of
from fibseg.pipeline.report_kinds import Kind
from fibseg.pipeline.report_pores import pore_figures
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
    svg_text,
)
from fibseg.report.methods import plain_name
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume

MOST_VOXELS = 2**22
"""Of what still pictures are made from: seconds, and sharper than they are shown."""
PIXELS_PER_VOXEL = 4
"""Of still pictures, along each side: more show nothing else, they only take longer."""
PIXELS = (240, 640)
"""Least and most along the longer side of a still picture."""
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
        named = {file_stem(caption): drawing for caption, drawing in self.cell.items()}
        for name, drawings in self.objects.items():
            named |= {
                object_stem(name, caption): drawing for caption, drawing in drawings.items()
            }
        return named

    @functools.cached_property
    def svgs(self) -> dict[str, str]:
        """Drawings of objects as SVG, by the name of a file: the page and the files share them."""
        return {
            object_stem(name, caption): svg_text(drawing)
            for name, drawings in self.objects.items() for caption, drawing in drawings.items()
        }


def object_stem(name: str, caption: str) -> str:
    """Name of the file of a drawing of the objects of a label image."""
    return file_stem(f"{name} {caption}")


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
    body, nucleus = roles(store, names)
    if body in profile:
        cell["Shares of the cell"] = shares_figure(profile, cell=body, nucleus=nucleus)
    if bodies:
        cell["The raw image, cut open"] = cut_open(store, bodies)
    many = next((k.name for k in kinds if k.color is None and table_of(store, k.name)), None)
    picture, still = (None, "") if many is None else in_3d(store, many, bodies)
    if picture is not None:
        cell[f"The {plain_name(str(many))} in 3D"] = picture
    for name in names:
        spread = distribution_in_3d(
            store, name, bodies, most_voxels=MOST_VOXELS, camera=camera_for
        )
        if spread is not None:
            cell[f"The {plain_name(name)} on the envelope"] = spread
    return Drawn(cell, {
        name: (
            measured_figures(store, name) | pore_figures(store, name)
            | distribution_figures(store, name)
        ) for name in names
    }, still)


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
    scene = trace(labels, shells=shells, camera=camera_for(labels.shape, spacing), spacing=spacing)
    values = {column_title(c): table[c] for c in columns}
    first = scene.colored(column_colors(table[columns[0]]).rgb, numbers=table["label"])
    return cell_figure(scene, numbers=table["label"], columns=values), png_uri(first.rgb)


def cut_open(store: Volume, bodies: Mapping[Kind, NDArray[Any]]) -> Drawing:
    """The raw image of the largest body, shaded, with a wedge taken out."""
    level, spacing = coarse_level(store, most_voxels=MOST_VOXELS)
    raw = read_coarse_raw(store, level, most_voxels=MOST_VOXELS)
    largest = next(iter(bodies.values()))
    return picture_figure(shaded_cell(
        raw, largest, camera=camera_for(raw.shape, spacing), invert=store.polarity == "dark",
        spacing=spacing,
    ))


def camera_for(shape: Shape, spacing: Spacing) -> Camera:
    """Camera whose picture is as large as what a volume can show.

    >>> camera_for((24, 48, 90), (20.0, 20.0, 20.0)).size_px
    360
    """
    n_voxels = max(n * s for n, s in zip(shape, spacing, strict=True)) / min(spacing)
    least, most = PIXELS
    return Camera(size_px=int(np.clip(round(PIXELS_PER_VOXEL * n_voxels), least, most)))


def measured_figures(store: Volume, name: str) -> Drawings:
    """Scatter plots with fit, interval and null, and histograms by class, of one table."""
    measured: dict[str, Any] = measured_of(store, name)
    table = table_of(store, name)
    if table is None or not measured or len(table["label"]) < 2:
        return {}
    drawings: Drawings = {}
    classes = table.get("spatial_class")
    correlated = measured.get("correlations")
    if correlated and correlated["column"]:
        column = correlated["column"][0]
        columns = dict.fromkeys([column, *correlated["with_column"]])
        titles = {c: column_title(c) for c in columns}
        found = relations(table, measured, column=column, titles=titles)
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
