"""Label images without an object: the measurements of a profile go on without them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np

from fibseg.errors import DataError
from fibseg.pipeline.profile_steps import Recipe, measure_step
from fibseg.pipeline.steps import Step
from fibseg.volume import Volume

_log = logging.getLogger("fibseg.pipeline")


def empty_labels(recipe: Recipe) -> list[str]:
    """Label images of a profile that hold no object, each said in the log."""
    store = Volume.open(recipe.volume)
    there = store.label_names(kind="labels")
    empty = [name for name in recipe.names if name in there and is_empty(store, name)]
    for name in empty:
        what = (
            "distances to it and shares of it are left out" if name in recipe.membranes
            else "it is not measured"
        )
        _log.info("there are no objects in labels/%s, all voxels are 0: %s", name, what)
    return empty


def is_empty(store: Volume, name: str) -> bool:
    """Whether there is no object: by the table where it is up to date, else by every voxel."""
    info = _info(store, name)
    if info.get("labels_digest") == store.labels_info(name).digest:
        return not info["n_rows"]
    labels = store.labels(name)
    size = store.block_shape
    starts = itertools.product(*(range(0, n, k) for n, k in zip(labels.shape, size, strict=True)))
    boxes = (tuple(map(slice, at, np.add(at, size).tolist())) for at in starts)
    return not any(np.any(labels[box]) for box in boxes)


def without(empty: Collection[str], step: Step, recipe: Recipe) -> Step | None:
    """A measurement without these label images; None where it is one of them that is measured."""
    name, to = step.parts["objects"], step.parts["to"]
    if name in empty:
        return None
    earlier = _measured_to(recipe.volume, name)
    if not {*earlier, recipe.cell, recipe.nucleus} & {*empty}:
        return step
    own = replace(
        recipe, cell=None if recipe.cell in empty else recipe.cell,
        nucleus=None if recipe.nucleus in empty else recipe.nucleus,
    )
    kept = [n for n in dict.fromkeys([*earlier, *to]) if n not in empty]
    if {*earlier} & {*empty}:  # the table is not to be extended by what cannot be measured to
        return measure_step(own, name, kept, extend=False)
    return measure_step(own, name, [n for n in to if n not in empty])


def _measured_to(volume: str, name: str) -> list[str]:
    """What the table of the objects was measured to before, as far as that is still there."""
    store = Volume.open(volume)
    there = store.label_names(kind="labels")
    to = (_info(store, name).get("measured") or {}).get("to", [])
    return [target for target in to if target in there]


def _info(store: Volume, name: str) -> dict[str, Any]:
    """What is known of a table; nothing if it is not there, or damaged: it can be made again."""
    if name not in store.table_names():
        return {}
    try:
        return store.table_info(name)
    except DataError:
        return {}
