"""``fibseg infer``: a model over a whole volume, to probabilities, objects and their table."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks import Grid, Runner, Serial, map_blocks
from fibseg.blocks.grid import check_shards
from fibseg.errors import ExistsError
from fibseg.export import ModelSpec, load_network, load_spec, weights_digest
from fibseg.inference import Backend, ModelBlocks, make_plan, model_normalisation, spacing_note
from fibseg.inference.orientations import orientations
from fibseg.pipeline import objects
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.products import Products
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Product, Volume, fingerprint
from fibseg.volume.lock import free
from fibseg.volume.record import label_name

log = logging.getLogger("fibseg.infer")


def run(
    *, model: str, volume: str, name: str | None = None, backend: str = "auto",
    precision: str = "auto", tta: str = "none", overlap: float = 0.0,
    postprocess: Mapping[str, Operator | None] | None = None, blocks: Runner | None = None,
    block_shape: Sequence[int] | None = None, overwrite: bool = False,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> Products:
    """Write ``probabilities/NAME``, ``labels/NAME`` and ``tables/NAME``; returns what was made.

    The same command again does nothing, or continues where it was stopped. The result depends
    neither on `blocks` nor on `block_shape`.

    Parameters
    ----------
    model
        Model folder.
    volume
        Path of the store.
    name
        Name of the products; a model with several classes appends ``_CLASS``. By default the
        class, or the model folder's name where there are several.
    backend
        ``"torch"``, ``"openvino"`` or ``"auto"`` (OpenVINO where installed, torch on a GPU).
    precision
        ``"float32"``, ``"bfloat16"`` or ``"auto"`` (bfloat16 where the hardware has it).
    tta
        Orientations that are averaged: ``"none"``, ``"flips"`` (4) or ``"d4"`` (8).
    overlap
        0: windows equal the whole plane. Above 0: windows overlap by that share and are blended.
    postprocess
        Clean-up steps by name, in order; None stores probabilities only.
    blocks
        Where blocks are computed.
    block_shape
        Voxels per block, multiples of the shards; by default chosen for the volume.
    overwrite
        Replace products that come from another model or other settings.

    Raises
    ------
    DataError
        If model and volume do not go together.
    ExistsError
        If a product of this name comes from another model or other settings.
    BusyError
        If another run is writing the same products.
    PartlyDoneError, InterruptedRunError
        If blocks failed, or a signal came; the same command continues.
    """
    store, spec = Volume.open(volume), load_spec(model)
    names = product_names(spec, name or (spec.classes[0] if len(spec.classes) == 1 else
                                         Path(model).resolve().name))
    orientations(tta)
    task = ModelBlocks(
        folder=str(Path(model).resolve()), digest=weights_digest(model),
        plan=make_plan(spec, store, overlap=overlap, square=tta == "d4"),
        normalisation=model_normalisation(spec, store),
        backend=Backend.choose(backend, precision), tta=tta,
    )
    if block_shape is not None:
        raw = store.raw()  # every product is cut up like it
        grid = Grid.over(store.shape, block_shape)
        check_shards(grid, raw.shards or raw.chunks, "the probabilities")
    written = [f"probabilities/{n}" for n in names]
    if postprocess is not None:
        _check_objects(store, names, postprocess, overwrite=overwrite)
        written += [f"labels/{n}" for n in names]
    if finished(store, task, names):
        for n in names:
            free(store.path / "probabilities" / n)
        written = []
    with store.locked(*written):
        summary: dict[str, Any] = {}
        if not finished(store, task, names):
            load_network(model)  # a damaged one is one error here, and not one per block
            record = store.start_run(
                "infer", config={**(config or {}), "model": task.folder}, overrides=list(overrides),
                inputs={"model": task.digest, "raw": store.raw_digest},
            )
            with record:
                if note := spacing_note(spec, store, task.plan):
                    log.info("%s", note)
                summary = write_probabilities(
                    store, task, names, runner=blocks or Serial(), block_shape=block_shape,
                    overwrite=overwrite,
                )
                record.finish(products=_digests(store, names), metrics=summary)
        result: dict[str, Any] = {f"probabilities/{n}": summary or "made before" for n in names}
        if postprocess is not None:
            for product in names:
                result |= objects.run(
                    volume=volume, name=product, postprocess=postprocess, blocks=blocks,
                    overwrite=overwrite, config=config, overrides=overrides,
                )
    return Products(str(volume), result)


def product_names(spec: ModelSpec, name: str) -> list[str]:
    """Names of the products, one per class, in the order of the classes.

    >>> from types import SimpleNamespace
    >>> product_names(SimpleNamespace(classes=("mitochondria", "nucleus")), "cell")
    ['cell_mitochondria', 'cell_nucleus']
    """
    return [name] if len(spec.classes) == 1 else [f"{name}_{c}" for c in spec.classes]


def finished(store: Volume, task: ModelBlocks, names: Sequence[str]) -> bool:
    """Whether all probabilities are there already, made of the same inputs."""
    there = store.probability_names()
    return all(
        n in there and store.probabilities_info(n).inputs == inputs_of(store, task, channel)
        and store.probabilities(n).shape == store.shape  # a damaged one is an error here
        for channel, n in enumerate(names)
    )


def write_probabilities(
    store: Volume, task: ModelBlocks, names: Sequence[str], *, runner: Runner,
    block_shape: Sequence[int] | None = None, overwrite: bool = False,
) -> dict[str, Any]:
    """Write one probability map per class; returns seconds and million voxels per second."""
    products = [
        store.create_probabilities(
            name, inputs=inputs_of(store, task, channel), overwrite=overwrite,
            attributes={"model": Path(task.folder).name, "model_digest": task.digest},
        )
        for channel, name in enumerate(names)
    ]
    y, x = task.plan.y, task.plan.x
    log.info(
        "%s in %s, windows of %d x %d px, margin %d px included", task.backend.name,
        task.backend.precision, y.window, x.window, y.margin,
    )
    started = time.monotonic()
    # The journal lies beside the first product, so that one is finished last.
    map_blocks(
        task, [store.raw(task.plan.level)], [_target(p) for p in products],
        block_shape=block_shape or task.plan.block_shape(products[0].block_shape), runner=runner,
        journal=products[0].journal_path, fingerprint=inputs_of(store, task), label="infer",
    )
    seconds = time.monotonic() - started
    for product in reversed(products):
        finish_product(product, runner=runner)
    products[0].journal_path.unlink(missing_ok=True)
    rate = math.prod(store.shape) / max(seconds, 1e-9) / 1e6
    return {"seconds": round(seconds, 2), "megavoxels_per_second": round(rate, 3)}


def inputs_of(store: Volume, task: ModelBlocks, channel: int | None = None) -> str:
    """Fingerprint of all that the probabilities of one class depend on; no path is part of it."""
    return fingerprint({
        "verb": "infer", "model": task.digest, "raw": store.raw_digest,
        "plan": asdict(task.plan), "normalisation": asdict(task.normalisation),
        "backend": asdict(task.backend), "tta": task.tta, "channel": channel,
    })


def _digests(store: Volume, names: Sequence[str]) -> dict[str, str]:
    """What was made, for the record of the run."""
    return {f"probabilities/{n}": store.probabilities_info(n).digest for n in names}


def _check_objects(
    store: Volume, names: Sequence[str], postprocess: Mapping[str, Operator | None], *,
    overwrite: bool,
) -> None:
    """Refuse before the long work what would be refused after it."""
    objects.check_chain(store, postprocess)
    for name in names:
        label_name(name, kind="labels", dtype=np.uint32)
    for name in set(names).intersection(store.label_names()):
        if store.labels_info(name).derived_from != f"probabilities/{name}" and not overwrite:
            raise ExistsError(
                f"labels/{name} of {store.path} stands already and was not made by fibseg infer. "
                "Choose another name=, or set overwrite=true to replace it."
            )


@dataclass(frozen=True)
class _Finished:
    """Stands for a map that is finished: what is computed again for its sisters goes nowhere."""

    shape: tuple[int, ...]
    dtype: Any

    def __setitem__(self, key: Any, value: Any) -> None:
        """Drop the voxels: the very same ones are stored already."""


def _target(product: Product) -> Any:
    """Array to write to."""
    array = product.array
    return _Finished(array.shape, array.dtype) if product.complete else array

