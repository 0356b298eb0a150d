"""``fibseg distribution``: how pores, or any small objects, lie on the nuclear envelope.

Distances between objects go straight through the nucleus, as in the case study; density,
curvature, pair correlation, clusters and islands go along the envelope, so that facing walls of a
furrow are no neighbours. The envelope is the border of the nucleus on a coarser level of the
pyramid. Where a face of the volume cuts the nucleus there is no envelope, and objects near to it
lack neighbours that are outside: their distances are the most that these can be.

Of several volumes each is a cell: what is finished stands, and then sections are compared with the
cell as the unit (`fibseg.pipeline.distribution_cells`).
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
from fibseg.measure.distribution import distribution
from fibseg.measure.distribution_settings import Sections, Spreading
from fibseg.pipeline.distributed import Distributed
from fibseg.pipeline.distribution_cells import Comparison, check_paths, each_for_itself
from fibseg.pipeline.distribution_cells_words import CellsDistributed
from fibseg.pipeline.distribution_job import COLUMNS, FACTS, Job, planned_job, standing_table
from fibseg.pipeline.envelope_mesh import envelope_parts, working_level
from fibseg.pipeline.region_sums import region_table
from fibseg.pipeline.steps import Step
from fibseg.pipeline.store_bench import StoreBench, tidy
from fibseg.pipeline.table_csv import check_csv, save_csv
from fibseg.pipeline.table_run import run_table
from fibseg.types import Table
from fibseg.volume import Volume
from fibseg.volume.lock import free

CENTRES = ("centroid_z_um", "centroid_y_um", "centroid_x_um")
_log = logging.getLogger("fibseg.pipeline")


def run(
    *,
    volume: str | Sequence[str],
    objects: str,
    on: str = "nucleus",
    voxel_nm: float = 60.0,
    spreading: Spreading = Spreading(),  # noqa: B008, it cannot change
    sections: Sections = Sections(),  # noqa: B008
    csv: str | None = None,
    out: str | None = None,
    blocks: Runner | None = None,
    overwrite: bool = False,
    config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Distributed | CellsDistributed:
    """What was found, in short; extends ``tables/OBJECTS.parquet`` of each volume.

    The table gets the columns of `fibseg.measure.distribution.distribution`; where there is none
    of these labels, one with sizes and places is made first. Facts of all objects go to its
    metadata, as ``distribution``.

    Parameters
    ----------
    volume
        Path of the store, or several paths, each of another cell.
    objects
        Label image of small objects.
    on
        Label image of the nucleus.
    voxel_nm
        The envelope is taken from the coarsest level whose voxels are at most so wide.
    spreading, sections
        Radii and simulations; where the nucleus is split.
    csv
        File that gets the table of a single volume as well.
    out
        Folder that gets the comparison of several.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace these files if they hold something else.

    Raises
    ------
    DataError
        If labels are missing or empty, or the nucleus fills the volume.
    ExistsError
        If something else stands at `csv` or in `out`.
    BusyError
        If another run is writing these labels or their table.
    UsageError
        If a setting cannot be meant, before any work.
    PartlyDoneError
        After all others: of several cells some failed. Nothing is compared then.
    """
    steps = planned(**locals())
    if len(steps) == 1:
        one = dict(steps[0].parts)
        return _of_one(**one, config=config, overrides=overrides)
    comparison = Comparison.planned(
        [step.parts["volume"] for step in steps], objects, on=on, voxel_nm=voxel_nm,
        spreading=spreading, sections=sections, out=out, overwrite=overwrite,
    )
    each_for_itself(steps)
    return comparison.finished()


def planned(
    *, volume: str | Sequence[str], csv: str | None = None, out: str | None = None,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (), **rest: Any,
) -> list[Step]:
    """One step for each volume that `run` would work on with the same arguments.

    Raises
    ------
    UsageError
        If there is no volume, one is named twice, or a file cannot be meant for so many.
    """
    paths = [volume] if isinstance(volume, str) else list(volume)
    check_paths(paths, csv=csv, out=out)
    return [_step(number, paths, csv, config, overrides, rest) for number in range(len(paths))]


def _step(
    number: int, paths: Sequence[str], csv: str | None, config: Mapping[str, Any] | None,
    overrides: Sequence[str], rest: Mapping[str, Any],
) -> Step:
    """What to do with one of several volumes, as it could be typed for it alone."""
    path, parts = paths[number], dict(rest)
    plane: dict[str, Any] = {}
    if isinstance(sections := rest.get("sections"), Sections):
        parts["sections"] = own = sections.of_cell(number, len(paths))
        if own != sections:
            plane = {"point_um": own.point_um, "normal": own.normal}
    given = {"volume", "out", *(f"sections.{key}" for key in plane)}
    typed = [word for word in overrides if word.split("=", 1)[0] not in given]
    typed += [f"sections.{key}={value}".replace(" ", "") for key, value in plane.items()]
    if config is not None:
        config = {**config, "volume": path, "out": None}
        if plane:
            config["sections"] = {**config["sections"], **plane}
    return Step(
        "distribution", f"tables/{rest.get('objects')}", {**parts, "volume": path, "csv": csv},
        config, [f"volume={path}", *typed],
    )


def _of_one(
    *, volume: str, objects: str, on: str, voxel_nm: float, spreading: Spreading,
    sections: Sections, csv: str | None, blocks: Runner | None, overwrite: bool,
    config: Mapping[str, Any] | None, overrides: Sequence[str],
) -> Distributed:
    """As `run`, of a single volume."""
    store = Volume.open(volume)
    plan = functools.partial(
        planned_job, store, objects, on=on, voxel_nm=voxel_nm, spreading=spreading,
        sections=sections,
    )
    job = plan()
    if job.facts(store):
        _log.info("the distribution of %s is there already, with the same settings", objects)
        free(store.path / job.labels_path)
        tidy(store, job.path)
    else:
        if csv is not None:
            check_csv(Path(csv), overwrite=overwrite)
        run_table(
            "distribution", store, plan, lambda: extend_table(store, job, blocks=blocks),
            metrics=lambda: in_short(job.facts(store)), config=config, overrides=overrides,
        )
    if csv is not None:
        save_csv(Path(csv), store.table(objects), overwrite=overwrite)
    return Distributed(str(volume), job.path, job.facts(store), file=csv)


def extend_table(store: Volume, job: Job, *, blocks: Runner | None = None) -> Path:
    """Add the columns of a job to the table of its objects; returns the file.

    Raises
    ------
    DataError
        If there is no object, or no envelope.
    """
    bench = StoreBench(store, job.path)
    over: dict[str, Any] = {"block_shape": store.block_shape, "runner": blocks or Serial()}
    table, measured = _places(store, job, bench, over)
    if not len(table["label"]):
        raise DataError(
            f"There is no object in labels/{job.objects}, all voxels are 0. Make it again with "
            "other settings, or give another objects=."
        )
    level, spacing = working_level(store, job.voxel_nm)
    z, y, x = ((s - own) / 2 * 1e-3 for s, own in zip(spacing, store.spacing, strict=True))
    parts = envelope_parts(
        store.labels(job.on, level), scratch=bench.folder("envelope"),
        inputs=f"{job.sources[f'labels/{job.on}']} {level}", **over,
    )
    if not len(parts["corner"]):
        full = len(parts["cell"])
        raise DataError(
            f"labels/{job.on} {'fills the volume' if full else 'is empty'}, so there is no "
            "envelope. Give on= a label image of the nucleus with its border in the volume."
        )
    found = distribution(
        table["label"], np.stack([table[f"centroid_{a}_um"] for a in "zyx"], axis=1), parts,
        spreading=job.spreading, sections=job.sections, spacing=spacing, first_um=(z, y, x),
    )
    facts = {"inputs": job.inputs, "sources": job.sources, "on": job.on, **found.facts}
    _tell(job, facts, found.columns)
    base = {name: column for name, column in table.items() if name not in COLUMNS}
    path = store.write_table(
        job.objects, base | found.columns, labels_digest=job.sources[job.labels_path],
        measured=measured | {"sources": _sources(job, measured), FACTS: facts},
    )
    bench.clear()
    return path


def _sources(job: Job, measured: Mapping[str, Any]) -> dict[str, str]:
    """Digests of what the table was found from.

    What `measure` has found from other labels than those of now stays known as such.
    """
    earlier = measured.get("sources", {}) if "inputs" in measured else {}
    return job.sources | earlier


def in_short(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers that a run records."""
    names = ("n_objects", "n_on_envelope", "envelope_um2", "objects_per_um2", "quality")
    return {name: facts[name] for name in names}


