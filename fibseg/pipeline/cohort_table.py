"""One row per cell: counts, volumes and shares of its organelles, means and medians of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pipeline.distribution_job import FACTS, standing_table
from fibseg.pipeline.profile_empty import is_empty
from fibseg.pipeline.report_facts import changed_sources
from fibseg.report import column_title
from fibseg.report.methods import plain_name
from fibseg.types import Table
from fibseg.volume import Volume

COLUMNS = (
    "volume_um3", "surface_to_volume_per_um", "sphericity", "elongation", "distance_nucleus_um",
    "distance_cell_um", "distance_nearest_um", "centre_neighbour_1_um", "surface_neighbour_1_um",
    "mean_distance_8_um", "density_per_um2",
)
"""Columns of objects whose mean and median are values of a cell, where they are there."""
SHARES = ("share_of_cell", "share_of_cytoplasm")
OF_ENVELOPE = ("objects_per_um2", "envelope_um2")
_WORDS = {
    "n_objects": "number of objects", "volume_um3": "total volume (µm³)",
    "share_of_cell": "share of the cell", "share_of_cytoplasm": "share of the cytoplasm",
    "objects_per_um2": "objects per area of envelope (1/µm²)", "envelope_um2": "envelope (µm²)",
}
_NEIGHBOURS = {
    "centre_neighbour_1_um": "distance between nearest centres (µm)",
    "surface_neighbour_1_um": "distance between nearest surfaces (µm)",
}


@dataclass(frozen=True)
class Measure:
    """A value of a cell: `what` it is of the objects `of` a kind, or a `statistic` of a column.

    >>> Measure("mitochondria", "sphericity", "mean").key, Measure("er", "n_objects").key
    ('mitochondria_mean_sphericity', 'er_n_objects')
    """

    of: str
    what: str
    statistic: str | None = None

    @property
    def key(self) -> str:
        """Name of the column in the table of the cohort."""
        return "_".join([self.of, *([self.statistic] if self.statistic else []), self.what])

    @property
    def title(self) -> str:
        """In words, with its unit."""
        if self.statistic is None:
            return f"{plain_name(self.of)}: {_WORDS[self.what]}"
        words = _NEIGHBOURS.get(self.what) or column_title(self.what)
        return f"{plain_name(self.of)}: {self.statistic} {words}"

    @property
    def tested(self) -> bool:
        """Whether conditions are compared by it; a median is there to be seen beside a mean."""
        return self.statistic != "median"


@dataclass(frozen=True)
class Measured:
    """What is known of one cell.

    Attributes
    ----------
    values
        By the key of each measure.
    tables
        Objects of every organelle, those whose table is up to date.
    left_out
        Why others are missing.
    """

    values: Mapping[str, float]
    tables: Mapping[str, Table]
    left_out: Mapping[str, str]


def measures_of(bodies: Sequence[str], organelles: Sequence[str]) -> list[Measure]:
    """All that can be known of a cell, in the order of the table.

    Parameters
    ----------
    bodies
        The cell and its nucleus, one object each.
    organelles
        Label images with many objects.
    """
    found = [Measure(name, "volume_um3") for name in bodies]
    for name in organelles:
        found += [Measure(name, what) for what in ("n_objects", "volume_um3", *SHARES)]
        found += [Measure(name, what) for what in OF_ENVELOPE]
        found += [Measure(name, what, how) for what in COLUMNS for how in ("mean", "median")]
    return found


def measured_cell(store: Volume, bodies: Sequence[str], organelles: Sequence[str]) -> Measured:
    """Values of one cell from the tables of its store, as far as they are up to date."""
    values: dict[str, float] = {}
    tables: dict[str, Table] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys([*bodies, *organelles]):
        why = _why_not(store, name)
        if why is not None:
            left_out[name] = why
            continue
        found = standing_table(store, name)
        table, measured = found if found is not None else ({"label": np.zeros(0)}, {})
        told = _of_kind(name, table, measured)
        if name in bodies:
            told = {key: value for key, value in told.items() if key == f"{name}_volume_um3"}
        else:
            tables[name] = table
        values |= told
    return Measured(values, tables, left_out)


def known(measures: Iterable[Measure], rows: Iterable[Mapping[str, float]]) -> list[Measure]:
    """Those that at least one cell has a value of."""
    there = {key for row in rows for key, value in row.items() if np.isfinite(value)}
    return [measure for measure in measures if measure.key in there]


def _why_not(store: Volume, name: str) -> str | None:
    """Why there are no values of a label image; None if there are."""
    if name not in store.label_names(kind="labels"):
        return f"there is no labels/{name}"
    if standing_table(store, name) is None:
        return None if is_empty(store, name) else f"tables/{name} is missing, or of other labels"
    changed = changed_sources(store, name)
    return f"tables/{name} was measured with another {changed[0]}" if changed else None


def _of_kind(name: str, table: Table, measured: Mapping[str, Any]) -> dict[str, float]:
    """Values of one label image; of no object there are a count and a volume of 0."""
    n = len(table["label"])
    volumes = np.asarray(table.get("volume_um3", np.zeros(0)), np.float64)
    found = {"n_objects": float(n), "volume_um3": float(np.sum(volumes))}
    shares = (measured.get("profile") or {}).get(name) or {}
    found |= {key: float(shares[key]) for key in SHARES if shares.get(key) is not None}
    if not n:
        found |= dict.fromkeys(SHARES, 0.0)
    facts = measured.get(FACTS) or {}
    found |= {key: float(facts[key]) for key in OF_ENVELOPE if facts.get(key) is not None}
    values = {Measure(name, what).key: value for what, value in found.items()}
    for what in COLUMNS:
        if what in table and len(column := finite_of(table, what)):
            values[Measure(name, what, "mean").key] = float(np.mean(column))
            values[Measure(name, what, "median").key] = float(np.median(column))
    return values


def finite_of(table: Table, column: str) -> NDArray[np.float64]:
    """Values of a column that are there."""
    values = np.asarray(table.get(column, np.zeros(0)), np.float64)
    return values[np.isfinite(values)]
