"""Several cells: the sections of each are a pair, and the cell is the unit of the comparison."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import (
    ExistsError,
    FibsegError,
    InterruptedRunError,
    PartlyDoneError,
    UsageError,
)
from fibseg.measure.distribution import COMPARED
from fibseg.measure.distribution_settings import Sections, Spreading
from fibseg.measure.paired_cells import compared_cells, pooled
from fibseg.pipeline.distribution_cells_words import CELLS, FOUND, POOLED, RULE, CellsDistributed
from fibseg.pipeline.distribution_job import Job, planned_job
from fibseg.pipeline.steps import Step
from fibseg.pipeline.table_csv import csv_bytes
from fibseg.types import Table
from fibseg.volume import Volume, fingerprint
from fibseg.volume.files import finite, write_bytes

_log = logging.getLogger("fibseg.pipeline")

MEASURES = (*COMPARED, "objects_per_um2")
"""What is compared: means of objects, and their number per area."""
NEARLY_EQUAL = 0.9
"""From this share of the larger section on, which one is the larger may be chance."""


def check_paths(paths: Sequence[str], *, csv: str | None, out: str | None) -> None:
    """Nothing, if each of these volumes is a cell, and the files are of so many.

    Raises
    ------
    UsageError
        If there is none, one is named twice, or `csv` or `out` cannot be meant for so many.
    """
    if not paths:
        raise UsageError("volume=[] names no volume. Give one, or several: volume=[a,b,…].")
    places = [Path(path).resolve() for path in paths]
    twice = [path for path, place in zip(paths, places, strict=True) if places.count(place) > 1]
    if twice:
        raise UsageError(
            f"volume= names {twice[0]} more than once, and a cell counts once. Leave it out."
        )
    if len(paths) > 1 and csv is not None:
        raise UsageError(
            f"csv={csv} is one file, for the table of one volume, and there are {len(paths)}. Use "
            "out=FOLDER for their comparison, or one command for each table."
        )
    if len(paths) == 1 and out is not None:
        raise UsageError(
            f"out={out} is for the comparison of several cells, and there is one volume. Use "
            "csv=FILE for its table, or name more: volume=[a,b,…]."
        )


def each_for_itself(steps: Sequence[Step]) -> None:
    """Do one step for each cell; what goes wrong with one does not stop the others.

    Raises
    ------
    PartlyDoneError
        After all others: cells that failed, each with its error.
    InterruptedRunError
        At once, if a signal came or the disk is full.
    """
    failed: dict[str, str] = {}
    for number, step in enumerate(steps, 1):
        volume = step.parts["volume"]
        _log.info("cell %d of %d: %s", number, len(steps), volume)
        try:
            step.run()
        except InterruptedRunError:
            raise
        except Exception as error:
            known = isinstance(error, FibsegError)
            failed[volume] = str(error) if known else f"{type(error).__name__}: {error}"
            _log.error("%s: %s", volume, failed[volume], exc_info=None if known else error)
    if failed:
        listed = "\n".join(f"  {volume}: {error}" for volume, error in failed.items())
        raise PartlyDoneError(
            f"{len(failed)} of {len(steps)} cells failed, the others are done; nothing is compared "
            f"yet:\n{listed}\nThe same command tries only these again.", failed.values(),
        )


@dataclass(frozen=True)
class Comparison:
    """What is to be compared, found out before any work.

    Attributes
    ----------
    paths, jobs
        Store of each cell, and what is to be found in it.
    out, overwrite
        As in `fibseg.pipeline.distribution.run`.
    """

    paths: Sequence[str]
    jobs: Sequence[Job]
    out: str | None
    overwrite: bool

    @classmethod
    def planned(
        cls, paths: Sequence[str], objects: str, *, on: str, voxel_nm: float,
        spreading: Spreading, sections: Sections, out: str | None, overwrite: bool,
    ) -> Comparison:
        """The comparison of these volumes; parameters as of `fibseg.pipeline.distribution.run`.

        Raises
        ------
        DataError
            If a volume has no such labels.
        ExistsError
            If `out` holds something else.
        UsageError
            If cells are to be split by planes, and there is not one for each.
        """
        jobs = [
            planned_job(
                Volume.open(path), objects, on=on, voxel_nm=voxel_nm, spreading=spreading,
                sections=sections.of_cell(number, len(paths)),
            ) for number, path in enumerate(paths)
        ]
        found = cls(paths, jobs, out, overwrite)
        found._refuse_others()
        return found

    @property
    def inputs(self) -> str:
        """Hash of all that the comparison depends on."""
        return fingerprint({"cells": list(self.paths), "jobs": [job.inputs for job in self.jobs]})

    def _refuse_others(self) -> None:
        """Nothing, if the folder is free or holds this comparison."""
        if self.out is None:
            return
        folder = Path(self.out)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"out={folder} is a file. Name a folder for the comparison.")
        there = [folder / name for name in (CELLS, FOUND) if (folder / name).exists()]
        if not there or self.overwrite or _inputs_in(folder / FOUND) == self.inputs:
            return
        raise ExistsError(
            f"out={folder} holds {there[0].name} of other cells or settings. Use overwrite=true, "
            "or another folder."
        )

    def finished(self) -> CellsDistributed:
        """Compare the cells, all of which are done; writes the files if there is a folder."""
        stores = [Volume.open(path) for path in self.paths]
        facts = [job.facts(store) for job, store in zip(self.jobs, stores, strict=True)]
        names = _names(stores, self.paths)
        rows = [_row(*cell) for cell in zip(names, self.paths, facts, strict=True)]
        tables = [store.table(job.objects) for job, store in zip(self.jobs, stores, strict=True)]
        found = {
            "inputs": self.inputs, "objects": self.jobs[0].objects, "on": self.jobs[0].on,
            "rule": RULE, "pooled_warning": POOLED, "cells": rows,
            "comparisons": _comparisons(rows, tables),
        }
        result = CellsDistributed(finite(found), file=self.out)
        if self.out is not None:
            _save(Path(self.out), result)
        return result


def _row(name: str, path: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A cell: area, objects and means of each section, missing where it has none."""
    split = facts["sections"]
    sections = {row["section"]: row for row in split["rows"]}
    row: dict[str, Any] = {
        "cell": name, "path": str(path), "n_objects": facts["n_objects"],
        "why_none": split["why_none"], "nearly_equal": False,
    }
    for k in (1, 2):
        mine = sections.get(k, {})
        row[f"n_objects_{k}"] = mine.get("n_objects", 0)
        row[f"area_um2_{k}"] = _number(mine.get("area_um2"))
        row |= {f"{m}_{k}": _number(mine.get(_key(m))) for m in MEASURES}
    if sections:
        row["nearly_equal"] = row["area_um2_2"] >= NEARLY_EQUAL * row["area_um2_1"]
        if row["area_um2_2"] == 0:
            row["why_none"] = "section 2 has no envelope"
    return row


