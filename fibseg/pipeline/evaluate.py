"""``fibseg evaluate``: a model on its held-out planes, or labels against truth."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.data.dense import OBJECTS, as_annotation, is_objects, painting
from fibseg.data.planes import painted_planes, read_planes
from fibseg.errors import DataError, UsageError
from fibseg.export import load_spec, weights_digest
from fibseg.metrics import (
    SECONDS_PER_EDIT,
    Evaluation,
    Scores,
    default_tolerance_nm,
    score_planes,
)
from fibseg.pipeline.comparable import (
    chosen_planes,
    in_short,
    label_info,
    painted_class,
    require_truth,
    truth_info,
)
from fibseg.pipeline.held_out import held_out_planes, require_folder
from fibseg.pipeline.place_scores import refuse_places, with_places
from fibseg.pipeline.scoring import (
    TruthPlane,
    joined,
    score_each_plane,
    score_volume,
    truth_planes,
)
from fibseg.progress import track
from fibseg.volume import ProductInfo, Run, Volume
from fibseg.volume.lock import READ_ONLY

log = logging.getLogger("fibseg.evaluate")

INSIDE = 128
"""Probability, 0–255, from which a voxel belongs to the class."""


def run(
    *, volume: str, model: str | None = None, labels: str | None = None,
    truth: str | None = None, class_name: str | None = None, without: str | None = None,
    planes: Sequence[int] | None = None, tolerance_nm: float | None = None,
    within_nm: float | None = None, seconds_per_edit: float = SECONDS_PER_EDIT,
    backend: str = "auto", blocks: Runner | None = None, out: str | None = None,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> Evaluation:
    """Scores of a model on painted planes it was not trained on, or of labels against truth.

    Parameters
    ----------
    volume
        Path of the store.
    model
        Model folder. Scored are the planes or boxes held out of its training on this volume,
        or all painted planes if it was not trained on it.
    labels, truth
        Names in ``labels/``. A truth of kind annotation is scored where painted, plane by plane.
        With `model`: `truth` is the annotation, by default the one it was trained on.
    class_name
        Class of a painted truth; where left out, the only one, or the one called like `labels`.
    without
        Annotation whose painted voxels are left out, such as what was trained on.
    planes
        Only these planes, each scored on its own.
    tolerance_nm
        Boundaries this near agree; two voxels in the plane if left out.
    within_nm
        Score the places of objects too: centres at most so far apart are the same object. For
        objects so small that outlines tell little, such as nuclear pores (60).
    seconds_per_edit
        What a merge, split, addition or deletion takes a person, where whole objects are compared.
    backend
        Of inference, with `model`: ``"auto"``, ``"torch"`` or ``"openvino"``.
    blocks
        Where blocks are computed.
    out
        JSON file to write the scores to as well.

    Raises
    ------
    UsageError
        If neither a model nor a pair of labels is given, or both.
    DataError
        If names, shapes or truth do not allow a score.
    """
    store = Volume.open(volume)
    tolerance = default_tolerance_nm(store.spacing) if tolerance_nm is None else tolerance_nm
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"tolerance_nm={tolerance:g} is no distance. Use 0 or more nm.")
    if not 0 <= seconds_per_edit < math.inf:
        raise UsageError(f"seconds_per_edit={seconds_per_edit:g} is no time. Use 0 or more s.")
    if out is not None and Path(out).is_dir():
        raise UsageError(f"out={out} is a folder. Name a file in it: {Path(out) / 'scores.json'}.")
    if (model is None) == (labels is None):
        raise UsageError(
            "Give either model=… (scored on held-out planes) or labels=… truth=… "
            f"(compared with each other); got model={model} labels={labels}."
        )
    if model is None and truth is None:
        raise UsageError(
            f"labels={labels} needs truth=… to be compared with. {store.path} has the labels "
            f"{store.label_names() or 'none'}."
        )
    if model is not None and without is not None:
        raise UsageError("without=… goes with labels=… truth=…, not with model=….")
    if labels is not None and truth is not None:
        label_info(store, labels, "labels")  # refused before a run is recorded
        kind = truth_info(store, truth).kind
        refuse_places(within_nm, without, planes, kind=kind)
    else:
        refuse_places(within_nm, without, planes, kind="model")
    with _recorded(
        store, config=dict(config or {}), overrides=list(overrides),
        inputs=_inputs(store, model, labels, truth),
    ) as record:
        if model is not None:
            result = _evaluate_model(store, model, truth, planes, tolerance, backend, blocks)
        else:
            assert labels is not None
            assert truth is not None
            result = _evaluate_labels(
                store, labels, truth, class_name, without, planes, tolerance, blocks
            )
        if within_nm is not None:
            result = with_places(result, store, within_nm=within_nm, runner=blocks)
        result = replace(result, seconds_per_edit=seconds_per_edit)
        _save(result, record, out)
    return result


def _evaluate_labels(
    store: Volume, labels: str, truth: str, class_name: str | None, without: str | None,
    planes: Sequence[int] | None, tolerance: float, blocks: Runner | None,
) -> Evaluation:
    """Labels against truth: by blocks if truth is known everywhere, else plane by plane."""
    info = label_info(store, labels, "labels")
    known = truth_info(store, truth)
    if info.kind == "annotation":
        raise DataError(f"labels={labels} is painting. Give objects as labels=…, it as truth=….")
    left_out = None if without is None else store.annotation_name(without)
    about = partial(
        Evaluation, volume=store.name, prediction=f"labels/{info.name}",
        truth=f"labels/{known.name}", tolerance_nm=tolerance,
    )
    if known.kind == "labels" and planes is None:
        total = score_volume(
            store.labels(info.name), store.labels(known.name),
            left_out=None if left_out is None else store.labels(left_out),
            tolerance_nm=tolerance, block_shape=store.block_shape, runner=blocks,
            spacing=store.spacing,
        )
        require_truth(total, f"labels/{known.name} of {store.path}")
        where = "whole volume" if left_out is None else f"where {left_out} is unlabelled"
        return about(scores={info.name: total.compute()}, where=where)
    name, value = painted_class(known, class_name, info.name)
    by_plane = _score_painted(
        store, info.name, known, value, left_out, planes, tolerance, blocks
    )
    return about(
        scores={name: joined(by_plane.values()).compute()},
        where=_where(known, planes, left_out),
        planes={name: {z: s.compute() for z, s in by_plane.items()}},
    )


def _where(truth: ProductInfo, planes: Sequence[int] | None, left_out: str | None) -> str:
    """Where was scored, in words."""
    words = "painted planes" if planes is None else f"planes {in_short(sorted(set(planes)))}"
    if planes is not None and truth.kind == "annotation":
        words += " where painted"
    return words if left_out is None else f"{words}, where {left_out} is unlabelled"


def _score_painted(
    store: Volume, labels: str, truth: ProductInfo, value: int, left_out: str | None,
    planes: Sequence[int] | None, tolerance: float, blocks: Runner | None,
) -> dict[int, Scores]:
    """Scores of each plane of labels, where the truth is known."""
    array = store.labels(truth.name)
    painted = truth.kind == "annotation"
    numbers = painted_planes(array, runner=blocks) if painted else range(store.shape[0])
    z = chosen_planes(numbers, planes, store, truth.name)
    known = truth_planes(read_planes(array, z), z, numbered=truth.kind == "labels")
    if left_out is not None:
        known = _unpainted(known, read_planes(store.labels(left_out), z))
    predicted = read_planes(store.labels(labels), z)
    by_plane = score_each_plane(
        known, lambda _: next(predicted), value=value, n_planes=len(z), tolerance_nm=tolerance,
        spacing=store.spacing,
    )
    require_truth(joined(by_plane.values()), f"labels/{truth.name} of {store.path} on planes {z}")
    return by_plane


def _unpainted(
    planes: Iterator[TruthPlane], painting: Iterator[NDArray[Any]]
) -> Iterator[TruthPlane]:
    """Yield the planes, unlabelled where `painting` is not 0."""
    for plane, painted in zip(planes, painting, strict=True):
        yield TruthPlane(plane.z, np.where(painted > 0, 0, plane.annotation), plane.objects)


def _evaluate_model(
    store: Volume, model: str, truth: str | None, planes: Sequence[int] | None,
    tolerance: float, backend: str, blocks: Runner | None,
) -> Evaluation:
    """A model on held-out painting, through the code that inference itself uses."""
    from fibseg.export import load_network  # these two bring torch along
    from fibseg.inference import predict_planes

    held = held_out_planes(store, load_spec(model), truth, runner=blocks)
    z = chosen_planes(held.z, planes, store, held.annotation.removeprefix(OBJECTS))
    truth_path = OBJECTS + held.annotation.removeprefix(OBJECTS)
    network, spec = load_network(model)
    painted = read_planes(painting(store, held.annotation), z)
    probabilities = predict_planes(network, spec, store, z, backend=backend)
    scores: dict[str, dict[int, Scores]] = {name: {} for name in held.classes}
    both = zip(z, painted, probabilities, strict=True)
    for number, plane, probs in track(both, total=len(z), label="evaluate", unit="plane"):
        values = as_annotation(plane, objects=is_objects(held.annotation))
        known = TruthPlane(number, values).within(held.boxes.get(number))
        for channel, (name, value) in zip(probs, held.classes.items(), strict=True):
            scores[name][number] = score_planes(
                (channel >= INSIDE)[None], known.annotation[None], value=value,
                tolerance_nm=tolerance, spacing=store.spacing,
            )
    total = {name: joined(s.values()) for name, s in scores.items()}
    if not any(s.overlap.n_scored for s in total.values()):
        raise DataError(f"Nothing is painted on the planes {z} of {truth_path}.")
    return Evaluation(
        volume=store.name, prediction=f"model {Path(model).name}",
        truth=truth_path, where=held.where, tolerance_nm=tolerance,
        scores={name: s.compute() for name, s in total.items()},
        planes={n: {k: s.compute() for k, s in by.items()} for n, by in scores.items()},
    )


def _inputs(
    store: Volume, model: str | None, labels: str | None, truth: str | None
) -> dict[str, str]:
    """Digests of what is compared."""
    found = {"raw": store.raw_digest}
    if model is not None:
        found["model"] = weights_digest(require_folder(model))
    for name in (labels, truth):
        if name in store.label_names():
            assert name is not None
            found[f"labels/{name}"] = store.labels_info(name).digest
    return found


def _recorded(store: Volume, **what: Any) -> AbstractContextManager[Run | None]:
    """The record of this run, or nothing where the store can only be read."""
    try:
        return store.start_run("evaluate", **what)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        log.warning("%s can only be read: this run is not recorded in it", store.path)
        return nullcontext()


def _save(result: Evaluation, record: Run | None, out: str | None) -> None:
    data = result.as_dict()
    if out is not None:
        path = Path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if record is not None:
        record.finish(products={}, metrics=data)


