"""``fibseg export volume=…``: objects, probabilities or the image as files of other programs.

TIFF for Fiji and every program for images, binary STL and PLY for Blender, Amira and Imaris: see
`travel_tiff` and `travel_meshes`. Each file is written beside its name and gets it when it is
whole. It tells, in 16 digits, all that it depends on: the same command again finds it and is done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner, Serial
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.pipeline.bench import Array, Voxelwise
from fibseg.types import Shape, Spacing
from fibseg.volume import Volume, fingerprint, layout
from fibseg.volume.files import checked_name
from fibseg.volume.lock import locked

FORMATS = {"tiff": (".tif", ".tiff"), "stl": (".stl",), "ply": (".ply",)}
"""Formats of objects, and how names of their files end."""
UNITS = {"nm": 1.0, "um": 1e-3}
"""Units of surfaces, and what 1 nm is in each."""
FEWEST = 20
"""Triangles of an object: those of an icosahedron."""
_log = logging.getLogger("fibseg.export")


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
    def note(self) -> str:
        """What stands in the file: the key, and what it is."""
        return f"fibseg {self.key} {self.what}"


def export_objects(
    volume: str, *, kind: str, out: str, labels: str | None = None,
    probabilities: str | None = None, name: str | None = None, level: int = 0,
    label: int | Sequence[int] | None = None, unit: str = "um", max_faces: int | None = None,
    separate: bool = False, blocks: Runner | None = None, overwrite: bool = False,
    block_shape: Shape | None = None,
) -> dict[str, Any]:
    """Write what is in a store to files of other programs; returns what they are, by path.

    Parameters
    ----------
    volume
        Path of the store.
    kind
        ``"tiff"``, ``"stl"`` or ``"ply"``.
    out
        A file, if it ends like one of that format, else a folder for it, made if missing.
    labels, probabilities
        Label image or probability map of the store; neither: the image itself.
    name
        Name of the file in the folder; that of the product, or of the store, if left out.
    level
        Level of the pyramid.
    label
        Number of one object or several; all if left out.
    unit
        Of surfaces, ``"um"`` or ``"nm"``; of images it is always nm.
    max_faces
        Triangles of one object at most, about; as many as there are voxels for, if left out.
    separate
        A folder with a file for each object, or for each plane of a TIFF.
    blocks
        Where blocks are computed; in this process if left out.
    overwrite
        Replace files that hold something else.
    block_shape
        Voxels of one block of work, a shard if left out; files do not depend on it.

    Raises
    ------
    UsageError
        If a setting cannot be meant, before any work.
    DataError
        If there is no such product, level or object.
    ExistsError
        If a file stands that holds something else.
    BusyError
        If another run is writing it.
    """
    from fibseg.pipeline.travel_meshes import write_meshes
    from fibseg.pipeline.travel_tiff import write_tiffs

    _check(kind, labels, probabilities, label, unit=unit, max_faces=max_faces)
    store = Volume.open(volume)
    journey = _planned(
        store, kind, Path(out), labels=labels, probabilities=probabilities, name=name,
        level=level, numbers=_numbers(label), unit=unit, max_faces=max_faces, separate=separate,
        block_shape=block_shape,
    )
    if _there(journey):
        _log.info("%s is there already, made with the same settings", journey.path)
        return {str(journey.path): "made before"}
    _refuse_standing(journey, overwrite=overwrite)
    journey.path.parent.mkdir(parents=True, exist_ok=True)
    write = write_tiffs if kind == "tiff" else write_meshes
    with locked(journey.path):
        told = write(journey, runner=blocks or Serial())
    _log.info("%s: %s", journey.path, told)
    return {str(journey.path): told}


def _check(
    kind: str, labels: str | None, probabilities: str | None, label: Any, *, unit: str,
    max_faces: int | None,
) -> None:
    """Refuse what cannot be meant, whatever is in the store."""
    if kind not in FORMATS:
        raise UsageError(
            f"format={kind}: objects and images are exported as {', '.join(FORMATS)}. The formats "
            "of models need model=FOLDER."
        )
    if labels is not None and probabilities is not None:
        raise UsageError("Give labels= or probabilities=, and not both: each is a file of its own.")
    if labels is None and (kind != "tiff" or label is not None):
        raise UsageError(
            f"format={kind}{'' if label is None else ' with label='} needs objects: labels=NAME."
        )
    if unit not in UNITS:
        raise UsageError(f"unit={unit} cannot be. Surfaces are in um or nm.")
    if max_faces is not None and (kind == "tiff" or max_faces < FEWEST):
        raise UsageError(
            f"max_faces={max_faces} with format={kind}: it is how many triangles an object may "
            f"have, at least {FEWEST}, in STL and PLY. Leave it out, or use e.g. 5000."
        )


def _numbers(label: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if label is None:
        return None
    found = tuple(sorted({int(n) for n in ([label] if isinstance(label, int) else label)}))
    if not found or found[0] < 1:
        raise UsageError(f"label={label} names no object. They are counted from 1, e.g. [3,7].")
    return found


def _planned(
    store: Volume, kind: str, out: Path, *, labels: str | None, probabilities: str | None,
    name: str | None, level: int, numbers: tuple[int, ...] | None, unit: str,
    max_faces: int | None, separate: bool, block_shape: Shape | None,
) -> Journey:
    """What is to be done, from what is recorded: no voxel is read."""
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


def _there(journey: Journey) -> bool:
    """Whether the very same was written before: it only ever has its name when it is whole."""
    standing = journey.path
    if journey.separate and standing.is_dir():
        standing = min(standing.iterdir(), default=standing)
    if not standing.is_file():
        return False
    with standing.open("rb") as file:
        return journey.key.encode() in file.read(2**16)


def _refuse_standing(journey: Journey, *, overwrite: bool) -> None:
    """Refuse to touch what stands there, unless it is of this kind and may be replaced."""
    path = journey.path
    above = next(p for p in path.absolute().parents if p.exists())
    if not above.is_dir():
        raise UsageError(f"{path} cannot be written: {above} is a file. Choose another out=.")
    if not path.exists():
        return
    if path.is_dir() != journey.separate:
        kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
        raise ExistsError(f"{path} is {kinds[0]}, where {kinds[1]} is to be. Choose another out=.")
    if not overwrite:
        raise ExistsError(
            f"{path} stands already and holds something else. Use overwrite=true, or another name."
        )
    if journey.separate:
        foreign = [p for p in path.iterdir() if not _own(p, journey.name, FORMATS[journey.kind])]
        if foreign:
            raise ExistsError(
                f"{path} holds {foreign[0].name}, which fibseg did not write: it is not replaced. "
                "Choose another out= or name=."
            )


def _own(path: Path, name: str, endings: Sequence[str]) -> bool:
    number = path.stem.removeprefix(f"{name}_")
    return path.suffix in endings and number.isdigit() and number != path.stem and path.is_file()