def _places(
    store: Volume, job: Job, bench: StoreBench, over: Mapping[str, Any]
) -> tuple[Table, dict[str, Any]]:
    """Table of the objects as it stands, else one with sizes and places; what was measured.

    One that stands without centres of its objects, such as that of pseudo-labels, gets them.
    """
    found = standing_table(store, job.objects)
    if found is not None and set(CENTRES) <= set(found[0]):
        return found
    sizes = region_table(
        store.labels(job.objects), scratch=bench.folder("places"),
        inputs=job.sources[job.labels_path], spacing=store.spacing, **over,
    )
    if found is None:
        return sizes, {}
    table, measured = found
    rows = np.searchsorted(sizes["label"], table["label"])
    return {**table, **{name: sizes[name][rows] for name in CENTRES}}, measured


def _tell(job: Job, facts: Mapping[str, Any], columns: Table) -> None:
    """Say what a reader of the numbers should know."""
    if facts["n_far"]:
        more = " …" if facts["n_far"] > len(facts["far"]) else ""
        _log.info(
            "%d of %d objects are more than %g µm away from the envelope and have no density, "
            "curvature or section: labels %s%s", facts["n_far"], facts["n_objects"],
            job.spreading.far_um, ", ".join(map(str, facts["far"])), more,
        )
    if facts["cut_by"]:
        _log.info(
            "labels/%s is cut by the volume (%s): the envelope is what is seen of it",
            job.on, ", ".join(facts["cut_by"]),
        )
    if not np.isfinite(columns["mean_distance_8_um"]).any():
        _log.info(
            "%d objects are too few for a mean distance to the nearest eight: it is missing",
            facts["n_objects"],
        )
    split = facts["sections"]
    if split["plane"] is None:
        _log.info("no sections: %s", split["why_none"])
    for number in split.get("empty", []):
        _log.info("section %d is empty: nothing is compared", number)
