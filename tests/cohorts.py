"""Small cells of two conditions as stores, and the list that ``fibseg cohort`` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from small_cells import balls, small_cell

FEW = ["profile.measure.correlations.n_simulations=9",
       "profile.measure.correlations.n_bootstrap=100",
       "profile.steps=[objects,measure]"]
"""What makes a profile of a small cell a matter of seconds."""


def cells_of(folder: Path, conditions: Mapping[str, str]) -> list[dict[str, str]]:
    """A store for each name, and the entries of the list; treated cells have more objects."""
    rows = []
    for number, (name, condition) in enumerate(conditions.items()):
        n = 6 + number + (4 if condition == "drug" else 0)
        small_cell(folder / f"{name}.ome.zarr", mitochondria=balls(n))
        rows.append({"name": name, "volume": f"{name}.ome.zarr", "condition": condition})
    return rows


def listed(folder: Path, rows: Sequence[Any]) -> Path:
    """The list as a file beside the stores."""
    path = folder / "cells.yaml"
    path.write_text(yaml.safe_dump({"cells": [*rows]}))
    return path


def words(path: Path, out: Path, *more: str) -> list[str]:
    """Words of the command."""
    return ["cohort", f"cells={path}", f"out={out}", *FEW, *more]
