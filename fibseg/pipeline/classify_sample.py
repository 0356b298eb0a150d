"""The sample of ``fibseg classify``: two blocks where somebody has painted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.data import painted_voxels
from fibseg.export import load_forest_spec
from fibseg.geometry import Box
from fibseg.inference import plan_pixels
from fibseg.pipeline.classify_train import (
    LEAST,
    MOST,
    PRECISION_NM,
    Lesson,
    refuse_useless,
    untrained,
)
from fibseg.pipeline.named import measured_anew, names_in, products_in
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.sample import Parts, Sample, central_blocks, of_store
from fibseg.volume import BACKGROUND, Volume

FEW = 50
"""Voxels that are painted in the sample of a class that nobody has painted there."""


def sample_of(parts: Parts, folder: Path) -> Sample:
    """Two blocks with painting in them, or two in the middle for a classifier that stands.

    Near painting there is more border than elsewhere: the plan is on the safe side.
    """
    parts = measured_anew(parts)
    store, asked = Volume.open(parts["volume"]), parts["precision_nm"]
    named: dict[str, Any] = products_in(names_in(parts["postprocess"] or {}))
    if parts["annotation"] is None:
        spec = load_forest_spec(parts["model"])
        block = parts["block_shape"] or plan_pixels(spec, store).block_shape(store.block_shape)
        return of_store(store, folder, parts, block=block, **named)
    lesson = Lesson.of(
        store, parts["annotation"], precision_nm=PRECISION_NM if asked is None else asked,
        n_trees=parts["n_trees"], seed=parts["seed"],
    )
    plan = plan_pixels(untrained(store, lesson), store)
    block = parts["block_shape"] or plan.block_shape(store.block_shape)
    values = (BACKGROUND, *lesson.classes.values())
    seen = _painted_blocks(store, lesson, block)
    told = {v: sum(n for (_, w), n in seen.items() if w == v) for v in values}
    if min(told.values()) < LEAST or len({v for _, v in seen}) > len(values):
        array = store.labels(lesson.annotation)
        refuse_useless(painted_voxels(array, most=MOST), lesson, store)
    box = _box(store.shape, block, seen)
    model = {"model": str(folder / "model"), "name": parts["name"] or lesson.name}
    sample = of_store(store, folder, parts | model, block=block, box=box, **named)
    _paint(Volume(sample.parts["volume"]), store, lesson, box, values)
    return sample


def _painted_blocks(
    store: Volume, lesson: Lesson, block: Sequence[int]
) -> Counter[tuple[tuple[int, ...], int]]:
    """How much is painted in which block of which value, seen on the coarsest level."""
    level = store.n_levels - 1
    paint = np.asarray(store.labels(lesson.annotation, level)[...])
    factors = np.rint(np.divide(store.level_spacing(level), store.spacing)).astype(int)
    places = np.argwhere(paint)
    found = (tuple(p) for p in (places * factors // np.array(block)).tolist())
    return Counter(zip(found, paint[tuple(places.T)].tolist(), strict=True))


def _box(
    shape: Sequence[int], block: Sequence[int],
    seen: Counter[tuple[tuple[int, ...], int]],
) -> Box:
    """Two neighbouring blocks, one of them that with most values painted, then most voxels."""
    if not seen:
        return central_blocks(shape, block)
    blocks = sorted({place for place, _ in seen})
    best = max(blocks, key=lambda b: (
        len({v for place, v in seen if place == b}),
        sum(n for (place, _), n in seen.items() if place == b),
    ))
    start = [p * b for p, b in zip(best, block, strict=True)]
    stop = [min(a + b, n) for a, b, n in zip(start, block, shape, strict=True)]
    for axis, (b, n) in enumerate(zip(block, shape, strict=True)):
        if stop[axis] < n:
            stop[axis] = min(stop[axis] + b, n)
            break
        if start[axis] > 0:
            start[axis] -= b
            break
    return Box(tuple(start), tuple(stop))


def _paint(
    small: Volume, store: Volume, lesson: Lesson, box: Box, values: Sequence[int]
) -> None:
    """The painting of the box; a value that lacks is painted somewhere."""
    voxels = np.asarray(store.labels(lesson.annotation)[box.slices])
    random = np.random.default_rng(0)
    for value in values:
        if np.count_nonzero(voxels == value) < LEAST:
            free: NDArray[np.int64] = np.flatnonzero(voxels == 0)
            voxels.reshape(-1)[random.choice(free, min(FEW, len(free)), replace=False)] = value
    product = small.create_labels(
        lesson.annotation, kind="annotation", dtype=voxels.dtype, inputs="sample",
        classes=dict(lesson.classes),
    )
    product.array[...] = voxels
    finish_product(product)
