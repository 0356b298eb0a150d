"""The sample of every verb: the same settings on a part of the data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Serial
from fibseg.geometry import Box
from fibseg.pipeline.pyramid import finish_product
from fibseg.pipeline.sample import Parts, Sample, by, central_blocks, cut_out, of_store
from fibseg.progress import Load, Stage
from fibseg.volume import Volume
from fibseg.volume.sources import Source, expected_spacing, open_source

REHEARSED_STEPS = 40
"""Training steps of a rehearsal: the first few are slower, since kernels are chosen in them."""

SOURCE_BYTES = 5e8
"""At most so much of a source is imported in a rehearsal."""


def infer_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks in the middle of the volume."""
    from fibseg.export.foreign import is_model_file

    if is_model_file(parts["model"]):
        from fibseg.pipeline import infer_foreign

        return infer_foreign.sample_of(parts, folder)
    from fibseg.export import load_network, load_spec
    from fibseg.inference import Wish
    from fibseg.pipeline.infer import names_of
    from fibseg.pipeline.infer_backend import settled
    from fibseg.pipeline.infer_int8 import Trial, measured_int8
    from fibseg.pipeline.infer_task import Looking, task_of
    from fibseg.pipeline.named import measured_anew, names_in, products_in

    parts = measured_anew(parts)
    store, spec = Volume.open(parts["volume"]), load_spec(parts["model"])
    wish, model = Wish(parts["backend"], parts["precision"]), parts["model"]
    looking = Looking(**{f.name: parts[f.name] for f in fields(Looking)})
    task = settled(
        task_of(store, spec, model, looking, backend=wish.candidates()[0]), wish, store=store,
        names=names_of(spec, model, parts["name"]), spec=spec,
        load=lambda: load_network(model)[0],
    )
    backend = task.blocks.backend
    parts = {**parts, "backend": backend.name, "precision": backend.precision}
    if backend.precision == "int8":  # a sample has too few planes to measure that
        trial = Trial(task.blocks, store, spec)
        parts["int8"] = backend.int8 or measured_int8(trial, lambda: load_network(model)[0])
    block = parts["block_shape"] or task.blocks.plan.block_shape(store.block_shape)
    named: dict[str, Any] = products_in(names_in(parts["postprocess"] or {}))
    named["labels"] = sorted({*named["labels"], *([looking.within] if looking.within else [])})
    sample = of_store(store, folder, parts, block=block, **named)
    return replace(sample, threads=task.blocks.threads)


def classify_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks with painting in them, or two in the middle for a classifier that stands."""
    from fibseg.pipeline import classify_sample

    return classify_sample.sample_of(parts, folder)


def objects_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of the probabilities."""
    from fibseg.pipeline.named import measured_anew, names_in, products_in
    from fibseg.pipeline.objects import planned_jobs

    store = Volume.open(parts["volume"])
    jobs = planned_jobs(store, parts["name"], parts["postprocess"], out=parts["out"])
    parts = measured_anew(parts)
    named: dict[str, Any] = products_in(names_in(parts["postprocess"]))
    named["probabilities"] = sorted({*named["probabilities"], *(job.source for job in jobs)})
    return of_store(store, folder, parts, **named)


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


def check_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of the image and of all painting."""
    store = Volume.open(parts["volume"])
    return of_store(store, folder, parts, labels=store.label_names(kind="annotation"))


def verify_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of everything."""
    store = Volume.open(parts["volume"])
    return of_store(
        store, folder, parts, labels=store.label_names(),
        probabilities=store.probability_names(), distances=store.distance_names(),
    )


def evaluate_sample(parts: Parts, folder: Path) -> Sample:
    """Two blocks of both label images, or one of the planes that a model is scored on."""
    from fibseg.pipeline.evaluate import listed

    volumes, models = listed(parts["volume"]), listed(parts["model"])
    store = Volume.open(volumes[0])
    if not models:
        names = {parts[key] for key in ("labels", "truth")}
        if parts["without"] is not None:
            names.add(store.annotation_name(parts["without"]))
        return of_store(store, folder, parts | {"out": None}, labels=sorted(names - {None}))
    from fibseg.data.dense import OBJECTS
    from fibseg.export import load_spec
    from fibseg.pipeline.held_out import held_out_planes

    spec = load_spec(models[0])
    held = held_out_planes(store, spec, parts["truth"])
    z = parts["planes"] or held.z
    n_planes = len(models) * len(volumes) * len(z)  # as if there were as many in each volume
    first, reach = z[0], spec.network.get("context", 0) + 1
    box = Box((first - reach, 0, 0), (first + reach + 1, *store.shape[1:])).clip(store.shape)
    small = cut_out(store, folder / store.name, box, labels=[held.annotation.removeprefix(OBJECTS)])
    return Sample(
        parts | {"volume": str(small.path), "model": models[0], "out": None,
                 "planes": [first - box.start[0]], "truth": held.annotation},
        store.path, f"plane {first}, one of {n_planes}", factor=n_planes,
    )


def paint_sample(parts: Parts, folder: Path) -> Sample:
    """One plane, of a painting that there is not."""
    from fibseg.pipeline.paint import chosen_planes

    store = Volume.open(parts["volume"])
    planes = chosen_planes(store.shape[0], parts["every"], parts["planes"])
    return Sample(
        parts | {"out": str(folder / "paint"), "name": "sample", "classes": None,
                 "planes": planes[:1]},
        Path(parts["out"]), f"plane {planes[0]}, one of {len(planes)}", factor=len(planes),
        disk_factor=len(planes),
    )


def suggest_sample(parts: Parts, folder: Path) -> Sample:
    """One plane that is looked at and suggested, for a painting that there is not."""
    from fibseg.pipeline import suggest_sample

    return suggest_sample.sample_of(parts, folder)


