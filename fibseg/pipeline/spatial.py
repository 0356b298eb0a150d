"""From the finished columns of a table to how objects lie in the cell: classes and correlations."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.measure import statistics
from fibseg.measure.classes import MISSING, NAMES, Classes, by_mixture, by_thresholds
from fibseg.measure.settings import ClassRule
from fibseg.pipeline.bench import Array
from fibseg.pipeline.measure_job import NEAREST, Job
from fibseg.pipeline.null_facts import null_facts
from fibseg.types import Spacing, Table

_log = logging.getLogger("fibseg.pipeline")

OF_CLASSES = ("volume_um3", "surface_to_volume_per_um", "sphericity", "elongation")
"""Columns whose medians are stated of every class."""


def spatial_facts(
    job: Job,
    table: Table,
    labels: Mapping[str, Array],
    *,
    folder: Path,
    block_shape: Sequence[int],
    runner: Runner | None = None,
    spacing: Spacing,
) -> tuple[Table, dict[str, Any]]:
    """The column ``spatial_class``, if there is one, and what else the metadata hold.

    That is ``classes``, ``correlations`` and ``null``, None where they are left out, and
    ``left_out``, for what reason. Correlations that a null is beside are those of the objects that
    it places: ``correlated_without`` has the labels of all others that have a value.

    Parameters
    ----------
    job
        What is asked for.
    table
        All other columns.
    labels
        Label images of the job by name.
    folder
        Where what is known of single blocks is kept; the caller removes it.
    block_shape, runner
        As in `fibseg.blocks.reduce_blocks`.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    columns: Table = {}
    facts: dict[str, Any] = {
        "classes": None, "correlations": None, "correlated_without": [], "null": None,
    }
    counted = in_cytoplasm(table, cell=job.cell, nucleus=job.nucleus)
    left_out = _left_out(job, table, counted)
    asked, column = job.correlations, job.class_column
    if job.classes and column and "classes" not in left_out:
        found = classified(table, job.classes, column, counted=counted)
        if (found.names == MISSING).all():
            left_out["classes"] = found.rule.removeprefix("no classes: ")
        else:
            columns["spatial_class"] = found.names
            facts["classes"] = class_facts(table, found, column)
    if asked and asked.n_simulations and job.membranes and "null" not in left_out:
        nucleus, cell = job.membranes
        facts["null"] = null_facts(
            table, np.where(counted, table[asked.column], np.nan),
            {"objects": labels[job.objects], "cell": labels[cell], "nucleus": labels[nucleus]},
            asked, columns=[f"distance_{name}_um" for name in (nucleus, cell, NEAREST)],
            folder=folder, block_shape=block_shape, runner=runner, inputs=job.inputs,
            spacing=spacing,
        )
    if asked and "correlations" not in left_out:
        there = _placed(table, counted, facts["null"])
        facts["correlated_without"] = _without(table, asked.column, there)
        facts["correlations"] = statistics.correlations(
            {**table, asked.column: np.where(there, table[asked.column], np.nan)}, asked.column,
            job.correlated, n_bootstrap=asked.n_bootstrap, seed=asked.seed,
        )
    for part, reason in left_out.items():
        _log.info("%s left out: %s", part, reason)
    return columns, facts | {"left_out": left_out}


def _placed(
    table: Table, counted: NDArray[np.bool_], null: Mapping[str, Any] | None
) -> NDArray[np.bool_]:
    """Objects that correlations are to be of: those that a null says something of, else all."""
    if null is None:
        return np.ones(len(counted), dtype=bool)
    if max(null["table"]["n_objects"]) < statistics.MIN_OBJECTS:  # it says nothing
        return counted
    return counted & ~np.isin(table["label"], null["never_placed"])


