"""``fibseg measure``: shapes of objects, where they lie in the cell, their share of it.

Distances are unsigned and go to the interface between voxels of a target and others, to the centre
of the nearest face. Those of surfaces begin at the centre of the nearest surface voxel of an
object, so that one that touches a target is half a voxel away; those between objects
(``surface_neighbour_1_um`` …) go from corner to corner of their voxels and are 0 where they touch.

The faces of the volume are no membrane. So where a target is cut by one, its
membrane may go on nearer than what is seen of it, and a distance is the most that it can be: the
log says which targets are cut.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks import Runner, Serial
from fibseg.errors import DataError
from fibseg.measure import profile, shape
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.pictures import column_colors
from fibseg.pipeline.corner_files import find_corners, neighbour_table
from fibseg.pipeline.distance_sums import distance_table
from fibseg.pipeline.distribution_job import kept_columns, kept_distribution
from fibseg.pipeline.measure_job import Job, planned_job
from fibseg.pipeline.measured import Measured
from fibseg.pipeline.profile_sums import count_voxels, require_border
from fibseg.pipeline.shape_sums import shape_table
from fibseg.pipeline.spatial import correlation_rows, spatial_facts
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.table_csv import check_csv, save_csv
from fibseg.pipeline.table_run import run_table
from fibseg.types import Table
from fibseg.volume import Volume
from fibseg.volume.lock import free

COLORED_BY = ("surface_to_volume_per_um",)
"""Column that colours the labels in viewers, as it colours the page when that opens."""
DESCRIBED = ("volume_um3", "surface_area_um2", "surface_to_volume_per_um", "sphericity")
"""Columns that viewers show of an object, beside the distances of its centre and its class."""

_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str,
    objects: str,
    to: str | Sequence[str] = (),
    extend: bool = True,
    cell: str | None = "cell",
    nucleus: str | None = "nucleus",
    intensity: bool = True,
    keep_border: bool = False,
    neighbours: int = 3,
    classes: ClassRule | None = ClassRule(),  # noqa: B008, it cannot change
    correlations: Correlating | None = Correlating(),  # noqa: B008
    csv: str | None = None,
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Measured:
    """What was found, in short; writes ``tables/OBJECTS.parquet``.

    The table has the columns of `fibseg.measure.shape.finish`, which are those of `fibseg objects`
    and more, of `fibseg.measure.distances.finish` and of `fibseg.measure.nearest_objects`, and
    ``spatial_class``. Its metadata hold the profile of the cell, the rule and the medians of the
    classes, correlations and the spatial null; and, as ``left_out``, why anything is missing.
    ``distance_nearest_um`` is the nearer of the membranes of nucleus and cell where it is measured
    to both, whatever else it is measured to; else the nearest of all targets.

    Parameters
    ----------
    volume
        Path of the store.
    objects
        Label image to be measured.
    to
        Label images whose distance is measured.
    extend
        Whether to measure also to what the table was measured to before, as it is now.
    cell, nucleus
        Label images for shares, classes and the spatial null; what is not there is left out.
    intensity
        Whether to measure the raw image, too.
    keep_border
        As in `fibseg.measure.shape.finish`.
    neighbours
        How many nearest other objects; 0 leaves them out.
    classes, correlations
        Rules; None leaves them out.
    csv
        File that gets the table as well; correlations go beside it, to NAME.correlations.csv.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace those files if they hold something else.

    Raises
    ------
    DataError
        If labels are missing or empty, or a target fills the volume.
    ExistsError
        If something else stands at `csv`.
    BusyError
        If another run is writing these labels or their table.
    UsageError
        If a setting cannot be meant, before any work.
    """
    store = Volume.open(volume)
    plan = functools.partial(
        planned_job, store, objects, to=to, extend=extend, cell=cell, nucleus=nucleus,
        intensity=intensity, keep_border=keep_border, neighbours=neighbours, classes=classes,
        correlations=correlations,
    )
    job = plan()
    if job.finished(store):
        _log.info("%s is there already, made with the same settings", job.path)
        free(store.path / job.labels_path)
        tidy(store, job.path)
    else:
        for file in _files(csv) if csv is not None else ():
            check_csv(file, overwrite=overwrite)
        run_table(
            "measure", store, plan, lambda: make_table(store, job, blocks=blocks),
            metrics=lambda: job.summary(store), config=config, overrides=overrides,
        )
    describe_objects(store, job)
    files = () if csv is None else _save(store, job, csv, overwrite=overwrite)
    return Measured(str(volume), job.summary(store), files=files)


def describe_objects(store: Volume, job: Job) -> None:
    """Give the labels the colours and the numbers of their table, for viewers such as napari."""
    table = store.table(job.objects)
    by = next((column for column in COLORED_BY if column in table), "volume_um3")
    shown = (*DESCRIBED, *job.distances, "spatial_class")
    store.describe_labels(
        job.objects, table["label"], colors=column_colors(table[by]).rgb,
        properties={column: table[column] for column in shown if column in table},
    )


def make_table(store: Volume, job: Job, *, blocks: Runner | None = None) -> Path:
    """Make the table of a job; returns its file.

    Raises
    ------
    DataError
        If there is no object, or a target without a border.
    """
    runner, bench, block_shape = blocks or Serial(), StoreBench(store, job.path), store.block_shape
    labels = {name: store.labels(name) for name in job.names}
    counts = count_voxels(
        labels, cell=job.cell, nucleus=job.nucleus, block_shape=block_shape, runner=runner,
        scratch=bench.folder("shares"), inputs=job.inputs,
    )
    _require_membranes(counts, job)
    require_border(
        counts, names=job.names, objects=job.objects, to=job.to, shape=store.shape
    )
    table = _measured(store, job, labels, bench, runner)
    _tell(job, counts, table)
    columns, facts = spatial_facts(
        job, table, labels, folder=bench.folder("null"), block_shape=block_shape, runner=runner,
        spacing=store.spacing,
    )
    found = profile.finish(
        counts, names=job.names, cell=job.cell, nucleus=job.nucleus, spacing=store.spacing
    )
    kept, distributed = kept_distribution(store, job.objects)
    own, told = kept_columns(store, job.objects)
    sources = distributed.get("distribution", {}).get("sources", {}) | job.sources
    path = store.write_table(
        job.objects, own | table | columns | kept, labels_digest=job.sources[job.labels_path],
        measured={
            "inputs": job.inputs, "sources": sources, **distributed, **told, "to": job.to,
            "nearest": job.nearest,
            "cell": job.cell, "nucleus": job.nucleus, "keep_border": job.keep_border,
            "too_small": int(np.count_nonzero(shape.too_small(table))),
            "profile": found, "neighbours": job.neighbours, **facts,
        },
    )
    bench.clear()
    return path


def _require_membranes(counts: Table, job: Job) -> None:
    """Nothing, if the cell and the nucleus, where they are needed, are not empty.

    Raises
    ------
    DataError
        If one of them is, with the key that leaves it out.
    """
    n = dict(zip(job.names, counts["n_voxels"].tolist(), strict=True))
    for key, name in (("cell", job.cell), ("nucleus", job.nucleus)):
        if name == job.objects and not n[name]:
            raise DataError(
                f"There is no object in labels/{name}, all voxels are 0: there is nothing to "
                f"measure. Give fibseg profile {key}=null if the volume shows none, or make "
                f"labels/{name} again with other settings."
            )
        if name in job.to and n[job.objects] and not n[name]:
            raise DataError(
                f"labels/{name} is empty, all voxels are 0: nothing can be near to where it "
                f"begins. Give {key}=null and leave {name} out of to= (with extend=false, if the "
                f"table was measured to it before), or make labels/{name} again."
            )


def _measured(
    store: Volume, job: Job, labels: Mapping[str, Any], bench: StoreBench, runner: Runner
) -> Table:
    """Shapes, distances and neighbours of all objects."""
    objects, spacing = labels[job.objects], store.spacing
    over: dict[str, Any] = {
        "block_shape": store.block_shape, "runner": runner, "inputs": job.inputs
    }
    table = shape_table(
        objects, store.raw() if job.intensity else None, keep_border=job.keep_border,
        scratch=bench.folder("shapes"), spacing=spacing, **over,
    )
    if job.to:
        table |= distance_table(
            objects, {name: labels[name] for name in job.to}, table, nearest=job.nearest,
            folder=bench.folder("distances"), spacing=spacing, **over,
        )
    if job.neighbours:
        corners = find_corners(objects, folder=bench.folder("corners"), **over)
        table |= neighbour_table(table, corners, k=job.neighbours, spacing=spacing)
    return table


def _files(csv: str) -> tuple[Path, Path]:
    """The file of the table, and that of its correlations."""
    return Path(csv), Path(f"{csv.removesuffix('.csv')}.correlations.csv")


def _save(store: Volume, job: Job, csv: str, *, overwrite: bool) -> tuple[str, ...]:
    """Write the table as text, and the correlations if there are any; returns the files."""
    table, beside = _files(csv)
    facts = store.table_info(job.objects)["measured"]
    save_csv(table, store.table(job.objects), overwrite=overwrite)
    if facts["correlations"] is None:
        return (str(table),)
    save_csv(beside, correlation_rows(facts), overwrite=overwrite)
    return str(table), str(beside)


def _tell(job: Job, counts: Table, table: Table) -> None:
    """Say what a reader of the numbers should know."""
    n_small = int(np.count_nonzero(shape.too_small(table)))
    if n_small:
        _log.info(
            "%d object%s too small for a surface: it is missing in the table, with what depends "
            "on it", n_small, " is" if n_small == 1 else "s are",
        )
    if job.cell is None or job.nucleus is None:
        missing = "cell" if job.cell is None else "nucleus"
        _log.info("there are no labels of the %s: shares that need them are left out", missing)
    for name in job.to:
        if counts["n_at_face"][job.names.index(name)]:
            _log.info(
                "labels/%s is cut by a face of the volume: distances go to what is seen of it",
                name,
            )
        share = table[f"share_in_{name}"]
        n = int(np.count_nonzero((share > 0) & (share < 1)))
        if n:
            _log.info(
                "across the border of labels/%s: %d object%s, see share_in_%s", name, n,
                "s" * (n != 1), name,
            )
