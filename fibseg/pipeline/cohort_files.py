"""The folder of a cohort: whose it is, and the files that tell what was found."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.pipeline.cohort_cells import Cell
from fibseg.pipeline.table_csv import csv_bytes
from fibseg.types import Table
from fibseg.volume.files import read_json, write_bytes, write_json
from fibseg.volume.tables import save_table

_log = logging.getLogger("fibseg.pipeline")

PLAN, FOUND, PAGE, FIGURES = "plan.json", "cohort.json", "cohort.html", "figures"
CSV, PARQUET = "cells.csv", "cells.parquet"


def check_folder(
    out: Path, cells: Sequence[Cell], commands: Sequence[Sequence[Sequence[str]]], *,
    overwrite: bool,
) -> None:
    """Nothing, if the folder is free or holds this cohort, perhaps with fewer cells so far.

    Raises
    ------
    UsageError
        If `out` is a file.
    ExistsError
        If it holds other cells, other settings, or files of something else.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"out={out} is a file. Name a folder for the cohort.")
    why = _other(out, plan_of(cells, commands))
    if why is not None and not overwrite:
        raise ExistsError(f"out={out} holds {why}. Use overwrite=true, or another folder.")


def plan_of(
    cells: Sequence[Cell], commands: Sequence[Sequence[Sequence[str]]]
) -> dict[str, dict[str, Any]]:
    """What a cohort is made of, by the name of each cell."""
    return {
        cell.name: {
            "volume": cell.volume, "condition": cell.condition,
            "commands": [list(words) for words in own],
        } for cell, own in zip(cells, commands, strict=True)
    }


def keep_plan(
    out: Path, cells: Sequence[Cell], commands: Sequence[Sequence[Sequence[str]]]
) -> None:
    """Say in the folder whose it is, before any work."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / PLAN, {"cells": plan_of(cells, commands)})


def write_results(out: Path, rows: Sequence[Mapping[str, Any]], found: Mapping[str, Any]) -> None:
    """Write the table, twice, and all that was found; equal results give equal bytes."""
    csv_table: Table = {
        key: np.array(["" if row[key] is None else row[key] for row in rows], object)
        for key in rows[0]
    }
    write_bytes(out / CSV, csv_bytes(csv_table))
    table: Table = {key: _column([row[key] for row in rows]) for key in rows[0]}
    save_table(out / PARQUET, table, labels_digest=found["inputs"], overwrite=True)
    text = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False)
    write_bytes(out / FOUND, (text + "\n").encode())


def _column(values: Sequence[Any]) -> Any:
    """Words, or numbers with NaN where they are missing."""
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else value for value in values], object)
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _other(out: Path, plan: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What else stands in the folder; None if nothing does."""
    if not (out / PLAN).exists():
        there = [name for name in (FOUND, CSV, PARQUET, PAGE) if (out / name).exists()]
        return f"{there[0]} of something else" if there else None
    try:
        earlier = dict(read_json(out / PLAN)["cells"])
    except (DataError, KeyError, TypeError, ValueError):
        return f"a {PLAN} that cannot be read"
    gone = [name for name in earlier if name not in plan]
    if gone:
        return f"the cohort of other cells, among them {gone[0]}"
    for name, facts in earlier.items():
        changed = [key for key, value in plan[name].items() if facts.get(key) != value]
        if changed:
            return f"a cohort in which the {changed[0]} of {name} is another"
    if more := len(plan) - len(earlier):
        _log.info("%s gets %d cell%s more than the %d of before", out, more, "s" * (more != 1),
                  len(earlier))
    return None