def _without(table: Table, column: str, there: NDArray[np.bool_]) -> list[int]:
    """Labels of the objects that have a value and are not `there`, and a word on how many."""
    labels = table["label"][~there & np.isfinite(table[column])]
    if n := len(labels):
        _log.info(
            "correlations: without %d object%s that the spatial null does not place, for %s more "
            "than half in the nucleus or outside of the cell, or %s no room",
            n, "s" * (n != 1), "they lie by" if n != 1 else "it lies by",
            "find" if n != 1 else "finds",
        )
    return sorted(labels.tolist())


def _left_out(job: Job, table: Table, counted: NDArray[np.bool_]) -> dict[str, str]:
    """What was asked for and cannot be, and why."""
    reasons = {}
    if job.class_column and job.class_column not in table:
        reasons["classes"] = f"{job.class_column} is not measured, see to="
    if job.correlations and not job.to:
        reasons["correlations"] = "no distance is measured, see to="
    elif job.correlations and not job.correlated:
        reasons["correlations"] = (
            f"{job.correlations.column} is the only distance that is measured, see to="
        )
    if job.correlations and job.correlations.n_simulations:
        column = job.correlations.column
        n = int(np.count_nonzero(counted & np.isfinite(table[column])))
        if job.membranes is None:
            reasons["null"] = "it needs the nucleus and the cell, both also in to="
        elif n < statistics.MIN_OBJECTS:
            which = f"{n} objects in the cytoplasm have" if n != 1 else (
                "1 object in the cytoplasm has"
            )
            reasons["null"] = f"{which} a {column}, {statistics.MIN_OBJECTS} are needed"
    return reasons


def in_cytoplasm(table: Table, *, cell: str | None, nucleus: str | None) -> NDArray[np.bool_]:
    """Which objects are, by more than half, neither in the nucleus nor outside of the cell.

    What was not measured says nothing against an object.
    """
    there = np.ones(len(table["label"]), dtype=bool)
    if f"inside_{nucleus}" in table:
        there &= ~table[f"inside_{nucleus}"]
    if f"inside_{cell}" in table:
        there &= table[f"inside_{cell}"]
    return there


def classified(
    table: Table, rule: ClassRule, column: str, *, counted: NDArray[np.bool_]
) -> Classes:
    """Class of every object of a table; those that are not `counted` have none."""
    values = np.where(counted, np.asarray(table[column], dtype=np.float64), np.nan)
    if rule.near_um is not None and rule.far_um is not None:
        return by_thresholds(values, near=rule.near_um, far=rule.far_um, column=column)
    return by_mixture(values, column=column, seed=rule.seed)


def class_facts(table: Table, classes: Classes, column: str) -> dict[str, Any]:
    """Rule, limits, how many objects are in each class, and medians of `OF_CLASSES` there."""
    medians = {
        name: {key: _median(table[key][classes.names == name]) for key in OF_CLASSES}
        for name in NAMES
    }
    counts = {name: int(np.count_nonzero(classes.names == name)) for name in (*NAMES, MISSING)}
    return {
        "column": column, "rule": classes.rule, "limits": list(classes.limits),
        "counts": counts, "medians": medians,
    }


def correlation_rows(facts: Mapping[str, Any]) -> Table:
    """Correlations and null of the metadata of a table as one table, a row per distance.

    Columns of the null that say the same as those of the correlations begin with ``grid_``: they
    were taken on the working grid.
    """
    found = facts["correlations"]
    rows: Table = {name: _column(values) for name, values in found.items()}
    null = facts["null"]
    if null is not None:
        where = {name: row for row, name in enumerate(null["table"]["with_column"])}
        picked = [where.get(name) for name in found["with_column"]]
        for name, values in null["table"].items():
            if name != "with_column":
                kept = [None if row is None else values[row] for row in picked]
                rows[f"grid_{name}" if name in found else name] = _column(kept)
    return rows


def _column(values: Sequence[Any]) -> NDArray[Any]:
    """Values of JSON as an array: null is NaN."""
    if any(isinstance(value, str) for value in values):
        return np.array(values)
    if all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _median(values: NDArray[Any]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
