"""What ``fibseg distribution`` is to make, found out before a voxel is read, and what stands."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.measure.distribution_settings import Sections, Spreading
from fibseg.types import Table
from fibseg.volume import Volume, fingerprint

COLUMNS = (
    "nearest_um", "mean_distance_8_um", "kernel_density_per_um3", "envelope_distance_um",
    "density_per_um2", "mean_curvature_per_um", "gaussian_curvature_per_um2", "section", "cluster",
)
"""What the verb adds to a table."""
FACTS = "distribution"
"""Where in what is known of a table (``measured``) its facts are."""
OWN = "own_columns"
RULES = 2
"""Grows where the same settings come to mean other numbers: older columns are made again."""


@dataclass(frozen=True)
class Job:
    """One table to be extended.

    Attributes
    ----------
    objects, on, voxel_nm, spreading, sections
        As in `fibseg.pipeline.distribution.run`.
    sources
        Digest of both label images.
    inputs
        Hash of all that the columns depend on.
    """

    objects: str
    on: str
    voxel_nm: float
    spreading: Spreading
    sections: Sections
    sources: dict[str, str]
    inputs: str

    @property
    def path(self) -> str:
        """Where in the store the table lies."""
        return f"tables/{self.objects}"

    @property
    def labels_path(self) -> str:
        """Where in the store the objects lie."""
        return f"labels/{self.objects}"

    def facts(self, store: Volume) -> dict[str, Any]:
        """What is known of the distribution, empty if it was not made of the same inputs."""
        found = standing_facts(store, self.objects)
        return found if found.get("inputs") == self.inputs else {}


def planned_job(
    store: Volume, objects: str, *, on: str, voxel_nm: float, spreading: Spreading,
    sections: Sections,
) -> Job:
    """What is to be made; checks all that can be known without reading a voxel.

    Raises
    ------
    DataError
        If there are no such labels.
    UsageError
        If both are the same, one is an annotation, or the voxel has no size.
    """
    if objects == on:
        raise UsageError(
            f"objects={objects} cannot lie on themselves. Give on= the label image of the "
            "nucleus, e.g. on=nucleus."
        )
    if not (voxel_nm > 0 and math.isfinite(voxel_nm)):
        raise UsageError(f"voxel_nm={voxel_nm} is no size of a voxel. Give e.g. 60.")
    for name in (objects, on):
        store.labels(name)
        if store.labels_info(name).kind == "annotation":
            raise UsageError(
                f"labels/{name} is an annotation: nobody knows what its unlabelled voxels are. "
                "Give labels of objects."
            )
    sources = {f"labels/{name}": store.labels_info(name).digest for name in (objects, on)}
    inputs = fingerprint({
        "rules": RULES, "objects": objects, "on": on, "voxel_nm": voxel_nm,
        "spreading": asdict(spreading), "sections": asdict(sections), "sources": sources,
        "spacing": store.spacing,
    })
    return Job(objects, on, voxel_nm, spreading, sections, sources, inputs)


def standing_table(store: Volume, objects: str) -> tuple[Table, dict[str, Any]] | None:
    """Table of the labels as they are now, and what was measured; None if there is none."""
    if objects not in store.table_names():
        return None
    try:
        info = store.table_info(objects)
        if info["labels_digest"] != store.labels_info(objects).digest:
            return None
        return store.table(objects), dict(info.get("measured") or {})
    except DataError:  # it can be made again
        return None


def standing_facts(store: Volume, objects: str) -> dict[str, Any]:
    """Facts of the distribution of the labels as they are now; empty if there are none."""
    found = standing_table(store, objects)
    return {} if found is None else dict(found[1].get(FACTS) or {})


def kept_distribution(store: Volume, objects: str) -> tuple[Table, dict[str, Any]]:
    """Columns and facts that another verb keeps when it makes the table of the objects anew.

    None, where the nucleus that they were found on is not the one of today.
    """
    found = standing_table(store, objects)
    if found is None or not found[1].get(FACTS):
        return {}, {}
    table, measured = found
    there = store.label_names()
    for path, digest in measured[FACTS]["sources"].items():
        name = path.removeprefix("labels/")
        if name not in there or store.labels_info(name).digest != digest:
            return {}, {}
    return {name: table[name] for name in COLUMNS if name in table}, {FACTS: measured[FACTS]}


def own_columns(table: Table) -> dict[str, Any]:
    """What is told of a table whose columns no measurement finds again, such as confidences."""
    return {OWN: sorted(table)}


def kept_columns(store: Volume, objects: str) -> tuple[Table, dict[str, Any]]:
    """Columns that `own_columns` was told of, for a verb that makes the table of the objects anew.

    None, where the table is not of the labels of today.
    """
    found = standing_table(store, objects)
    if found is None or OWN not in found[1]:
        return {}, {}
    table, measured = found
    return {name: table[name] for name in measured[OWN] if name in table}, {OWN: measured[OWN]}
