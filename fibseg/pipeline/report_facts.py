"""What the report says of a store first: its size, its objects, the numbers in short."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fibseg.errors import DataError
from fibseg.pictures import CLASS_COLORS
from fibseg.pipeline.report_kinds import FEW, Kind
from fibseg.pipeline.report_scores import Recorded, against, latest_evaluations, untested
from fibseg.report import (
    ClassTable,
    Fact,
    Figure,
    ObjectSection,
    ObjectTable,
    column_title,
    column_unit,
    svg_uri,
    volume_histogram,
)
from fibseg.report.methods import plain_name, spacing_text
from fibseg.types import Table
from fibseg.volume import Volume

BARS = "#5b8db8"
N_HEADLINES = 8
FIRST_COLORS = (
    "density_per_um2", "surface_to_volume_per_um", "distance_nearest_um", "volume_um3",
)
"""Columns that colour objects when the page opens, the first that is there."""
BESIDE = re.compile(
    r"bbox_|axis_major_[zyx]$|mean_surface|share_in_|intensity_m(in|ax)|_neighbour_([2-9]|1$)"
)
"""Columns that a reader has to ask for."""
IN_BODIES = ("surface_area_um2", "surface_to_volume_per_um", "sphericity")
"""Columns that are facts of a kind with one object."""


def shown_labels(
    store: Volume, labels: Sequence[str] | None, runs: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Label images for the page: those asked for, or all objects that are not truth.

    Raises
    ------
    DataError
        If one is not there.
    """
    there = store.label_names(kind="labels")
    if labels is None:
        truths = {r.data["truth"] for r in latest_evaluations(store, runs)}
        return [
            n for n in there if f"labels/{n}" not in truths and not n.startswith("truth_")
        ]
    missing = [n for n in labels if n not in there]
    if missing:
        raise DataError(f"labels={list(labels)}: {store.path} has {there or 'none'}.")
    return list(dict.fromkeys(labels))


def volume_facts(store: Volume) -> tuple[Fact, ...]:
    """Size, spacing, type and stain of the raw."""
    size = [n * s / 1000 for n, s in zip(store.shape, store.spacing, strict=True)]
    voxels = int(np.prod(store.shape, dtype=np.int64))
    return (
        Fact(" × ".join(f"{n:,}" for n in store.shape), "voxels (z × y × x)",
             _with_prefix(voxels) + "voxels"),
        Fact(" × ".join(f"{v:.3g}" for v in size) + " µm", "size (z × y × x)",
             f"{np.prod(size):,.4g} µm³"),
        Fact(spacing_text(store.spacing), "voxel"),
        Fact(str(store.dtype), "intensities",
             f"{store.percentiles['p0.5']:g} to {store.percentiles['p99.5']:g} for 99 %"),
        Fact(store.polarity, "stain in the raw"),
    )


def headline(
    store: Volume, names: Sequence[str], evaluations: Sequence[Recorded],
    runs: Sequence[Mapping[str, Any]],
) -> tuple[Fact, ...]:
    """The few numbers that are read first."""
    facts = []
    for name in names:
        table = table_of(store, name)
        if table is not None:
            facts.append(_in_short(store, name, table))
    for record in evaluations:
        if not record.stale:
            for name, scores in record.data["scores"].items():
                if scores.get("iou") is not None:
                    facts.append(Fact(
                        f"{scores['iou']:.3f}", f"IoU, {plain_name(name)}",
                        against(record.data),
                    ))
    for spec, model in untested(runs, evaluations):
        facts += [
            Fact(f"{scores['iou']:.3f}", f"IoU, {plain_name(name)}", f"{model}, held-out")
            for name, scores in (spec.metrics.get("classes") or {}).items()
            if scores.get("iou") is not None
        ]
    return tuple(facts[:N_HEADLINES])


def _in_short(store: Volume, name: str, table: Table) -> Fact:
    """How many objects there are, or how large the only one is."""
    total = float(np.nansum(table["volume_um3"]))
    size, share = f"{total:.3g} µm³", f"{_share(store, total)} of the volume"
    if len(table["label"]) == 1:
        return Fact(size, plain_name(name), share)
    return Fact(f"{len(table['label']):,}", plain_name(name), f"{size} in all, {share}")


def object_section(
    store: Volume, kind: Kind, n_largest: int, figures: Sequence[Figure] = (),
    facts: Sequence[Fact] = (),
) -> ObjectSection:
    """Facts, histogram and largest objects of one label image."""
    name, color = kind.name, kind.color
    table = table_of(store, name)
    if table is None:
        return ObjectSection(
            plain_name(name), color, (), note="Not measured: labels/" + name + " has no table."
        )
    volumes = table["volume_um3"].astype(float)
    notes = []
    if store.table_info(name).get("labels_digest") != store.labels_info(name).digest:
        notes.append(
            f"tables/{name}.parquet was measured on an earlier version of these labels: "
            "measure again."
        )
    elif changed := changed_sources(store, name):
        notes.append(
            f"tables/{name}.parquet was measured with an earlier version of {', '.join(changed)}: "
            "measure again."
        )
    if not len(volumes):
        notes.append("No object was found.")
    columns, rows = _largest(table, n_largest) if len(volumes) > 1 else ((), ())
    few = len(volumes) <= FEW or bool(figures)
    return ObjectSection(
        plain_name(name), color, (*_object_facts(store, table, volumes), *facts),
        histogram=None if few else svg_uri(volume_histogram(volumes, color=BARS)),
        columns=columns, rows=rows,
        note=" ".join(notes), table=_to_explore(table, kind), classes=_class_table(store, name),
        figures=tuple(figures),
    )


