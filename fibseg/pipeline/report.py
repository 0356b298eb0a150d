"""``fibseg report``: everything known of a volume as one self-contained HTML page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fibseg
from fibseg.errors import DataError, UsageError
from fibseg.pipeline.report_camera import Camera
from fibseg.pipeline.report_cell import share_facts, whole_profile
from fibseg.pipeline.report_distribution import distribution_facts
from fibseg.pipeline.report_facts import headline, object_section, shown_labels, volume_facts
from fibseg.pipeline.report_history import run_rows, text_for_methods
from fibseg.pipeline.report_kinds import Kind, kinds_of
from fibseg.pipeline.report_pictures import Drawings, Drawn, drawn, object_stem
from fibseg.pipeline.report_scene import scene_of
from fibseg.pipeline.report_scores import latest_evaluations, score_tables
from fibseg.report import (
    CellSection,
    Figure,
    Page,
    figure_png,
    picture_uri,
    png_bytes,
    render,
    svg_uri,
    write_figures,
)
from fibseg.volume import Volume

_log = logging.getLogger("fibseg.report")


def run(
    *, volume: str, out: str | None = None, labels: Sequence[str] | None = None,
    planes: Sequence[int] | None = None, max_pixels: int = 1024, stain: str = "bright",
    n_largest: int = 12, overwrite: bool = True,
) -> dict[str, Any]:
    """Write the page and a figure beside it; returns their paths and the size.

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
    stain
        Show it ``bright``, as networks see it and as the study shows it, or ``dark``.
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
    if stain not in ("bright", "dark"):
        raise UsageError(f"stain={stain!r}: show it bright or dark.")
    if max_pixels < 16 or n_largest < 0:
        raise UsageError(
            f"max_pixels={max_pixels} and n_largest={n_largest}: use at least 16 and 0."
        )
    path = report_path(store, out)
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name a file in it: out={path / 'report.html'}.")
    if path.suffix.lower() == ".png":
        raise UsageError(f"out={path} is the page; its figure gets the .png. Use {path.stem}.html.")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists. Use overwrite=true, or another out=.")
    numbers = _chosen_planes(store, planes)
    runs = store.runs(skip_damaged=True)
    names = shown_labels(store, labels, runs)
    kinds = kinds_of(store, names)
    camera = Camera(store, max_pixels, invert=stain != store.polarity)
    drawings = drawn(store, kinds)
    text = render(_page(camera, kinds, numbers, runs, stain, n_largest, drawings))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name in another encoding than UTF-8 is no reason for no report.
    path.write_text(text, encoding="utf-8", errors="replace")
    figure = path.with_suffix(".png")
    legend = {k.name: k.color for k in kinds}
    middle = numbers[len(numbers) // 2]
    figure.write_bytes(figure_png(camera.panels(kinds, middle), legend=legend))
    found = {"report": str(path), "figure": str(figure)}
    if files := drawings.files():
        folder = path.with_suffix(".figures")
        write_figures(files, folder, svgs=drawings.svgs)
        found["figures"] = str(folder)
    _log.info("report of %s written to %s", store.name, path)
    return found | {"megabytes": round(path.stat().st_size / 1e6, 2)}


def report_path(store: Volume, out: str | None) -> Path:
    """Path of the page: `out`, or beside the store."""
    return Path(out) if out is not None else store.path.parent / f"{store.name}.report.html"


def _page(
    camera: Camera, kinds: Sequence[Kind], z: Sequence[int], runs: Sequence[Mapping[str, Any]],
    stain: str, n_largest: int, drawings: Drawn,
) -> Page:
    store = camera.store
    evaluations = latest_evaluations(store, runs)
    sections = [
        object_section(
            store, k, n_largest, _figures(drawings, k.name),
            distribution_facts(store, k.name, runs),
        ) for k in kinds
    ]
    pictures = {
        i: views for i, e in enumerate(evaluations)
        if (views := camera.error_views(e.data, z))
    }
    return Page(
        name=store.name,
        subtitle="Segmentation of a volume electron microscopy stack",
        facts=volume_facts(store),
        headline=headline(store, [k.name for k in kinds], evaluations, runs),
        cell=_cell_section(store, [k.name for k in kinds], drawings.cell),
        scene=scene_of(store, kinds, picture=drawings.still),
        views=camera.views(kinds, z),
        objects=tuple(sections),
        scores=score_tables(runs, evaluations, pictures),
        methods=text_for_methods(store, [k.name for k in kinds], evaluations, runs),
        runs=run_rows(runs),
        made_with=f"Made with fibseg {fibseg.__version__} from {store.path.name}",
        pictures_note=f"stain is {stain}" + ("; click a name to hide it" if kinds else ""),
    )


def _figures(drawings: Drawn, name: str) -> tuple[Figure, ...]:
    """Drawings of objects for the page; several panels side by side take a row of their own."""
    return tuple(
        Figure(
            caption, svg_uri(drawings.svgs[object_stem(name, caption)]),
            wide=len(drawing.axes) > 2,
        )
        for caption, drawing in drawings.objects[name].items()
    )


def _cell_section(store: Volume, names: Sequence[str], drawings: Drawings) -> CellSection | None:
    facts = share_facts(whole_profile(store, names))
    figures = tuple(
        Figure(caption, picture_uri(png_bytes(drawing, dpi=110)), wide=len(drawing.axes) > 2)
        for caption, drawing in drawings.items()
    )
    return CellSection(facts=facts, figures=figures) if facts or figures else None


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
