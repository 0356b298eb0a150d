"""Models that each left out one cell of training, every one scored on the cell that it left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.export import ModelSpec, load_spec
from fibseg.metrics import Evaluation, LeaveOneOut, LeftOutCell
from fibseg.pipeline.evaluate_model import Tested, evaluate_model, planes_to_test
from fibseg.pipeline.held_out import require_folder
from fibseg.volume import Volume


@dataclass(frozen=True)
class Fold:
    """A store and the model that was not trained on it."""

    tested: Tested
    model: str


def leave_other_cells_out(models: Sequence[str]) -> bool:
    """Whether there are several models, and each left out another cell of its training."""
    cells = [_left_out(load_spec(require_folder(model))) for model in models]
    return len(models) > 1 and None not in cells and len(set(cells)) == len(cells)


def folds_to_test(
    stores: Sequence[Volume], models: Sequence[str], truth: str | None,
    planes: Sequence[int] | None, *, runner: Runner | None,
) -> list[Fold]:
    """Each store with the model that left it out, in the order of the stores.

    Raises
    ------
    UsageError
        If the stores are not those that the models left out, or planes are chosen of them, or the
        models find different classes.
    DataError
        If nothing of a store can be tested.
    """
    if planes is not None:
        raise UsageError(
            f"planes={list(planes)} are those of one volume, but each model left out another. "
            "Evaluate one model at a time, or leave planes= out."
        )
    specs = {model: load_spec(require_folder(model)) for model in models}
    first = models[0]
    for model in models:
        if specs[model].classes != specs[first].classes:
            raise UsageError(
                f"{model} finds {', '.join(specs[model].classes)}, {first} "
                f"{', '.join(specs[first].classes)}: they are not trained for the same."
            )
    by_digest = {_digest_left_out(spec): model for model, spec in specs.items()}
    _refuse_others(stores, specs, by_digest)
    found = []
    for store in stores:
        model = by_digest[store.raw_digest]
        found += [
            Fold(one, model)
            for one in planes_to_test([store], specs[model], truth, None, runner=runner)
        ]
    return found


def evaluate_left_out(
    folds: Sequence[Fold], *, tolerances_nm: Sequence[float], backend: str
) -> list[Evaluation | LeaveOneOut]:
    """Scores of each store, then of all of them with the cell as the unit."""
    single: list[Evaluation | LeaveOneOut] = []
    cells = []
    for fold, tolerance in zip(folds, tolerances_nm, strict=True):
        (one,) = evaluate_model(
            [fold.tested], fold.model, tolerances_nm=[tolerance], backend=backend
        )
        single.append(one)
        cells.append(LeftOutCell(fold.tested.store.name, fold.model, one))
    return [*single, LeaveOneOut(tuple(cells))]


def _left_out(spec: ModelSpec) -> str | None:
    """Name of the cell that a model left out."""
    name: str | None = spec.training.get("split", {}).get("left_out")
    return name


def _digest_left_out(spec: ModelSpec) -> str:
    """Digest of the image that a model left out, by which its store is known."""
    digests = {s["name"]: str(s["raw_digest"]) for s in spec.training["volumes"]}
    return digests[_left_out(spec)]


def _refuse_others(
    stores: Sequence[Volume], specs: Mapping[str, ModelSpec], by_digest: Mapping[str, str]
) -> None:
    """Refuse stores that no model left out, and models whose cell is not there."""
    there = [store.raw_digest for store in stores]
    if len(set(there)) < len(there):
        raise UsageError("volume= names an image twice. Name each cell once.")
    for store in stores:
        if store.raw_digest not in by_digest:
            raise UsageError(
                f"{store.path} was left out by none of the models. Train one with data.leave_out="
                f"{store.name}, or leave that volume out of volume=."
            )
    missing = [model for digest, model in by_digest.items() if digest not in there]
    if missing:
        cells = ", ".join(f"{_left_out(specs[model])} by {Path(model)}" for model in missing)
        raise UsageError(f"volume= lacks cells that were left out: {cells}. Name them, too.")