def report_sample(parts: Parts, folder: Path) -> Sample:
    """The page itself: however large the volume is, it shows a few planes."""
    store = Volume.open(parts["volume"])
    place = Path(parts["out"] or store.path)
    return Sample(
        parts | {"out": str(folder / "report.html")}, place, "the page itself, made and thrown away"
    )


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


def phantom_sample(parts: Parts, folder: Path) -> Sample:
    """A cell half as large along each axis; all of it is in memory."""
    shape = tuple(parts["shape"])
    half = tuple(max(1, n // 2) for n in shape)
    factor = math.prod(shape) / math.prod(half)
    return Sample(
        parts | {"shape": list(half), "out": str(folder / "sample")}, Path(parts["out"]),
        f"a phantom of {by(half)} voxels instead of {by(shape)}",
        factor=factor, disk_factor=factor, in_memory=True,
    )


def train_sample(parts: Parts, folder: Path) -> Sample:
    """A few steps, and the test, on all planes."""
    trainer = parts["trainer"]
    n = REHEARSED_STEPS if trainer.max_steps is None else min(REHEARSED_STEPS, trainer.max_steps)
    wanted = math.inf if trainer.max_steps is None else trainer.max_steps
    limit = "" if trainer.max_time is None else f", at most {trainer.max_time} in all"
    return Sample(
        parts | {"trainer": replace(trainer, max_steps=n, max_time=None),
                 "out": str(folder / "model"), "resume": "auto"},
        Path(parts["out"]), f"{n} steps and the test{limit}",
        factors={"train": wanted / n}, limited="train", limit_s=trainer.seconds,
    )


def sweep_sample(parts: Parts, folder: Path) -> Sample:
    """A few steps and the test of one trial, as many times as trials follow each other."""
    n_trials, n_workers = parts.pop("n_trials"), parts.pop("n_workers")
    one = train_sample(dict(parts["parts"]), folder)
    rounds = math.ceil(n_trials / n_workers)
    return replace(
        one, parts={**one.parts, "n_trials": n_trials, "n_workers": n_workers},
        text=f"{one.text}, of one of {n_trials} trials, {n_workers} at a time",
        factor=one.factor * rounds, disk_factor=n_trials, at_once=n_workers,
        limit_s=one.limit_s * rounds,
        factors={label: factor * rounds for label, factor in one.factors.items()},
    )


def import_sample(parts: Parts, folder: Path) -> Sample:
    """Some planes, whole, from the middle of the source."""
    from fibseg.pipeline.ingest_labels import placed

    kind, runner = parts["kind"], parts.get("blocks")
    n_workers = max(1, runner.at_once()) if runner else 1
    with open_source(parts["source"], dataset=parts["dataset"], array=parts["array"]) as opened:
        store = None if kind == "image" else Volume.open(parts["volume"])
        source = opened
        if store is not None and kind == "annotation":
            source = placed(opened, store, parts["planes"])
        box = _some_planes(source, least=2 if kind == "annotation" else 1)
        begin = time.monotonic()
        np.save(folder / "planes.npy", source.read(box))
        seconds = time.monotonic() - begin
        spacing = (store.spacing if store else expected_spacing(
            opened, parts["spacing"], trust_given=parts["trust_spacing"]
        ))
        factor, n_bytes = source.shape[0] / box.shape[0], box.size * source.dtype.itemsize
    if store is not None:
        cut_out(store, folder / "cell.ome.zarr", box)
    return Sample(
        parts | {
            "source": str(folder / "planes.npy"), "volume": str(folder / "cell.ome.zarr"),
            "spacing": list(spacing), "dataset": None, "array": None, "planes": None,
            "overwrite": False, "blocks": Serial(),
        },
        Path(parts["volume"]), f"{box.shape[0]} of {source.shape[0]} planes", factor=factor,
        disk_factor=factor, memory_bytes=parts["memory_gb"] * 1e9 / n_workers if factor > 1 else 0,
        before=[Stage("read source, twice", "plane", box.shape[0], 2 * seconds,
                      load=Load(read_bytes=2 * n_bytes))],
    )


def _some_planes(source: Source, *, least: int) -> Box:
    """Whole planes around the one nearest to the middle that has values from `least` on."""
    n_planes, *plane = source.shape
    n = int(SOURCE_BYTES // (math.prod(plane) * source.dtype.itemsize))
    n = min(n_planes, max(1, min(n, 64)))
    order = sorted(range(n_planes), key=lambda z: abs(z - n_planes // 2))
    one = ((z, Box((z, 0, 0), (z + 1, *plane))) for z in order)
    middle = next((z for z, box in one if source.read(box).max() >= least), n_planes // 2)
    first = min(max(middle - n // 2, 0), n_planes - n)
    return Box((first, 0, 0), (first + n, *plane))


def pores_sample(parts: Parts, folder: Path) -> Sample:
    """A block that the envelope runs through."""
    from fibseg.pipeline import pore_samples

    return pore_samples.pores_sample(parts, folder)


SAMPLES: dict[str, Callable[[Parts, Path], Sample]] = {
    "phantom": phantom_sample, "import": import_sample, "check": check_sample,
    "verify": verify_sample, "train": train_sample, "sweep": sweep_sample, "infer": infer_sample,
    "classify": classify_sample, "objects": objects_sample, "distance": distance_sample,
    "measure": measure_sample, "pores": pores_sample,
    "distribution": distribution_sample,
    "evaluate": evaluate_sample, "report": report_sample, "paint": paint_sample,
    "suggest": suggest_sample, "export": export_sample,
}
"""Sample of each verb, from its arguments and a folder for it."""
