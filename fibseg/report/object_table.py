"""The table of all objects of one kind, as small as it can be sent."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.pictures import OKABE_ITO, Color
from fibseg.report.columns import column_help, column_title, column_unit
from fibseg.report.encode import packed
from fibseg.types import Table

DIGITS = 5
"""Significant digits of what is no whole number; the table of the store has all."""
PERCENTILES = (2.0, 98.0)
"""Values below and above have the first and the last colour, so that one object cannot take all."""
MOST_CLASSES = 12
"""Columns of words with more different ones are text, not classes."""
SAMPLE = 1000
_IDENTITY = re.compile(r"label|\w+_neighbour_\d+|bbox_[zyx]_(start|stop)")


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """All measurements of the objects of one kind.

    Parameters
    ----------
    columns
        The table as measured; `label` joins it with planes and meshes.
    color_by
        Column that colours the objects when the page opens; empty: the colours of the kind.
    shown
        Columns that stand in the table when the page opens, all if left out; a reader can choose.
    classes
        For columns of words the colour of every class, in the order of the legend; classes that
        are not named follow in the order of the alphabet. The empty word is a missing value.
    """

    columns: Table
    color_by: str = ""
    shown: tuple[str, ...] = ()
    classes: Mapping[str, Mapping[str, Color]] = field(default_factory=dict)


def table_data(table: ObjectTable, *, n_bytes: int) -> dict[str, Any]:
    """What the page needs of a table, for JSON; the largest objects if all take over `n_bytes`.

    Raises
    ------
    DataError
        If the table has no labels, or columns of different length.
    """
    columns = {name: np.asarray(values) for name, values in table.columns.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if "label" not in columns or len(set(lengths.values())) != 1:
        raise DataError(
            f"the table has columns of these lengths: {lengths}. Give one that is called label "
            "and as many values in every column."
        )
    n_objects = lengths["label"]
    rows = _largest(columns, _n_fitting(columns, n_bytes))
    values = _packed_values(columns, rows)
    while len(values) > n_bytes and len(rows):
        rows = _largest(columns, int(len(rows) * min(0.95, n_bytes / len(values))))
        values = _packed_values(columns, rows)
    described = [
        _described(name, column, table.classes.get(name, {})) for name, column in columns.items()
    ]
    return {
        "n_objects": n_objects, "n_rows": len(rows), "columns": described, "values": values,
        "color_by": table.color_by if table.color_by in columns else "",
        "shown": [n for n in (table.shown or columns) if n in columns],
    }


def color_range(values: NDArray[Any]) -> tuple[float, float] | None:
    """Values that get the first and the last colour: `PERCENTILES` of the finite ones.

    >>> color_range(np.arange(101.0))
    (2.0, 98.0)
    """
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return None
    low, high = np.percentile(finite, PERCENTILES)
    return float(low), float(high)


def _described(name: str, values: NDArray[Any], colors: Mapping[str, Color]) -> dict[str, Any]:
    """A column without its values: what it is called, and how it colours objects."""
    about: dict[str, Any] = {
        "name": name, "title": column_title(name), "unit": column_unit(name),
        "help": column_help(name), "type": _type_of(name, values),
    }
    if about["type"] == "number":
        limits = color_range(values)
        about["range"] = None if limits is None else [_rounded(v) for v in limits]
    elif about["type"] == "class":
        words = Counter(_plain(v) for v in values)
        named = [w for w in colors if w in words]
        others = sorted(w for w in words if w not in colors and w != "")
        free = [c for c in OKABE_ITO if c not in colors.values()] or OKABE_ITO
        about["classes"] = named + others
        about["colors"] = [colors[w] for w in named]
        about["colors"] += [free[i % len(free)] for i in range(len(others))]
        about["counts"] = [words[w] for w in about["classes"]]
    return about


def _type_of(name: str, values: NDArray[Any]) -> str:
    """One of number, class, text and identity; the last two cannot colour objects."""
    if _IDENTITY.fullmatch(name):
        return "identity"
    if values.dtype.kind == "b":
        return "class"
    if values.dtype.kind in "iuf":
        return "number"
    return "class" if len(set(values.tolist()) - {""}) <= MOST_CLASSES else "text"


def _n_fitting(columns: Mapping[str, NDArray[Any]], n_bytes: int) -> int:
    """How many rows are about `n_bytes`, from a sample: to pack all of a huge table takes long."""
    n_objects = len(columns["label"])
    sample = np.arange(0, n_objects, max(1, n_objects // SAMPLE))
    if not len(sample):
        return 0
    return min(n_objects, len(sample) * n_bytes // len(_packed_values(columns, sample)))


def _largest(columns: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.intp]:
    """Rows of the `n` largest objects, in the order of the table."""
    sizes = columns.get("volume_um3", columns.get("n_voxels"))
    if sizes is None:
        return np.arange(n)
    order = np.argsort(-np.nan_to_num(np.asarray(sizes, float)), kind="stable")
    return np.sort(order[:n])


def _packed_values(columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]) -> str:
    lists = [[_plain(v) for v in values[rows].tolist()] for values in columns.values()]
    return packed(json.dumps(lists, separators=(",", ":"), allow_nan=False).encode())


def _plain(value: Any) -> Any:
    """A value as JSON has it: rounded, None where it is missing, yes or no for a truth value."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return _rounded(float(value)) if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)


def _rounded(value: float) -> float:
    """The value with `DIGITS` significant digits.

    >>> _rounded(0.123456789), _rounded(1234567.0)
    (0.12346, 1234600.0)
    """
    rounded = float(f"{value:.{DIGITS}g}")
    return rounded if math.isfinite(rounded) else value  # next to the largest number there is
