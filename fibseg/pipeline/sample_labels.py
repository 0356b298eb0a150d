"""The samples of verbs that need labels with a border in them, wherever they are cut out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.sample import Parts, Sample, central_blocks, of_store
from fibseg.volume import Volume


def distance_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of the labels, with a border in them wherever they were taken from.

    A cap may reach beyond them, as it does not in the whole volume: what a block of that may have
    to read is taken for what it reads.
    """
    from fibseg.pipeline.distance import planned_job
    from fibseg.pipeline.distance_passes import most_read, worker_bytes

    store = Volume.open(parts["volume"])
    wanted = {key: parts[key] for key in ("labels", "max_nm", "name", "signed", "label")}
    job = planned_job(store, **wanted)
    sample = of_store(store, folder, parts)
    small = Volume(sample.parts["volume"])
    _put_labels(store, small, job.labels, first=(0, *(job.chosen.numbers or (1,))))
    whole, cut = (
        most_read(
            shape, max_nm=job.max_nm, block_shape=store.block_shape, spacing=store.spacing
        )
        for shape in (store.shape, small.shape)
    )
    factors = {label: sample.factor * whole[label] / cut[label] for label in whole}
    return replace(sample, factors=factors, memory_bytes=worker_bytes(whole, store.block_shape))


def measure_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of all label images, with an object and a border in each of them."""
    from fibseg.pipeline.measure_job import planned_job

    store = Volume.open(parts["volume"])
    keys = ("objects", "to", "extend", "cell", "nucleus", "intensity", "keep_border",
            "neighbours", "classes", "correlations")
    job = planned_job(store, **{key: parts[key] for key in keys})
    sample = of_store(store, folder, parts | {"csv": None, "to": list(job.to)})
    for name in job.names:
        _put_labels(store, Volume(sample.parts["volume"]), name, first=(0, 1))
    return sample


def distribution_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of both label images, with an object and a border in each of them."""
    from fibseg.pipeline.distribution_job import planned_job

    store = Volume.open(parts["volume"])
    keys = ("on", "voxel_nm", "spreading", "sections")
    job = planned_job(store, parts["objects"], **{key: parts[key] for key in keys})
    sample = of_store(store, folder, parts | {"csv": None})
    small = Volume(sample.parts["volume"])
    _put_labels(store, small, job.objects, first=(0, 1))
    # A single voxel would have no envelope: a border right through it, in a quarter of it.
    eighth = max(1, math.prod(small.shape) // 8)
    _put_labels(store, small, job.on, first=np.repeat([0, 1], eighth))
    return sample


def _put_labels(
    store: Volume, small: Volume, name: str, *, first: Sequence[int] | NDArray[Any]
) -> None:
    """Copy the labels of two blocks in the middle of `store`; the first voxels become `first`."""
    array = store.labels(name)
    voxels = np.asarray(array[central_blocks(store.shape, store.block_shape).slices])
    numbers = first[: voxels.size]
    voxels.reshape(-1)[: len(numbers)] = numbers
    product = small.create_labels(name, kind="labels", dtype=array.dtype, inputs="sample")
    product.array[...] = voxels
    finish_product(product)


def export_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of what is in a store; the very export of a model, which looks at few windows."""
    if parts["model"] is None:
        return _objects_export(parts, folder)
    return Sample(
        parts | {"out": str(folder / "export")}, Path(parts["out"]),
        "the export itself, made and thrown away",
    )


def _objects_export(parts: Parts, folder: Path) -> Sample:
    """Two blocks of level 0, with one of the chosen objects in them, for the level that counts."""
    store = Volume.open(parts["volume"])
    chosen = parts["label"]
    first = 1 if chosen is None else chosen if isinstance(chosen, int) else min(chosen)
    maps = [] if parts["probabilities"] is None else [parts["probabilities"]]
    sample = of_store(store, folder, parts, probabilities=maps)
    if parts["labels"] is not None:
        _put_labels(store, Volume(sample.parts["volume"]), parts["labels"], first=(0, first))
    shape = store.raw(parts["level"]).shape
    factor = math.prod(shape) / math.prod(sample.cut)
    changed = {
        "out": str(folder / "export"), "name": parts["name"] or "export", "level": 0,
        "label": None if chosen is None else first, "overwrite": False,
    }
    return replace(
        sample, parts=sample.parts | changed, place=Path(parts["out"]), factor=factor,
        disk_factor=factor, whole=tuple(shape),
    )
