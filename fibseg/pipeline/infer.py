"""``fibseg infer``: a model over a whole volume, to probabilities, objects and their table."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner, Serial, map_blocks
from fibseg.export import ModelSpec, load_spec, weights_digest
from fibseg.inference import Backend, ModelBlocks, make_plan, model_normalisation
from fibseg.inference.orientations import orientations
from fibseg.pipeline import objects
from fibseg.volume import Product, Volume, fingerprint

log = logging.getLogger("fibseg.infer")


def run(
    *, model: str, volume: str, name: str | None = None, backend: str = "auto",
    precision: str = "auto", tta: str = "none", overlap: float = 0.0,
    postprocess: Mapping[str, Callable[..., Any]] | None = None, blocks: Runner | None = None,
    block_shape: Sequence[int] | None = None, overwrite: bool = False,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> dict[str, Any]:
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
    record = store.start_run(
        "infer", config=dict(config or {}), overrides=list(overrides),
        inputs={"model": task.digest, "raw": store.raw_digest},
    )
    with record:
        runner = blocks or Serial()
        found = write_probabilities(
            store, task, names, runner=runner, block_shape=block_shape, overwrite=overwrite
        )
        made = {f"probabilities/{n}": store.probabilities_info(n).digest for n in names}
        summary = {"probabilities": ", ".join(names), **found}
        if postprocess is not None:
            for product in names:
                one = objects.run(
                    volume=volume, name=product, postprocess=postprocess, blocks=runner,
                    overwrite=overwrite,
                )
                made[f"labels/{product}"] = store.labels_info(product).digest
                summary[f"labels/{product}"] = _line(one)
        record.finish(products=made, metrics=found)
    return summary


def product_names(spec: ModelSpec, name: str) -> list[str]:
    """Names of the products, one per class, in the order of the classes.

    >>> from types import SimpleNamespace
    >>> product_names(SimpleNamespace(classes=("mitochondria", "nucleus")), "cell")
    ['cell_mitochondria', 'cell_nucleus']
    """
    return [name] if len(spec.classes) == 1 else [f"{name}_{c}" for c in spec.classes]


def write_probabilities(
    store: Volume, task: ModelBlocks, names: Sequence[str], *, runner: Runner,
    block_shape: Sequence[int] | None = None, overwrite: bool = False,
) -> dict[str, Any]:
    """Write one probability map per class; returns the number of voxels, seconds and rate.

    A map that is finished already is left alone.
    """
    inputs = inputs_of(store, task)
    products = [
        store.create_probabilities(
            name, inputs=fingerprint({"run": inputs, "channel": channel}), overwrite=overwrite,
            attributes={"model": Path(task.folder).name, "model_digest": task.digest},
        )
        for channel, name in enumerate(names)
    ]
    if all(p.complete for p in products):
        log.info("probabilities/%s: nothing to do, made before", ", ".join(names))
        return {"seconds": 0.0}
    log.info(
        "%s %s, windows of %d x %d px with a margin of %d px", task.backend.name,
        task.backend.precision, task.plan.y.window, task.plan.x.window, task.plan.y.margin,
    )
    started = time.monotonic()
    # The journal lies beside the first product, so that one is finished last.
    map_blocks(
        task, [store.raw(task.plan.level)], [_target(p) for p in products],
        block_shape=block_shape or task.plan.block_shape(products[0].block_shape), runner=runner,
        journal=products[0].journal_path, fingerprint=inputs, label="infer",
    )
    seconds = time.monotonic() - started
    for product in reversed(products):
        product.finish()
    products[0].journal_path.unlink(missing_ok=True)
    return {"seconds": round(seconds, 2)}


def inputs_of(store: Volume, task: ModelBlocks) -> str:
    """Fingerprint of everything that the probabilities depend on; no path is part of it."""
    return fingerprint({
        "verb": "infer", "model": task.digest, "raw": store.raw_digest,
        "plan": asdict(task.plan), "normalisation": asdict(task.normalisation),
        "backend": asdict(task.backend), "tta": task.tta,
    })


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


def _line(result: Any) -> str:
    """The objects' summary on one line."""
    if isinstance(result, Mapping):
        return ", ".join(f"{key} {value}" for key, value in result.items())
    return str(result)
