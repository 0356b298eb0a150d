"""Train a network on sparsely painted planes and write its model folder."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner
from fibseg.blocks.interrupt import raising
from fibseg.data import RULE, SparseData, painting_digest
from fibseg.errors import UsageError
from fibseg.export import ModelSpec, describe_model, load_spec, save_model_folder
from fibseg.export.constants import KEY, constants_of
from fibseg.models import NetworkSpec, receptive_margin, stride_multiple
from fibseg.pipeline.train_data import (
    open_sources,
    prepare,
    seconds_of_test,
    shared_classes,
    volumes_tested,
)
from fibseg.pipeline.train_folder import (
    FOLDER,
    LOG,
    alone_in,
    begin,
    first_speaks,
    is_first,
    log_to,
    standing,
)
from fibseg.pipeline.train_summary import Summary, summarise
from fibseg.training import (
    TrainerSettings,
    fit,
    launch,
    log_scores,
    queued_again,
    score_held_out,
    training_device,
)
from fibseg.types import Spacing
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
        Name of the annotation, the same in every store, or one name each; with rotated planes
        also numbered objects, ``labels/NAME``.
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
    volumes, names = open_sources(stores, annotation, data)
    classes = shared_classes(volumes, names)
    folder = Path(out)
    settings = {"network": asdict(network), "data": asdict(data), "trainer": asdict(trainer),
                "seed": seed}
    sources = [
        {"name": v.name, "raw_digest": v.raw_digest, "annotation": n,
         "annotation_digest": painting_digest(v, n)}
        for v, n in zip(volumes, names, strict=True)
    ]
    record = json.loads(json.dumps({"settings": settings, "sources": sources}))
    with raising(), alone_in(folder, volumes=[v.path for v in volumes]):
        if standing(folder, record, resume=resume, overwrite=overwrite):
            if not is_first():
                return None
            return summarise(folder, load_spec(folder), stores, resumed=True)
        prepared = prepare(
            volumes, names, classes, data=data, context=network.context, runner=blocks
        )
        begin(folder, record, resume=resume, launch=launch())
        with log_to(folder / FOLDER / LOG), first_speaks():
            logger.info("training on %s", prepared.text)
            spec = _describe(network, classes, prepared.working, {
                "volumes": _with_intensities(sources, volumes), "split": prepared.record,
                "overrides": list(overrides), "settings": record["settings"],
            })
            tests = volumes_tested(volumes, names, prepared, spec)
            trained = fit(
                prepared.source, classes, network=network, data=data, trainer=trainer, seed=seed,
                folder=folder / FOLDER, started=started,
                reserve=partial(seconds_of_test, tests, classes),
            )
            if not trained.first:
                return None
            with queued_again(if_stopped=trained.n_new > 0):
                metrics = score_held_out(
                    trained.network, tests, classes=classes, tolerance_nm=trainer.tolerance_nm,
                    split=prepared.kind,
                )
            log_scores(metrics)
            spec = _describe(network, classes, prepared.working, {
                **spec.training, "n_steps": trained.n_steps, "precision": trained.precision,
            }, metrics)
            save_model_folder(folder, trained.network, spec, overwrite=True)
            return summarise(folder, spec, stores, resumed=False)
    return None


def _with_intensities(
    sources: Sequence[Mapping[str, Any]], volumes: Sequence[Volume]
) -> list[dict[str, Any]]:
    """Records of the volumes with their grey values, which an export puts into a file.

    They follow from the digest, and are not compared when a training goes on.
    """
    return [{**s, KEY: constants_of(v).record()} for s, v in zip(sources, volumes, strict=True)]


def _describe(
    network: NetworkSpec, classes: dict[str, int], working: Spacing,
    training: dict[str, Any], metrics: dict[str, Any] | None = None,
) -> ModelSpec:
    """The model's description."""
    return describe_model(
        network={**asdict(network), "features": list(network.features)}, classes=list(classes),
        normalisation=dict(RULE), context=network.context,
        receptive_field=receptive_margin(network), stride_multiple=stride_multiple(network),
        training=training, metrics=metrics or {}, spacing=working,
    )