def _key(measure: str) -> str:
    return measure if measure == "objects_per_um2" else f"mean_{measure}"


def _comparisons(rows: Sequence[Mapping[str, Any]], tables: Sequence[Table]) -> dict[str, Any]:
    """Of each measure, with cells as units, and of objects all together where they have values."""
    section = np.concatenate([np.asarray(table["section"], float) for table in tables])
    found = {}
    for name in MEASURES:
        first, second = (_column(rows, f"{name}_{k}") for k in (1, 2))
        together = None
        if name in COMPARED:
            values = np.concatenate([np.asarray(table[name], float) for table in tables])
            together = asdict(pooled(values, section))
        found[name] = {**asdict(compared_cells(first, second)), "pooled": together}
    return found


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], np.float64)


def _names(stores: Sequence[Volume], paths: Sequence[str]) -> list[str]:
    """Short names of the cells; their paths where these are not unique."""
    names = [store.name for store in stores]
    return names if len({*names}) == len(names) else [str(path) for path in paths]


def _inputs_in(path: Path) -> str | None:
    """What a comparison that stands there was made of."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found)


def _save(folder: Path, found: Mapping[str, Any]) -> None:
    """Write both files, the one that says what it was made of last."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = found["cells"]
    table: Table = {
        name: np.array(["" if row[name] is None else row[name] for row in rows], object)
        for name in rows[0]
    }
    write_bytes(folder / CELLS, csv_bytes(table))
    text = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False)
    write_bytes(folder / FOUND, (text + "\n").encode())


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
