"""``fibseg infer``: a model over a whole volume, to probabilities, objects and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.export import ModelSpec, load_network, load_spec
from fibseg.export.foreign import is_model_file
from fibseg.inference import Int8, NetworkBlocks, Wish
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.infer_backend import settled
from fibseg.pipeline.infer_foreign import run_file
from fibseg.pipeline.infer_int8 import Trial, measured_int8, with_int8
from fibseg.pipeline.infer_task import Looking, task_of
from fibseg.pipeline.probabilities import Order, carry_out, product_names
from fibseg.pipeline.products import Products
from fibseg.volume import Volume


def run(
    *, model: str, volume: str, name: str | None = None, backend: str = "auto",
    precision: str = "auto", tta: str = "none", overlap: float = 0.0, orientations: str = "z",
    n_orientations: int = 12, fusion: str = "mean", within: str | None = None,
    within_nm: Sequence[float | None] = (-200.0, 200.0),
    postprocess: Mapping[str, Operator | None] | None = None, blocks: Runner | None = None,
    block_shape: Sequence[int] | None = None, overwrite: bool = False, int8: Int8 | None = None,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> Products:
    """Write ``probabilities/NAME``, ``labels/NAME`` and ``tables/NAME``; returns what was made.

    The same command again does nothing, or continues where it was stopped. The result depends
    neither on `blocks` nor on `block_shape`.

    Parameters
    ----------
    model
        Model folder, or a file made to travel: ONNX, CZANN, bioimage.io package.
    volume
        Path of the store.
    name
        Name of the products; a model with several classes appends ``_CLASS``. By default the
        class, or the name of the model folder or file where there are several.
    backend
        ``"torch"``, ``"compile"``, ``"onnxruntime"``, ``"openvino"`` or ``"auto"``: torch on a GPU,
        else the one that measures fastest on this machine, once for each architecture; for a
        volume of less than 2²⁶ voxels that was not measured, OpenVINO where it is installed.
        What stands already is not made again by another backend.
    precision
        ``"float32"``, ``"bfloat16"``, ``"auto"`` (bfloat16 where the hardware has it), or
        ``"int8"``: OpenVINO with 8-bit integers, whose loss is measured on the volume first.
    tta
        Ways to lay down a plane that are averaged: ``"none"``, ``"flips"`` (4) or ``"d4"`` (8).
    overlap
        0: windows equal the whole plane. Above 0: windows overlap by that share and are blended.
    orientations
        Planes that the network sees: ``"z"``, ``"y"`` or ``"x"``, all three (``"orthogonal"``) or
        `n_orientations` at even angles (``"oblique"``), fused on the voxels.
    fusion
        ``"mean"`` or ``"median"`` of the orientations.
    within, within_nm
        Label image, and range of the signed distance to its border (negative inside): only there
        voxels are computed, others get 0. A range from None on takes in all that is inside: with
        the label image of the cell, resin is left out.
    postprocess
        Clean-up steps by name, in order; None stores probabilities only.
    blocks
        Where blocks are computed.
    block_shape
        Voxels per block, multiples of the shards; by default chosen for the volume.
    overwrite
        Replace products that come from another model or other settings.
    int8
        How int8 rounds, where that was measured already, as for a rehearsal.

    Raises
    ------
    DataError
        If model and volume do not go together, or a file is no model that can be run.
    UsageError
        If a setting cannot be meant, or does not go with a model file, or int8 loses too much.
    ExistsError
        If a product of this name comes from another model or other settings.
    BusyError
        If another run is writing the same products.
    PartlyDoneError, InterruptedRunError
        If blocks failed, or a signal came; the same command continues.
    """
    looking = Looking(orientations, n_orientations, fusion, within, within_nm, tta, overlap)
    if is_model_file(model):
        return run_file(
            Volume.open(volume), model, looking, backend=backend, precision=precision, name=name,
            postprocess=postprocess, blocks=blocks, block_shape=block_shape, overwrite=overwrite,
            config=config or {}, overrides=overrides,
        )
    wish = Wish(backend, precision)
    store, spec = Volume.open(volume), load_spec(model)
    task = task_of(store, spec, model, looking, backend=wish.candidates()[0])
    names = names_of(spec, model, name)
    if looking.within in names and postprocess is not None:
        raise UsageError(
            f"within={looking.within} would be replaced by the objects that are found. Choose "
            "another name=."
        )
    task = settled(
        task, wish, store=store, names=names, spec=spec, load=lambda: load_network(model)[0],
        overwrite=overwrite,
    )
    return carry_out(
        Order("infer", store, task.blocks, names, task.beside), postprocess=postprocess,
        blocks=blocks, block_shape=block_shape, overwrite=overwrite, config=config or {},
        overrides=overrides, ready=partial(load_network, model), inputs=task.inputs,
        note=task.note, counted=partial(_ready, Trial(task.blocks, store, spec), model, int8),
    )


def _ready(trial: Trial, model: str, int8: Int8 | None, runner: Runner) -> NetworkBlocks[Any]:
    """The block function; where it rounds to int8, with its ranges."""
    backend = trial.blocks.backend
    if backend.precision != "int8" or backend.int8 is not None:
        return trial.blocks
    return with_int8(
        trial.blocks, int8 or measured_int8(trial, lambda: load_network(model)[0])
    )


def names_of(spec: ModelSpec, model: str, name: str | None) -> list[str]:
    """Names of the products, one per class."""
    own = spec.classes[0] if len(spec.classes) == 1 else Path(model).resolve().name
    return product_names(spec.classes, name or own)
