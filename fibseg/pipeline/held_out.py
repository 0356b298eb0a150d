"""What a model has not seen of a store, and what it predicts there."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fibseg.blocks import Runner
from fibseg.data.dense import painting, painting_classes, painting_digest, painting_name
from fibseg.data.planes import painted_planes
from fibseg.errors import DataError
from fibseg.export import ModelSpec
from fibseg.pipeline.scoring import Rectangle
from fibseg.volume import Volume

_log = logging.getLogger("fibseg.evaluate")

Boxes: TypeAlias = dict[int, list[Rectangle]]
"""Plane number to the parts of it that count."""

_WHERE = {
    "planes": "held-out planes",
    "boxes": "held-out boxes on planes that were trained on (rather too good)",
    "cell": "painted planes of a volume that was left out of training",
    "space": "planes of a held-out part of the volume",
}


@dataclass(frozen=True)
class HeldOutPlanes:
    """Painted planes, or parts of them, that a model was not trained on.

    Parameters
    ----------
    annotation
        Name of the painting.
    classes
        Class of the model to its value in the painting.
    z
        Plane numbers.
    where
        What these planes are, in words.
    boxes
        Parts that count; a plane that is not here counts as a whole.
    """

    annotation: str
    classes: dict[str, int]
    z: list[int]
    where: str
    boxes: Boxes = field(default_factory=dict)


def held_out_planes(
    store: Volume, spec: ModelSpec, truth: str | None, *, runner: Runner | None = None
) -> HeldOutPlanes:
    """Planes held out of training on this store; all painted ones if it was not trained on.

    Where planes were reserved for the test, these alone.

    Parameters
    ----------
    truth
        Name of the painting; the one that the model was trained on if None.
    runner
        Where painted planes are looked for; in this process if None.

    Raises
    ------
    DataError
        If nothing was held out, or there is no such painting, or it lacks the model's classes.
    """
    source = source_of(store, spec)
    annotation = _annotation(store, spec, source, truth)
    values = painting_classes(store, annotation)
    missing = [name for name in spec.classes if name not in values]
    if missing:
        raise DataError(
            f"{annotation} of {store.path} has the classes {sorted(values)}, but the model "
            f"finds {', '.join(missing)}. Name the right painting with truth=…, or import it "
            "with classes=."
        )
    classes = {name: values[name] for name in spec.classes}
    if source is None:
        z = painted_planes(painting(store, annotation), runner=runner)
        where = "painted planes of a volume that was not trained on"
        return HeldOutPlanes(annotation, classes, z, where)
    if source["annotation_digest"] != painting_digest(store, annotation):
        _log.warning(
            "%s is not what the model was trained on any more: the held-out planes are "
            "scored as they are painted now.", annotation,
        )
    split: dict[str, Any] = spec.training.get("split", {})
    if split.get("left_out") not in (None, source["name"]):
        raise DataError(
            f"The model was trained on all painted planes of {source['name']}: it left out "
            f"{split['left_out']}. Evaluate it on that one, or on a volume not trained on."
        )
    reserved = split.get("reserved")
    if reserved is not None:
        return _reserved(reserved[source["name"]], source["name"], annotation, classes)
    held = split.get("held_out", {}).get(source["name"], [])
    if not held:
        raise DataError(
            f"The model was trained on {source['name']} with data.split={split.get('kind')} and "
            "nothing of it was held out, so nothing can be tested there. Evaluate another "
            "volume, or train with data.split=planes."
        )
    return HeldOutPlanes(
        annotation, classes, [h["z"] for h in held], _WHERE.get(split["kind"], split["kind"]),
        {h["z"]: [_rectangle(b) for b in h["boxes"]] for h in held if h["boxes"] is not None},
    )


def _reserved(
    z: list[int], name: str, annotation: str, classes: dict[str, int]
) -> HeldOutPlanes:
    """Planes that were kept for the test: what was held out may have chosen the settings."""
    if not z:
        raise DataError(
            f"The model was trained with data.reserved and no plane of {name} is among them, so "
            "nothing can be tested there. Evaluate a volume with reserved planes."
        )
    return HeldOutPlanes(annotation, classes, z, "planes reserved for the test")


def source_of(store: Volume, spec: ModelSpec) -> dict[str, Any] | None:
    """Record of this store among those trained on, whatever it is called now."""
    for source in spec.training.get("volumes", []):
        if source["raw_digest"] == store.raw_digest:
            return dict(source)
    return None


def words_to_hold_out(spec: ModelSpec) -> str:
    """What to tell the next training, so that it holds out the same; empty where it cannot be told.

    Whole planes can be named, in one list for each of several volumes, in their order; and a
    volume. Boxes and parts of the space follow from the painting, or from the volume alone.
    """
    split: dict[str, Any] = spec.training.get("split", {})
    if split.get("left_out") is not None:
        return shlex.quote(f"data.leave_out={split['left_out']}")
    held = split.get("held_out", {})
    planes = [
        sorted({int(h["z"]) for h in held.get(source["name"], [])})
        for source in spec.training.get("volumes", [])
    ]
    if split.get("kind") != "planes" or not any(planes):
        return ""
    listed = str(planes if len(planes) > 1 else planes[0]).replace(" ", "")
    fold = spec.training.get("settings", {}).get("data", {}).get("fold")
    # A fold chooses planes by itself, and does not go with named ones.
    return f"data.held_out={listed}" + ("" if fold is None else " data.fold=null")


def _annotation(
    store: Volume, spec: ModelSpec, source: dict[str, Any] | None, truth: str | None
) -> str:
    """Name of the painting to score against."""
    if truth is not None:
        return painting_name(store, truth)
    if source is not None:
        return painting_name(store, source["annotation"])
    painted = store.label_names(kind="annotation")
    trained_on = {s["annotation"] for s in spec.training.get("volumes", [])}
    known = [name for name in painted if name in trained_on]
    if len(known) == 1:
        return known[0]
    if len(painted) == 1:
        return painted[0]
    raise DataError(
        f"The model was not trained on {store.path}, which has the paintings "
        f"{painted or 'none'}. "
        + ("Say which is the truth with truth=…." if painted else
           f"Import one: 'fibseg import source=… volume={store.path} kind=annotation name=…'.")
    )


def _rectangle(box: Sequence[int]) -> Rectangle:
    y0, x0, y1, x1 = (int(v) for v in box)
    return y0, x0, y1, x1


def require_folder(model: str) -> str:
    """Path of a model folder.

    Raises
    ------
    DataError
        If there is none.
    """
    if not Path(model).is_dir():
        raise DataError(
            f"There is no model folder {model}. Train one with 'fibseg train … out={model}'."
        )
    return model
