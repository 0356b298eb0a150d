"""What ``fibseg measure`` is to make, found out and checked before a voxel is read."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fibseg.blocks import Grid
from fibseg.errors import DataError, UsageError
from fibseg.measure import shape
from fibseg.measure.settings import ClassRule, Correlating
from fibseg.pipeline.label_values import LARGEST_LABEL
from fibseg.volume import Volume, fingerprint

NEAREST = "nearest"
"""Columns of this name are the least of several targets."""
CYTOPLASM = "cytoplasm"
"""Of the profile: the cell without the nucleus."""
RULES = 2
"""Grows where the same settings come to mean other numbers: older tables are made again."""
_DISTANCE = r"\w*distance_.+_um"
_OF_TARGET = (
    "distance_{}_um", "surface_distance_{}_um", "mean_surface_distance_{}_um", "share_in_{}",
)


@dataclass(frozen=True)
class Job:
    """One table to be made.

    Attributes
    ----------
    objects, intensity, keep_border, neighbours, classes, correlations
        As in `fibseg.pipeline.measure.run`.
    to
        What the table was measured to before, and what else is asked for.
    cell, nucleus
        As in `fibseg.pipeline.measure.run`, None where they are not in the store.
    sources
        Digest of everything that is read.
    inputs
        Hash of all that the table depends on.
    """

    objects: str
    to: tuple[str, ...]
    cell: str | None
    nucleus: str | None
    intensity: bool
    keep_border: bool
    neighbours: int
    classes: ClassRule | None
    correlations: Correlating | None
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

    @property
    def names(self) -> list[str]:
        """All label images that are read, each once, the cell first."""
        there = [self.cell, self.nucleus, *self.to, self.objects]
        return list(dict.fromkeys(name for name in there if name is not None))

    @property
    def membranes(self) -> tuple[str, str] | None:
        """Nucleus and cell, if it is measured to both."""
        both = (self.nucleus, self.cell)
        if both[0] in self.to and both[1] in self.to and both[0] != both[1]:
            return both  # type: ignore[return-value]
        return None

    @property
    def nearest(self) -> tuple[str, ...]:
        """Targets of ``distance_nearest_um``: both membranes of the cytoplasm, else all."""
        return self.membranes or self.to

    @property
    def distances(self) -> list[str]:
        """Columns of distances of centres."""
        return [f"distance_{name}_um" for name in (*self.to, NEAREST)] if self.to else []

    @property
    def correlated(self) -> list[str]:
        """Distances that correlations are taken with: all but the column itself."""
        column = self.correlations.column if self.correlations else ""
        itself = {column}
        if len(self.nearest) == 1:  # then it is the nearest
            both = {f"distance_{self.nearest[0]}_um", f"distance_{NEAREST}_um"}
            itself |= both if column in both else set()
        return [name for name in self.distances if name not in itself]

    @property
    def class_column(self) -> str | None:
        """What classes depend on, None if nothing is asked for."""
        if self.classes is None:
            return None
        return self.classes.column or f"distance_{self.nucleus or 'nucleus'}_um"

    def finished(self, store: Volume) -> bool:
        """Whether the table, made of the same inputs, is there."""
        info = _info(store, self.objects)
        return bool(info.get("measured", {}).get("inputs") == self.inputs)

    def summary(self, store: Volume) -> dict[str, Any]:
        """Size of the table, profile, classes and correlations, by its path."""
        info = store.table_info(self.objects)
        found = info["measured"]
        null = found["null"]
        return {self.path: {
            "n_objects": info["n_rows"], "n_columns": len(info["columns"]),
            "profile": found["profile"], "classes": found["classes"],
            "correlations": found["correlations"],
            "null": null and {k: v for k, v in null.items() if k != "simulated"},
            "left_out": found["left_out"],
        }}


def planned_job(
    store: Volume, objects: str, *, to: str | Sequence[str], extend: bool, cell: str | None,
    nucleus: str | None, intensity: bool, keep_border: bool, neighbours: int,
    classes: ClassRule | None, correlations: Correlating | None,
) -> Job:
    """What is to be made; checks all that can be known without reading a voxel.

    Voxels are read only of labels of 64 bits, once, for their largest value.

    Raises
    ------
    DataError
        If there are no such labels, or they have values that no other verb takes.
    UsageError
        If labels are an annotation, or measured against themselves, or are called as what is
        computed, or there can be no such columns.
    """
    asked = [to] if isinstance(to, str) else to
    there = store.label_names(kind="labels")
    earlier = _earlier_targets(store, objects, there) if extend else []
    targets = tuple(dict.fromkeys([*earlier, *asked]))
    _check_labels(store, objects, targets)
    if neighbours < 0:
        raise UsageError(f"neighbours={neighbours} is below 0. Give e.g. 3, or 0 for none.")
    parts = {key: name if name in there else None
             for key, name in (("cell", cell), ("nucleus", nucleus))}
    names = dict.fromkeys([objects, *targets, *filter(None, parts.values())])
    _check_names(names)
    _check_values(store, names)
    sources = {f"labels/{name}": store.labels_info(name).digest for name in names}
    if intensity:
        sources["raw"] = store.raw_digest
    settings = {
        "rules": RULES, "objects": objects, "to": targets, **parts, "intensity": intensity,
        "keep_border": keep_border, "sources": sources, "spacing": store.spacing,
        "neighbours": neighbours, "classes": classes and asdict(classes),
        "correlations": correlations and asdict(correlations),
    }
    job = Job(
        objects, targets, parts["cell"], parts["nucleus"], intensity, keep_border, neighbours,
        classes, correlations, sources, fingerprint(settings),
    )
    _check_columns(job)
    return job


def columns_of(job: Job) -> list[str]:
    """Names of the columns with numbers that a job measures."""
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    found = list(shape.measure(nothing, nothing if job.intensity else None, spacing=(1, 1, 1)))
    found += [each.format(name) for name in job.to for each in _OF_TARGET]
    found += [each.format(NEAREST) for each in _OF_TARGET[:2] if job.to]
    for kind in ("centre", "surface"):
        found += [f"{kind}_neighbour_{n + 1}_um" for n in range(job.neighbours)]
    return found


def _check_labels(store: Volume, objects: str, targets: Sequence[str]) -> None:
    for name in (objects, *targets):
        store.labels(name)
        if store.labels_info(name).kind == "annotation":
            raise UsageError(
                f"labels/{name} is an annotation: nobody knows what its unlabelled voxels are. "
                "Give labels of objects."
            )
    if objects in targets or NEAREST in targets:
        wrong = objects if objects in targets else NEAREST
        raise UsageError(
            f"to=[{','.join(targets)}]: {wrong!r} cannot be measured against. Leave it out."
        )


def _check_names(names: Iterable[str]) -> None:
    """Refuse a name that the profile gives to what it computes."""
    if CYTOPLASM in names:
        raise UsageError(
            f"labels/{CYTOPLASM} cannot be measured or measured to: the profile calls the cell "
            f"without the nucleus {CYTOPLASM}. Store these labels under another name, e.g. cytosol."
        )


def _check_values(store: Volume, names: Iterable[str]) -> None:
    """Refuse labels with larger values than other verbs take."""
    for name in names:
        if store.labels(name).dtype.itemsize <= np.dtype(np.uint32).itemsize:
            continue
        largest = _largest(store.path, name, store.labels_info(name).digest)
        if largest > LARGEST_LABEL:
            raise DataError(
                f"labels/{name} has values up to {largest}; fibseg takes labels up to "
                f"{LARGEST_LABEL}. Renumber them (e.g. fastremap.renumber) and store them again."
            )


@functools.lru_cache(maxsize=32)
def _largest(path: Path, name: str, digest: str) -> int:
    """Largest value of labels; `digest` tells those of one name from later ones."""
    store = Volume(path)
    labels = store.labels(name)
    blocks = Grid.over(labels.shape, store.block_shape).blocks(lambda write: write)
    return max((int(np.max(labels[block.write.slices])) for block in blocks), default=0)


def _check_columns(job: Job) -> None:
    """Refuse columns that cannot be; a distance that is not measured only leaves classes out."""
    known = columns_of(job)
    distances = [name for name in known if re.fullmatch(_DISTANCE, name)]
    if job.classes and job.classes.column and not re.fullmatch(_DISTANCE, job.classes.column):
        _refuse("classes", job.classes.column, "distance", distances)
    if job.correlations and job.correlations.column not in known:
        _refuse("correlations", job.correlations.column, "column", known)


def _refuse(part: str, column: str, kind: str, known: Sequence[str]) -> NoReturn:
    near = get_close_matches(column, known, 3)
    there = ", ".join(known) or "none, see to="
    raise UsageError(
        f"{part}.column={column} is no {kind} that is measured here. "
        + (f"Did you mean {' or '.join(near)}?" if near else f"There are {there}.")
    )


def _earlier_targets(store: Volume, objects: str, there: Sequence[str]) -> list[str]:
    """What the table of the objects was measured to, as far as it is still in the store."""
    targets = _info(store, objects).get("measured", {}).get("to", [])
    return [name for name in targets if name in there and name != objects]


def _info(store: Volume, objects: str) -> dict[str, Any]:
    """What is known of the table of the objects; nothing if it is not there, or damaged."""
    if objects not in store.table_names():
        return {}
    try:
        return store.table_info(objects)
    except DataError:  # it can be made again
        return {}
