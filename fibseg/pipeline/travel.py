"""``fibseg export volume=…``: objects, probabilities or the image as files of other programs.

TIFF for Fiji and every program for images, binary STL and PLY for Blender, Amira and Imaris: see
`travel_tiff` and `travel_meshes`. Each file is written beside its name and gets it when it is
whole. It tells, in 16 digits, all that it depends on: the same command again finds it and is done.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner, Serial
from fibseg.errors import ExistsError, UsageError
from fibseg.pipeline.travel_meshes import write_meshes
from fibseg.pipeline.travel_plan import FORMATS, UNITS, Journey, planned_journey
from fibseg.pipeline.travel_tiff import write_tiffs
from fibseg.types import Shape
from fibseg.volume import Volume
from fibseg.volume.lock import free, locked

FEWEST = 20
"""Triangles of an object: those of an icosahedron."""
_log = logging.getLogger("fibseg.export")


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
    _check(kind, labels, probabilities, label, unit=unit, max_faces=max_faces)
    store = Volume.open(volume)
    journey = planned_journey(
        store, kind, Path(out), labels=labels, probabilities=probabilities, name=name,
        level=level, numbers=_numbers(label), unit=unit, max_faces=max_faces, separate=separate,
        block_shape=block_shape,
    )
    if _there(journey):
        free(journey.path)
        shutil.rmtree(journey.scratch, ignore_errors=True)
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
