"""Train a network on sparsely painted planes and write its model folder."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fibseg.blocks import Runner
from fibseg.data import RULE, HeldOut, PlaneStack, SparseData, Split, load_planes, split_planes
from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec, describe_model, load_spec, save_model_folder
from fibseg.inference import predict_planes
from fibseg.models import NetworkSpec, receptive_margin, stride_multiple
from fibseg.pipeline.train_folder import FOLDER, LOG, alone_in, begin, log_to, standing
from fibseg.pipeline.train_summary import Summary, summarise
from fibseg.training import (
    TestVolume,
    TrainerSettings,
    fit,
    log_scores,
    score_held_out,
    training_device,
)
from fibseg.volume import Volume

logger = logging.getLogger("fibseg.train")


def run(
    *, volume: str | Sequence[str], annotation: str | Sequence[str], out: str,
    network: NetworkSpec, data: SparseData, trainer: TrainerSettings, seed: int = 0,
    blocks: Runner | None = None, resume: str = "auto", overwrite: bool = False,
    overrides: Sequence[str] = (),
) -> Summary | None:
    """Train, test on what was held out, write the model folder; returns scores and paths.

    The same command again goes on where it was stopped, and does nothing once it is finished. Of
    several processes only the first returns something.

    Parameters
    ----------
    volume
        Stores to train on.
    annotation
        Name of the annotation, the same in every store, or one name each.
    out
        Model folder; checkpoints, TensorBoard and log go to ``out/training``.
    network, data, trainer, seed
        Settings.
    blocks
        Where painted planes are looked for; in this process if None.
    resume
        ``"auto"`` or ``"never"`` (refuses a folder in which a training has begun).
    overwrite
        Throw away what stands in `out` if it was made with other settings or data.
    overrides
        The command's overrides, kept in ``model.json``.

    Raises
    ------
    DataError
        For bad annotations, volumes that do not fit together, or an unsplittable annotation.
    ExistsError
        If `out` holds a training with other settings or data.
    BusyError
        If another run is training into `out`, or replaces a volume.
    InterruptedRunError
        If stopped by a signal.
    """
    started = time.monotonic()
    if resume not in ("auto", "never"):
        raise UsageError(f"resume={resume!r} is neither auto nor never.")
    training_device(trainer)
    stores = [str(volume)] if isinstance(volume, (str, Path)) else [str(v) for v in volume]
    volumes, names = _sources(stores, annotation)
    classes = shared_classes(volumes, names)
    folder = Path(out)
    settings = {"network": asdict(network), "data": asdict(data), "trainer": asdict(trainer),
                "seed": seed}
    sources = [
        {"name": v.name, "raw_digest": v.raw_digest, "annotation": n,
         "annotation_digest": v.labels_info(n).digest}
        for v, n in zip(volumes, names, strict=True)
    ]
    record = json.loads(json.dumps({"settings": settings, "sources": sources}))
    with alone_in(folder, volumes=[v.path for v in volumes]):
        if standing(folder, record, resume=resume, overwrite=overwrite):
            return summarise(folder, load_spec(folder), stores, resumed=True)
        stacks = load_planes(
            volumes, names, data=data, context=network.context, runner=blocks
        )
        split = split_planes(stacks, classes, data, context=network.context)
        begin(folder, record)
        with log_to(folder / FOLDER / LOG):
            logger.info("training on %s", _split_text(volumes, split))
            spec = _describe(network, classes, stacks, {
                "volumes": sources, "split": _split_record(volumes, split),
                "overrides": list(overrides), "settings": record["settings"],
            })
            tests = _test_volumes(volumes, names, split, spec)
            trained = fit(
                stacks, split, classes, network=network, data=data, trainer=trainer, seed=seed,
                folder=folder / FOLDER, started=started,
                reserve=partial(_test_seconds, tests, classes),
            )
            if not trained.first:
                return None
            metrics = score_held_out(
                trained.network, tests, classes=classes, tolerance_nm=trainer.tolerance_nm,
                split=split.kind,
            )
            log_scores(metrics)
            spec = _describe(network, classes, stacks, {
                **spec.training, "n_steps": trained.n_steps, "precision": trained.precision,
            }, metrics)
            save_model_folder(folder, trained.network, spec, overwrite=True)
        return summarise(folder, spec, stores, resumed=False)


def shared_classes(volumes: Sequence[Volume], names: Sequence[str]) -> dict[str, int]:
    """Value of each class, the same in every annotation, in the order of the values.

    Raises
    ------
    DataError
        If the annotations name different classes, or values with gaps.
    """
    found = [
        dict(sorted(v.labels_info(n).classes.items(), key=lambda item: item[1]))
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


def _sources(
    paths: Sequence[str], annotation: str | Sequence[str]
) -> tuple[list[Volume], list[str]]:
    """Opened stores, and the full name of each one's annotation."""
    wanted = [annotation] * len(paths) if isinstance(annotation, str) else list(annotation)
    if not paths or len(paths) != len(wanted):
        raise UsageError(
            f"{len(paths)} volumes and {len(wanted)} annotations were given. Give one annotation, "
            "or one for each volume."
        )
    volumes = [Volume.open(p) for p in paths]
    if len({v.name for v in volumes}) < len(volumes):
        raise UsageError(
            f"Two of the volumes {[v.name for v in volumes]} have the same name. Rename one."
        )
    return volumes, [v.annotation_name(n) for v, n in zip(volumes, wanted, strict=True)]


