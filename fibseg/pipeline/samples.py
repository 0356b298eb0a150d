"""The sample of every verb: the same settings on a part of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from fibseg.geometry import Box
from fibseg.pipeline.sample import Parts, Sample, by, cut_out, of_store
from fibseg.pipeline.sample_import import import_sample
from fibseg.pipeline.sample_labels import (
    distance_sample,
    distribution_sample,
    export_sample,
    measure_sample,
)
from fibseg.volume import Volume

REHEARSED_STEPS = 40
"""Training steps of a rehearsal: the first few are slower, since kernels are chosen in them."""


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
        load=lambda: load_network(model)[0], overwrite=parts["overwrite"],
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
