"""``fibseg report``: everything known of a volume as one self-contained HTML page."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fibseg
from fibseg.errors import DataError, UsageError
from fibseg.pictures import Color, class_color
from fibseg.pipeline.report_facts import (
    FEW,
    headline,
    object_section,
    shown_labels,
    volume_facts,
)
from fibseg.pipeline.report_history import run_rows, text_for_methods
from fibseg.pipeline.report_scores import latest_evaluations, score_tables
from fibseg.report import AXES, Page, View, error_view, plane_view, render
from fibseg.volume import Volume

_log = logging.getLogger("fibseg.report")
NORMAL = {"xy": 0, "xz": 1, "yz": 2}


def run(
    *, volume: str, out: str | None = None, labels: Sequence[str] | None = None,
    planes: Sequence[int] | None = None, max_pixels: int = 1024, invert: bool = False,
    n_largest: int = 12, overwrite: bool = True,
) -> dict[str, Any]:
    """Write the page; returns its path and size.

    Parameters
    ----------
    volume
        Path of the store.
    out
        HTML file; ``NAME.report.html`` beside the store if left out.
    labels
        Label images to show; all objects that are not truth of an evaluation if left out.
    planes
        Planes z to show; three, a quarter apart, if left out.
    max_pixels
        Pictures are at most this wide and high; larger planes come from the pyramid.
    invert
        Show stain bright where it is dark.
    n_largest
        Rows of the table of the largest objects.
    overwrite
        Replace a page that stands there.

    Raises
    ------
    DataError
        If the volume, a label image or a plane is not there.
    UsageError
        If a setting makes no sense.
    """
    store = Volume.open(volume)
    if max_pixels < 16 or n_largest < 0:
        raise UsageError(
            f"max_pixels={max_pixels} and n_largest={n_largest}: use at least 16 and 0."
        )
    path = report_path(store, out)
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists. Use overwrite=true, or another out=.")
    numbers = _chosen_planes(store, planes)
    names = shown_labels(store, labels)
    kinds = [Kind(name, _color(store, name, i)) for i, name in enumerate(names)]
    page = _page(store, kinds, numbers, max_pixels, invert, n_largest)
    text = render(page)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    _log.info("report of %s written to %s", store.name, path)
    return {"report": str(path), "megabytes": round(len(text.encode()) / 1e6, 2)}


@dataclass(frozen=True)
class Kind:
    """One label image to show and its colour, None for one per object."""

    name: str
    color: Color | None


def report_path(store: Volume, out: str | None) -> Path:
    """Path of the page: `out`, or beside the store."""
    return Path(out) if out is not None else store.path.parent / f"{store.name}.report.html"


def _page(
    store: Volume, kinds: Sequence[Kind], z: Sequence[int], max_pixels: int, invert: bool,
    n_largest: int,
) -> Page:
    runs = store.runs()
    evaluations = latest_evaluations(store, runs)
    sections = [object_section(store, k.name, k.color, n_largest) for k in kinds]
    camera = Camera(store, max_pixels, invert)
    pictures = {
        i: views for i, e in enumerate(evaluations)
        if (views := camera.error_views(e.data, z))
    }
    stain = "bright" if (store.polarity == "dark") == invert else "dark"
    return Page(
        name=store.name,
        subtitle="Segmentation of a volume electron microscopy stack",
        facts=volume_facts(store),
        headline=headline(store, [k.name for k in kinds], evaluations),
        views=camera.views(kinds, z),
        objects=tuple(sections),
        scores=score_tables(store, evaluations, pictures),
        methods=text_for_methods(store, [k.name for k in kinds], evaluations, runs),
        runs=run_rows(runs),
        made_with=f"Made with fibseg {fibseg.__version__} from {store.path.name}",
        pictures_note=f"stain is {stain}" + ("; click a name to hide it" if kinds else ""),
    )


@dataclass(frozen=True)
class Camera:
    """Takes pictures of planes of a store, from the pyramid level that fits."""

    store: Volume
    max_pixels: int
    invert: bool

    def views(self, kinds: Sequence[Kind], z: Sequence[int]) -> tuple[View, ...]:
        """Planes `z`, and one in the middle along y and along x."""
        _, ny, nx = self.store.shape
        wanted = [("xy", n) for n in z]
        if self.store.shape[0] > 1:
            wanted += [("xz", ny // 2), ("yz", nx // 2)]
        return tuple(self._view(kinds, plane, index) for plane, index in wanted)

    def error_views(self, evaluation: dict[str, Any], z: Sequence[int]) -> tuple[View, ...]:
        """The middle one of the planes `z`, or of the scored ones, with right and wrong voxels."""
        kind, _, labels = evaluation["prediction"].partition("/")
        truth = evaluation["truth"].removeprefix("labels/")
        names = self.store.label_names()
        if kind != "labels" or labels not in names or truth not in names:
            return ()
        by_class = list(evaluation["planes"].items())
        scored_z = sorted(int(k) for k in by_class[0][1]) if by_class else list(z)
        index = scored_z[len(scored_z) // 2]
        level, spacing = self._level("xy")
        raw, predicted, true = (
            self._read(a, "xy", index) for a in
            (self.store.raw(level), self.store.labels(labels, level),
             self.store.labels(truth, level))
        )
        info = self.store.labels_info(truth)
        painted = info.kind == "annotation"
        value = info.classes.get(by_class[0][0]) if painted else None
        return (
            error_view(
                raw, predicted > 0, true == value if painted else true > 0,
                scored=true > 0 if painted else None, title="XY", place=f"z = {index}",
                low=self.store.percentiles["p0.5"], high=self.store.percentiles["p99.5"],
                invert=self.invert, spacing=spacing,
            ),
        )

    def _view(self, kinds: Sequence[Kind], plane: str, index: int) -> View:
        level, spacing = self._level(plane)
        layers = [
            (self._read(self.store.labels(k.name, level), plane, index), k.color) for k in kinds
        ]
        axis = "zyx"[NORMAL[plane]]
        return plane_view(
            self._read(self.store.raw(level), plane, index), layers, title=plane.upper(),
            place=f"{axis} = {index}", low=self.store.percentiles["p0.5"],
            high=self.store.percentiles["p99.5"], invert=self.invert, spacing=spacing,
        )

    def _level(self, plane: str) -> tuple[int, tuple[float, float]]:
        """Finest pyramid level whose planes are small enough, and nm per pixel (rows, columns)."""
        rows, columns = AXES[plane]
        for level in range(self.store.n_levels):
            shape = self.store.raw(level).shape
            if max(shape[rows], shape[columns]) <= self.max_pixels:
                break
        # From the extent, since sizes of coarse levels are rounded.
        size = [n * s for n, s in zip(self.store.shape, self.store.spacing, strict=True)]
        return level, (size[rows] / shape[rows], size[columns] / shape[columns])

    def _read(self, array: Any, plane: str, index: int) -> NDArray[Any]:
        """Plane of a level at `index` of level 0; every n-th pixel if the level is too large."""
        axis = NORMAL[plane]
        at = min(index * array.shape[axis] // self.store.shape[axis], array.shape[axis] - 1)
        cut: list[int | slice] = [slice(None)] * 3
        cut[axis] = at
        found = np.asarray(array[tuple(cut)])
        return found[tuple(slice(None, None, -(-n // self.max_pixels)) for n in found.shape)]


def _chosen_planes(store: Volume, planes: Sequence[int] | None) -> list[int]:
    """Planes z to show.

    Raises
    ------
    DataError
        If one is not in the volume.
    """
    n = store.shape[0]
    if planes is None:
        return sorted({n * k // 4 for k in (1, 2, 3)})
    outside = [z for z in planes if not 0 <= z < n]
    if outside or not planes:
        raise DataError(
            f"planes={list(planes)}: {store.path} has the planes 0 to {n - 1}. Choose some of them."
        )
    return list(planes)


def _color(store: Volume, name: str, index: int) -> Color | None:
    """One colour for a few objects or a lone kind without table, else None."""
    if name in store.table_names():
        few = int(store.table_info(name)["n_rows"]) <= FEW
    else:
        level = store.n_levels - 1
        few = len(np.unique(store.labels(name, level)[...])) <= FEW + 1
    return class_color(index) if few else None
