"""What of a store is to be exported, and to which file: found out before any voxel is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError, UsageError
from fibseg.pipeline.bench import Array, Voxelwise
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume, fingerprint, layout
from fibseg.volume.files import checked_name

FORMATS = {"tiff": (".tif", ".tiff"), "stl": (".stl",), "ply": (".ply",)}
"""Formats of objects, and how names of their files end."""
UNITS = {"nm": 1.0, "um": 1e-3}
"""Units of surfaces, and what 1 nm is in each."""


@dataclass(frozen=True)
class Only:
    """Function of single voxels: labels, and 0 for all but the chosen ones.

    >>> Only((7,))(np.array([[0, 7, 8]])).tolist()
    [[0, 7, 0]]
    """

    numbers: tuple[int, ...]

    def __call__(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels of the same type."""
        return np.where(np.isin(labels, self.numbers), labels, np.zeros((), labels.dtype))


@dataclass(frozen=True)
class Journey:
    """What is to be exported, from where and to where.

    Attributes
    ----------
    kind
        Format of the file.
    array
        Voxels (z, y, x) on the level.
    what
        Its name in the store, such as ``"labels/nucleus"``; ``"raw"``.
    numbers
        The objects that are wanted; None for all.
    path
        The file; the folder, where there is a file for each plane or object.
    name
        That of the file without its ending: how files in a folder begin.
    separate
        Whether it is a folder.
    unit, max_faces
        Of surfaces: ``"nm"`` or ``"um"``, and triangles of an object at most.
    first_nm
        Where the centre of the first voxel lies, seen from that of level 0, (z, y, x).
    block_shape
        Voxels of one block of work.
    key
        16 hexadecimal digits of all that the file depends on.
    spacing
        Size of a voxel in nm, (z, y, x).
    """

    kind: str
    array: Array
    what: str
    numbers: tuple[int, ...] | None
    path: Path
    name: str
    separate: bool
    unit: str
    max_faces: int | None
    first_nm: Spacing
    block_shape: Shape
    key: str
    spacing: Spacing

    @property
    def scratch(self) -> Path:
        """Folder for what an interrupted run goes on with: hidden, beside the file."""
        return self.path.with_name(f".{self.path.name}.work")

    @property
    def note(self) -> str:
        """What stands in the file: the key, and what it is."""
        return f"fibseg {self.key} {self.what}"


def planned_journey(
    store: Volume, kind: str, out: Path, *, labels: str | None, probabilities: str | None,
    name: str | None, level: int, numbers: tuple[int, ...] | None, unit: str,
    max_faces: int | None, separate: bool, block_shape: Shape | None,
) -> Journey:
    """What is to be done, from what is recorded: no voxel is read.

    Parameters
    ----------
    store
        The store.
    kind
        Format, of `FORMATS`.
    out
        File or folder.
    labels, probabilities, name, level, numbers, unit, max_faces, separate, block_shape
        As of `fibseg.pipeline.travel.export_objects`, all checked.

    Raises
    ------
    UsageError
        If paint is asked for its surface, or a file is to lie in the store.
    DataError
        If there is no such product or level.
    """
    array, what, digest = _source(store, kind, labels, probabilities, level)
    spacing = store.level_spacing(level)
    z, y, x = ((s - own) / 2 for s, own in zip(spacing, store.spacing, strict=True))
    path, stem = _target(
        out, kind, name=name or labels or probabilities or store.name, named=name,
        separate=separate,
    )
    if path.absolute().is_relative_to(store.path.absolute()):
        raise UsageError(f"out={out} lies in the store {store.path}. Write files of others beside.")
    key = fingerprint({
        "format": kind, "what": what, "digest": digest, "level": level, "numbers": numbers,
        "unit": unit, "max_faces": max_faces, "separate": separate, "spacing": store.spacing,
    })[:16]
    return Journey(
        kind=kind, array=array if numbers is None else Voxelwise(array, Only(numbers)), what=what,
        numbers=numbers, path=path, name=stem, separate=separate, unit=unit,
        max_faces=max_faces, first_nm=(z, y, x), key=key, spacing=spacing,
        block_shape=block_shape or layout.block_shape(array.shape, ome_version=store.ome_version),
    )


def _source(
    store: Volume, kind: str, labels: str | None, probabilities: str | None, level: int
) -> tuple[Array, str, str]:
    """Voxels of the level, where they are in the store, and the digest of level 0."""
    if not 0 <= level < store.n_levels:
        raise DataError(
            f"{store.path} has no level {level}. Use level=0 to {store.n_levels - 1}."
        )
    if labels is not None:
        info = store.labels_info(labels)
        if kind != "tiff" and info.kind == "annotation":
            raise UsageError(
                f"labels/{labels} is an annotation: planes of paint have no surface. Give labels "
                "of objects, or format=tiff."
            )
        return store.labels(labels, level), f"labels/{labels}", info.digest
    if probabilities is not None:
        digest = store.probabilities_info(probabilities).digest
        return store.probabilities(probabilities, level), f"probabilities/{probabilities}", digest
    return store.raw(level), "raw", store.raw_digest


def _target(
    out: Path, kind: str, *, name: str, named: str | None, separate: bool
) -> tuple[Path, str]:
    """The file or folder to write, and how files in it begin."""
    endings = FORMATS[kind]
    if out.suffix.lower() in endings:
        if named is not None or separate:
            raise UsageError(
                f"out={out} is a file, so that name= and separate= have no place. Give a folder."
            )
        return out, out.stem
    stem = checked_name(name, what="file")
    return out / (f"{stem}_{kind}" if separate else f"{stem}{endings[0]}"), stem