def _describe(
    network: NetworkSpec, classes: dict[str, int], stacks: Sequence[PlaneStack],
    training: dict[str, Any], metrics: dict[str, Any] | None = None,
) -> ModelSpec:
    """The model's description."""
    return describe_model(
        network={**asdict(network), "features": list(network.features)}, classes=list(classes),
        normalisation=dict(RULE), context=network.context,
        receptive_field=receptive_margin(network), stride_multiple=stride_multiple(network),
        training=training, metrics=metrics or {}, spacing=stacks[0].working,
    )


def _split_record(volumes: Sequence[Volume], split: Split) -> dict[str, Any]:
    """The split as plain data: planes (and boxes) per store."""
    held: dict[str, Any] = {v.name: [] for v in volumes}
    for h in split.held_out:
        held[volumes[h.store].name].append(
            {"z": h.z, "boxes": None if h.boxes is None else [list(b) for b in h.boxes]}
        )
    train = {v.name: list(z) for v, z in zip(volumes, split.train, strict=True)}
    return {"kind": split.kind, "train_planes": train, "held_out": held}


def _split_text(volumes: Sequence[Volume], split: Split) -> str:
    """The split in one line."""
    n_train, n_held = sum(len(z) for z in split.train), len(split.held_out)
    what = "parts of planes" if split.kind == "boxes" else "planes"
    return (
        f"{n_train} planes of {', '.join(v.name for v in volumes)}; held out "
        f"(split={split.kind}): {n_held} {what}"
    )


def _test_volumes(
    volumes: Sequence[Volume], names: Sequence[str], split: Split, spec: ModelSpec
) -> list[TestVolume]:
    """Held-out planes of each store with the means to read and predict them."""
    parts = []
    for store, (volume, name) in enumerate(zip(volumes, names, strict=True)):
        held = {h.z: h for h in split.held_out if h.store == store}
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
    plane = np.asarray(volume.labels(name)[z], np.uint8)
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


def _test_seconds(
    volumes: Sequence[TestVolume], classes: dict[str, int], network: nn.Module
) -> float:
    """Seconds that the test will take, from its first plane."""
    if not volumes:
        return 1.0
    one = replace(volumes[0], z=volumes[0].z[:1])
    begin = time.monotonic()
    score_held_out(network, [one], classes=classes, split="trial")
    return 1.0 + 1.2 * sum(len(v.z) for v in volumes) * (time.monotonic() - begin)
