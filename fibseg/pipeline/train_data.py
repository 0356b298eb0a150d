"""What a training learns from and is tested on: painted planes, or rotated planes of a part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fibseg.blocks import Runner
from fibseg.data import (
    HeldOut,
    ObliqueData,
    PaintedPlanes,
    RotatedPlanes,
    Source,
    SparseData,
    as_annotation,
    is_objects,
    load_parts,
    load_planes,
    painting,
    painting_classes,
    painting_name,
    split_planes,
    spread,
)
from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec
from fibseg.inference import predict_planes
from fibseg.training import TestVolume, score_held_out
from fibseg.types import Spacing
from fibseg.volume import Volume


@dataclass(frozen=True)
class Prepared:
    """All that a training needs of its volumes.

    Attributes
    ----------
    source
        What patches are cut from.
    kind
        How what is held out was chosen.
    held_out
        Planes that the test predicts, and the parts of them that count.
    record
        The split as plain data.
    text
        The split in a line.
    working
        Spacing that the network works at.
    """

    source: Source
    kind: str
    held_out: tuple[HeldOut, ...]
    record: dict[str, Any]
    text: str
    working: Spacing


def open_sources(
    paths: Sequence[str], annotation: str | Sequence[str], data: SparseData
) -> tuple[list[Volume], list[str]]:
    """Opened stores, and the full name of each one's annotation.

    Raises
    ------
    UsageError
        If there are not as many annotations as stores, or two stores of one name, or of one image
        where some of it is held out, or objects are to be learned from as if they were sparse
        paint.
    DataError
        If a store has no such annotation.
    """
    wanted = [annotation] * len(paths) if isinstance(annotation, str) else list(annotation)
    if not paths or len(paths) != len(wanted):
        raise UsageError(
            f"{len(paths)} volumes and {len(wanted)} annotations were given. Give one annotation, "
            "or one for each volume."
        )
    objects = [name for name in wanted if is_objects(name)]
    if objects and not isinstance(data, ObliqueData):
        raise UsageError(
            f"annotation={objects[0]} names numbered objects, which are labelled everywhere: learn "
            "from a part of them with data=rotated or data=oblique."
        )
    volumes = [Volume.open(p) for p in paths]
    if len({v.name for v in volumes}) < len(volumes):
        raise UsageError(
            f"Two of the volumes {[v.name for v in volumes]} have the same name. Rename one."
        )
    if data.split != "none" or data.reserved is not None:
        _refuse_equal_images(volumes)
    return volumes, [painting_name(v, n) for v, n in zip(volumes, wanted, strict=True)]


def _refuse_equal_images(volumes: Sequence[Volume]) -> None:
    """Refuse an image that two stores hold: what is held out of one is trained on in the other."""
    first: dict[str, Volume] = {}
    for volume in volumes:
        other = first.setdefault(volume.raw_digest, volume)
        if other is not volume:
            raise UsageError(
                f"{other.path} and {volume.path} hold the same image, so that training would see "
                "what it is tested on. Leave one out of volume=, or hold nothing out with "
                "data.split=none."
            )


def shared_classes(volumes: Sequence[Volume], names: Sequence[str]) -> dict[str, int]:
    """Value of each class, the same in every annotation, in the order of the values.

    Raises
    ------
    DataError
        If the annotations name different classes, or values with gaps.
    """
    found = [
        dict(sorted(painting_classes(v, n).items(), key=lambda item: item[1]))
        for v, n in zip(volumes, names, strict=True)
    ]
    found = [{k: v for k, v in f.items() if v >= 2} for f in found]
    for other, volume in zip(found, volumes, strict=True):
        if other != found[0]:
            raise DataError(
                f"The annotation of {volumes[0].name} has the classes {found[0]}, that of "
                f"{volume.name} {other}. Import them with the same classes=."
            )
    values = list(found[0].values())
    if not values or values != list(range(2, 2 + len(values))):
        raise DataError(
            f"The annotation of {volumes[0].name} has the classes {found[0]}, not values from 2 "
            "on. Import it again with classes=."
        )
    return found[0]


def prepare(
    volumes: Sequence[Volume], names: Sequence[str], classes: dict[str, int], *,
    data: SparseData, context: int, runner: Runner | None = None,
) -> Prepared:
    """Load what is trained on, and choose what is held out.

    Raises
    ------
    DataError
        For bad annotations, volumes that do not fit together, or an unsplittable annotation.
    """
    if isinstance(data, ObliqueData):
        source = load_parts(
            volumes, names, list(classes), data=data, context=context, runner=runner
        )
        return _of_space(source)
    return _of_planes(volumes, names, classes, data, context, runner)


def _of_planes(
    volumes: Sequence[Volume], names: Sequence[str], classes: dict[str, int], data: SparseData,
    context: int, runner: Runner | None,
) -> Prepared:
    """Painted planes."""
    stacks = load_planes(volumes, names, data=data, context=context, runner=runner)
    split = split_planes(stacks, classes, data, context=context)
    train = {v.name: list(z) for v, z in zip(volumes, split.train, strict=True)}
    record = {"kind": split.kind, "train_planes": train,
              "held_out": _held_record(volumes, split.held_out)}
    if data.leave_out is not None:
        record["left_out"] = data.leave_out
    if any(split.reserved):
        record["reserved"] = {v.name: list(z) for v, z in zip(volumes, split.reserved, strict=True)}
    what = "parts of planes" if split.kind == "boxes" else "planes"
    text = (
        f"{sum(len(z) for z in split.train)} planes of {', '.join(v.name for v in volumes)}; "
        f"held out (split={split.kind}): {len(split.held_out)} {what}"
    )
    source = PaintedPlanes(stacks, split, len(classes) + 1, data)
    return Prepared(source, split.kind, split.held_out, record, text, stacks[0].working)


def _of_space(source: RotatedPlanes) -> Prepared:
    """Rotated planes of a part."""
    data, volumes, held = source.data, source.volumes, []
    for store, split in enumerate(source.splits):
        if split.test is not None:
            box = (*split.test.start[1:], *split.test.stop[1:])
            y0, x0, y1, x1 = box
            held += [
                HeldOut(store, z, ((y0, x0, y1, x1),)) for z in spread(split.test, data.test_planes)
            ]
    parts = {v.name: s.record() for v, s in zip(volumes, source.splits, strict=True)}
    record = {"kind": data.split, "planes": data.planes, "parts": parts,
              "held_out": _held_record(volumes, held)}
    boxes = ", ".join(
        f"{' x '.join(map(str, s.train.shape))} voxels of {v.name}"
        for v, s in zip(volumes, source.splits, strict=True)
    )
    text = f"{data.planes} planes of {boxes}; held out (split={data.split}): {len(held)} planes"
    side = source.pixel_nm
    return Prepared(source, data.split, tuple(held), record, text, (side, side, side))


def _held_record(volumes: Sequence[Volume], held_out: Sequence[HeldOut]) -> dict[str, Any]:
    """Planes and boxes by the name of their store, as plain data."""
    held: dict[str, Any] = {v.name: [] for v in volumes}
    for h in held_out:
        held[volumes[h.store].name].append(
            {"z": h.z, "boxes": None if h.boxes is None else [list(b) for b in h.boxes]}
        )
    return held


def volumes_tested(
    volumes: Sequence[Volume], names: Sequence[str], prepared: Prepared, spec: ModelSpec
) -> list[TestVolume]:
    """Held-out planes of each store with the means to read and predict them."""
    parts = []
    for store, (volume, name) in enumerate(zip(volumes, names, strict=True)):
        held = {h.z: h for h in prepared.held_out if h.store == store}
        if held:
            parts.append(TestVolume(
                volume=volume.name, z=tuple(held), spacing=volume.spacing,
                annotation=partial(_painted, volume, name, held),
                predict=partial(_predict, volume, spec),
            ))
    return parts


def _painted(
    volume: Volume, name: str, held_out: Mapping[int, HeldOut], z: int
) -> NDArray[np.uint8]:
    """What is painted in a held-out plane, 0 outside of its boxes."""
    plane = as_annotation(np.asarray(painting(volume, name)[z]), objects=is_objects(name))
    boxes = held_out[z].boxes
    if boxes is None:
        return plane
    kept = np.zeros_like(plane)
    for y0, x0, y1, x1 in boxes:
        kept[y0:y1, x0:x1] = plane[y0:y1, x0:x1]
    return kept


def _predict(
    volume: Volume, spec: ModelSpec, network: nn.Module, z: Sequence[int]
) -> Iterator[NDArray[np.uint8]]:
    """Probabilities of the classes in whole planes of level 0, as infer writes them."""
    return predict_planes(network, spec, volume, z)


def seconds_of_test(
    volumes: Sequence[TestVolume], classes: dict[str, int], network: nn.Module
) -> float:
    """Seconds that the test will take, from its first plane."""
    if not volumes:
        return 1.0
    one = replace(volumes[0], z=volumes[0].z[:1])
    begin = time.monotonic()
    score_held_out(network, [one], classes=classes, split="trial")
    return 1.0 + 1.2 * sum(len(v.z) for v in volumes) * (time.monotonic() - begin)