def _to_explore(table: Table, kind: Kind) -> ObjectTable | None:
    """All rows of what there are many of; they open in colours of how they lie or are shaped."""
    if kind.color is not None or not len(table["label"]):
        return None
    by = next((c for c in FIRST_COLORS if c in table), "")
    shown = tuple(c for c in table if not BESIDE.search(c))
    return ObjectTable(table, color_by=by, shown=shown, classes={"spatial_class": CLASS_COLORS})


def _class_table(store: Volume, name: str) -> ClassTable | None:
    """Counts and medians of the spatial classes."""
    classes = measured_of(store, name).get("classes")
    if not classes:
        return None
    columns = list(dict.fromkeys(c for row in classes["medians"].values() for c in row))
    rows = tuple(
        (word, f"{n:,}", *(_number(classes["medians"].get(word, {}).get(c)) for c in columns))
        for word, n in classes["counts"].items() if word
    )
    titles = (f"median {column_title(c)}" for c in columns)
    colors = tuple(CLASS_COLORS[row[0]] for row in rows if row[0] in CLASS_COLORS)
    return ClassTable(
        ("spatial class", "objects", *titles), rows, note=str(classes["rule"]),
        colors=colors if len(colors) == len(rows) else (),
    )


def measured_of(store: Volume, name: str) -> dict[str, Any]:
    """What `fibseg measure` keeps with a table; empty if it is not there, or not up to date."""
    if name not in store.table_names() or changed_sources(store, name):
        return {}
    info = store.table_info(name)
    if info.get("labels_digest") != store.labels_info(name).digest:
        return {}
    return dict(info.get("measured") or {})


def changed_sources(store: Volume, name: str) -> list[str]:
    """Label images that a table was measured with and that are other ones now, or gone."""
    sources = (store.table_info(name).get("measured") or {}).get("sources", {})
    there = store.label_names()
    labels = {path: path.removeprefix("labels/") for path in sources if path.startswith("labels/")}
    return [
        path for path, label in labels.items()
        if label not in there or store.labels_info(label).digest != sources[path]
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _object_facts(store: Volume, table: Table, volumes: Any) -> tuple[Fact, ...]:
    facts = [Fact(f"{len(volumes):,}", "objects" if len(volumes) != 1 else "object")]
    if len(volumes):
        total = float(np.nansum(volumes))
        facts.append(
            Fact(f"{total:.4g} µm³", "total volume", f"{_share(store, total)} of the volume")
        )
    if len(volumes) > FEW:
        low, middle, high = np.nanpercentile(volumes, (25, 50, 75))
        facts += [
            Fact(f"{middle:.3g} µm³", "median volume",
                 f"half lie between {low:.3g} and {high:.3g}"),
            Fact(f"{np.nanmax(volumes):.3g} µm³", "largest"),
        ]
    if len(volumes) == 1:
        facts += [_body_fact(table, column) for column in IN_BODIES if column in table]
    if "touches_border" in table:
        n = int(np.count_nonzero(table["touches_border"]))
        facts.append(Fact(f"{n:,}", "at the border", "cut off, so too small" if n else ""))
    return tuple(facts)


def _body_fact(table: Table, column: str) -> Fact:
    value, unit = float(table[column][0]), column_unit(column)
    words = column_title(column).removesuffix(f" ({unit})")
    if not np.isfinite(value):
        return Fact("–", words, "not stated for what is cut off or too small")
    return Fact(f"{value:.4g} {unit}".rstrip(), words)


def _largest(table: Table, n: int) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Columns and rows of the table of the largest objects."""
    columns = {
        "label": ("label", "{:d}"), "volume_um3": ("volume (µm³)", "{:.4g}"),
        "n_voxels": ("voxels", "{:,d}"), "centroid_z_um": ("z (µm)", "{:.2f}"),
        "centroid_y_um": ("y (µm)", "{:.2f}"), "centroid_x_um": ("x (µm)", "{:.2f}"),
    }
    there = {k: v for k, v in columns.items() if k in table}
    order = np.argsort(-np.asarray(table["volume_um3"], float), kind="stable")[:n]
    rows = tuple(
        tuple(form.format(table[key][i].item()) for key, (_, form) in there.items())
        for i in order
    )
    return tuple(text for text, _ in there.values()), rows


def table_of(store: Volume, name: str) -> Table | None:
    """Measurements of a label image, None if there are none."""
    if name not in store.table_names():
        return None
    table = store.table(name)
    return table if {"label", "volume_um3"} <= set(table) else None


def _share(store: Volume, volume_um3: float) -> str:
    size = np.prod([n * s / 1000 for n, s in zip(store.shape, store.spacing, strict=True)])
    return f"{volume_um3 / float(size):.1%}"


def _with_prefix(n: int) -> str:
    """Number with a prefix of its unit.

    >>> _with_prefix(8830976)
    '8.83 mega'
    """
    for size, prefix in ((10**12, "tera"), (10**9, "giga"), (10**6, "mega")):
        if n >= size:
            return f"{n / size:.3g} {prefix}"
    return f"{n:,} "
