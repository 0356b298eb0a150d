"""Labels against truth: whole volumes by blocks, painted ones plane by plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.data.planes import painted_planes, read_planes
from fibseg.errors import DataError
from fibseg.metrics import Evaluation, Scores
from fibseg.pipeline.comparable import (
    chosen_planes,
    in_short,
    label_info,
    painted_class,
    require_truth,
    truth_info,
)
from fibseg.pipeline.scoring import (
    TruthPlane,
    joined,
    score_each_plane,
    score_volume,
    truth_planes,
)
from fibseg.volume import ProductInfo, Volume


def evaluate_labels(
    store: Volume, labels: str, truth: str, class_name: str | None, without: str | None,
    planes: Sequence[int] | None, tolerance: float, blocks: Runner | None,
) -> Evaluation:
    """Scores of labels against truth: by blocks if it is known everywhere, else plane by plane.

    Parameters are those of `fibseg.pipeline.evaluate.run`.

    Raises
    ------
    DataError
        If there is nothing to compare.
    """
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
