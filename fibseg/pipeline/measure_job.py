"""What ``fibseg measure`` is to make, found out and checked before a voxel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.volume import Volume, fingerprint

NEAREST = "nearest"
"""Columns of this name are the least of all targets."""


@dataclass(frozen=True)
class Job:
    """One table to be made.

    Attributes
    ----------
    objects, to, intensity, keep_border
        As in `fibseg.pipeline.measure.run`.
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

    def finished(self, store: Volume) -> bool:
        """Whether the table, made of the same inputs, is there."""
        if self.objects not in store.table_names():
            return False
        try:
            info = store.table_info(self.objects)
        except DataError:  # damaged: it can be made again
            return False
        return bool(info.get("measured", {}).get("inputs") == self.inputs)

    def summary(self, store: Volume) -> dict[str, Any]:
        """Size of the table and profile, by its path."""
        info = store.table_info(self.objects)
        told = {"n_objects": info["n_rows"], "n_columns": len(info["columns"])}
        return {self.path: told | {"profile": info["measured"]["profile"]}}


def planned_job(
    store: Volume, objects: str, *, to: str | Sequence[str], cell: str | None,
    nucleus: str | None, intensity: bool, keep_border: bool,
) -> Job:
    """What is to be made; checks all that can be known without reading a voxel.

    Raises
    ------
    DataError
        If there are no such labels.
    UsageError
        If labels are an annotation, or measured against themselves.
    """
    targets = tuple(dict.fromkeys([to] if isinstance(to, str) else to))
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
    there = store.label_names(kind="labels")
    parts = {key: name if name in there else None
             for key, name in (("cell", cell), ("nucleus", nucleus))}
    names = dict.fromkeys([objects, *targets, *filter(None, parts.values())])
    sources = {f"labels/{name}": store.labels_info(name).digest for name in names}
    if intensity:
        sources["raw"] = store.raw_digest
    settings = {
        "objects": objects, "to": targets, **parts, "intensity": intensity,
        "keep_border": keep_border, "sources": sources, "spacing": store.spacing,
    }
    return Job(
        objects, targets, parts["cell"], parts["nucleus"], intensity, keep_border, sources,
        fingerprint(settings),
    )
