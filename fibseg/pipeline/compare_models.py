"""Several models on the same planes, none of which any of them was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.export import ModelSpec, load_spec
from fibseg.metrics import Compared, Comparison
from fibseg.pipeline.evaluate_model import Tested, evaluate_model, planes_to_test
from fibseg.pipeline.held_out import require_folder
from fibseg.volume import Volume


def models_to_compare(
    stores: Sequence[Volume], models: Sequence[str], truth: str | None,
    planes: Sequence[int] | None, *, runner: Runner | None,
) -> list[Tested]:
    """Planes that each of the models is scored on.

    Raises
    ------
    UsageError
        If a model is named twice, or they differ in their classes, or in what was held out.
    DataError
        If nothing of a store can be tested.
    """
    if len({Path(m).resolve() for m in models}) < len(models):
        raise UsageError(f"model={list(models)} names a model twice. Name each once.")
    specs = {model: load_spec(require_folder(model)) for model in models}
    tested = {
        model: planes_to_test(stores, spec, truth, planes, runner=runner)
        for model, spec in specs.items()
    }
    first, *others = models
    for model in others:
        if specs[model].classes != specs[first].classes:
            raise UsageError(
                f"{model} finds {', '.join(specs[model].classes)}, {first} "
                f"{', '.join(specs[first].classes)}: they cannot be compared."
            )
        for mine, theirs in zip(tested[first], tested[model], strict=True):
            if (mine.z, mine.held.boxes) != (theirs.z, theirs.held.boxes):
                raise UsageError(
                    f"Of {mine.store.name}, the planes {_few(mine.z)} were held out of {first}, "
                    f"{_few(theirs.z)} of {model}. Train both with the same data.split, data.folds "
                    "and data.fold, or evaluate them on a volume that neither was trained on."
                )
    return tested[first]


def compare_models(
    tested: Sequence[Tested], models: Sequence[str], *, tolerances_nm: Sequence[float],
    backend: str,
) -> list[Comparison]:
    """Scores of each model, all volumes together: the same for the record of each volume."""
    found = Comparison(tuple(
        Compared(
            _name(model, models), n_training_planes(load_spec(model)),
            evaluate_model(tested, model, tolerances_nm=tolerances_nm, backend=backend)[-1],
        ) for model in models
    ))
    return [found] * len(tested)


def n_training_planes(spec: ModelSpec) -> int | None:
    """Painted planes that a model was trained on; None where it was trained on others."""
    planes = spec.training.get("split", {}).get("train_planes")
    return None if planes is None else sum(len(z) for z in planes.values())


def _name(model: str, models: Sequence[str]) -> str:
    """Last part of the path, or the last two where others end alike."""
    path = Path(model).resolve()
    alone = [Path(m).resolve().name for m in models].count(path.name) == 1
    return path.name if alone else f"{path.parent.name}/{path.name}"


def _few(z: Sequence[int]) -> str:
    """Plane numbers, not too many of them."""
    return f"{list(z)}" if len(z) <= 8 else f"{list(z[:3])} … {list(z[-3:])} ({len(z)})"
