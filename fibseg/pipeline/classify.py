"""``fibseg classify``: a few painted voxels to a forest, the forest over a whole volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.export import ForestSpec, forest_digest, load_forest_spec
from fibseg.inference import ForestBlocks, model_normalisation, plan_pixels
from fibseg.models.forest import N_TREES
from fibseg.pipeline.classify_train import PRECISION_NM, Lesson, trained
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.model_folders import model_folder
from fibseg.pipeline.probabilities import Order, carry_out, product_names, refuse_early
from fibseg.pipeline.products import Products
from fibseg.volume import Volume


def run(
    *, volume: str, annotation: str | None = None, name: str | None = None,
    model: str | None = None, precision_nm: float | None = None, n_trees: int = N_TREES,
    seed: int = 0, postprocess: Mapping[str, Operator | None] | None = None,
    blocks: Runner | None = None, block_shape: Sequence[int] | None = None,
    overwrite: bool = False, config: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> Products:
    """Write ``probabilities/NAME``, ``labels/NAME`` and ``tables/NAME``; returns what was made.

    Forests learn from the painted voxels, or stand in `model` already. The same command again
    does nothing, or continues where it was stopped. The result depends neither on `blocks` nor on
    `block_shape`.

    Parameters
    ----------
    volume
        Path of the store.
    annotation
        Painting to learn from; None to use the classifier that stands in `model`.
    name
        Name of the products; a painting with several classes appends ``_CLASS``. By default the
        class, or the model folder's name where there are several.
    model
        Folder of the classifier; by default ``STORE.models/NAME`` beside the store.
    precision_nm
        How precise the outline has to be: the coarsest pyramid level with voxels of at most that
        size is classified, and its borders again on the next finer one. By default 40, or that of
        the classifier in `model`.
    n_trees, seed
        As in `fibseg.models.forest.fit_forest`.
    postprocess
        Clean-up steps by name, in order; None stores probabilities only.
    blocks
        Where blocks are computed.
    block_shape
        Voxels per block, multiples of the shards; by default chosen for the volume.
    overwrite
        Replace products and a model that come from another painting or other settings.

    Raises
    ------
    DataError
        If there is nothing to learn from in the painting, or model and volume do not go together.
    ExistsError
        If a product, or the model, of this name comes from something else.
    BusyError
        If another run is writing the same products or model.
    UsageError
        If a setting cannot be meant.
    PartlyDoneError, InterruptedRunError
        If blocks failed, or a signal came; the same command continues.
    """
    store = Volume.open(volume)
    if annotation is None and model is None:
        raise UsageError(
            "There is nothing to classify with. Give annotation=… to learn from a painting, or "
            "model=… for a classifier that stands already."
        )
    inputs: dict[str, str] = {}
    limits: dict[str, Any] = {
        "postprocess": postprocess, "block_shape": block_shape, "overwrite": overwrite
    }
    if annotation is None:
        folder = Path(str(model))
        spec = _as_it_stands(folder, precision_nm)
        names = _names(spec.classes, name, folder)
    else:
        lesson = Lesson.of(
            store, annotation, precision_nm=PRECISION_NM if precision_nm is None else precision_nm,
            n_trees=n_trees, seed=seed,
        )
        folder = Path(model) if model else model_folder(store, name or lesson.name)
        names = _names(list(lesson.classes), name, folder)
        refuse_early("classify", store, names, **limits)
        spec = trained(store, lesson, folder, blocks=blocks, overwrite=overwrite)
        inputs[f"labels/{lesson.annotation}"] = lesson.annotation_digest
    task = ForestBlocks(
        folder=str(folder.resolve()), digest=forest_digest(folder),
        plan=plan_pixels(spec, store), normalisation=model_normalisation(spec, store),
    )
    return carry_out(
        Order("classify", store, task, names), blocks=blocks, config=config or {},
        overrides=overrides, inputs=inputs, ready=task.load, note=_note(spec), **limits,
    )


def _names(classes: Sequence[str], name: str | None, folder: Path) -> list[str]:
    """Names of the products."""
    own = classes[0] if len(classes) == 1 else folder.resolve().name
    return product_names(classes, name or own)


def _as_it_stands(folder: Path, precision_nm: float | None) -> ForestSpec:
    """Description of a classifier that was trained before."""
    spec = load_forest_spec(folder)
    if precision_nm not in (None, spec.precision_nm):
        raise UsageError(
            f"precision_nm={precision_nm:g}, but the classifier in {folder} was trained for "
            f"{spec.precision_nm:g} nm. Leave it out, or train another with annotation=…."
        )
    return spec


def _note(spec: ForestSpec) -> str:
    """What the forests have learned from, in words."""
    painted = spec.training.get("painted", {})
    counts = ", ".join(f"{n} of {name}" for name, n in painted.items())
    return f"forests trained on painted voxels: {counts}"
