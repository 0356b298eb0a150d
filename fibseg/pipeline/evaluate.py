"""``fibseg evaluate``: a model on its held-out planes, or labels against truth."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.export import weights_digest
from fibseg.metrics import (
    SECONDS_PER_EDIT,
    Comparison,
    Evaluation,
    LeaveOneOut,
    default_tolerance_nm,
)
from fibseg.pipeline.comparable import label_info, truth_info
from fibseg.pipeline.compare_models import compare_models, models_to_compare
from fibseg.pipeline.evaluate_labels import evaluate_labels
from fibseg.pipeline.evaluate_model import evaluate_model
from fibseg.pipeline.leave_one_out import (
    evaluate_left_out,
    folds_to_test,
    leave_other_cells_out,
)
from fibseg.pipeline.place_scores import refuse_places, with_places
from fibseg.volume import Run, Volume
from fibseg.volume.lock import READ_ONLY

log = logging.getLogger("fibseg.evaluate")
Result: TypeAlias = Evaluation | Comparison | LeaveOneOut


def run(
    *, volume: str | Sequence[str], model: str | Sequence[str] | None = None,
    labels: str | None = None, truth: str | None = None, class_name: str | None = None,
    without: str | None = None, planes: Sequence[int] | None = None,
    tolerance_nm: float | None = None, within_nm: float | None = None,
    seconds_per_edit: float = SECONDS_PER_EDIT, backend: str = "auto",
    blocks: Runner | None = None, out: str | None = None,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> Result:
    """Scores of a model on painted planes it was not trained on, or of labels against truth.

    Parameters
    ----------
    volume
        Path of the store; with `model` also several, scored one by one and together.
    model
        Model folder. Scored are the planes or boxes held out of its training on this volume,
        or all painted planes if it was not trained on it. Several are compared on the same planes;
        if each left out another volume of its training, each is scored on that one.
    labels, truth
        Names in ``labels/``. A truth of kind annotation is scored where painted, plane by plane.
        With `model`: `truth` is the annotation, by default the one it was trained on.
    class_name
        Class of a painted truth; where left out, the only one, or the one called like `labels`.
    without
        Annotation whose painted voxels are left out, such as what was trained on.
    planes
        Only these planes, each scored on its own.
    tolerance_nm
        Boundaries this near agree; two voxels in the plane if left out.
    within_nm
        Score the places of objects too: centres at most so far apart are the same object. For
        objects so small that outlines tell little, such as nuclear pores (60).
    seconds_per_edit
        What a merge, split, addition or deletion takes a person, where whole objects are compared.
    backend
        Of inference, with `model`: ``"auto"``, ``"torch"`` or ``"openvino"``.
    blocks
        Where blocks are computed.
    out
        JSON file to write the scores to as well; of a model, its figures go beside it.

    Raises
    ------
    UsageError
        If neither a model nor a pair of labels is given, or both, or models cannot be compared.
    DataError
        If names, shapes or truth do not allow a score.
    """
    stores, models = [Volume.open(v) for v in listed(volume)], listed(model)
    _door(stores, models, labels, truth, without, tolerance_nm, seconds_per_edit, out)
    tolerances = [
        default_tolerance_nm(s.spacing) if tolerance_nm is None else tolerance_nm for s in stores
    ]
    work: Callable[[], Sequence[Result]]
    if models:
        refuse_places(within_nm, without, planes, kind="model")
        how: dict[str, Any] = {"tolerances_nm": tolerances, "backend": backend}
        work = _of_models(stores, models, truth, planes, blocks, how)
    else:
        assert labels is not None
        assert truth is not None
        label_info(stores[0], labels, "labels")
        refuse_places(within_nm, without, planes, kind=truth_info(stores[0], truth).kind)
        work = partial(
            _labels, stores[0], within_nm, seconds_per_edit, blocks,
            labels=labels, truth=truth, class_name=class_name, without=without, planes=planes,
            tolerance=tolerances[0],
        )
    with ExitStack() as records:
        written = [
            records.enter_context(_recorded(
                store, config=dict(config or {}), overrides=list(overrides),
                inputs=_inputs(store, models, labels, truth),
            )) for store in stores
        ]
        results = work()
        for record, result in zip(written, results, strict=False):
            if record is not None:
                record.finish(products={}, metrics=result.as_dict())
    if out is not None:
        _write(results[-1], Path(out))
    return results[-1]


def _of_models(
    stores: Sequence[Volume], models: Sequence[str], truth: str | None,
    planes: Sequence[int] | None, blocks: Runner | None, how: Mapping[str, Any],
) -> Callable[[], Sequence[Result]]:
    """What there is to do with one model, several, or one for each cell that was left out."""
    if leave_other_cells_out(models):
        folds = folds_to_test(stores, models, truth, planes, runner=blocks)
        return partial(evaluate_left_out, folds, **how)
    tested = models_to_compare(stores, models, truth, planes, runner=blocks)
    if len(models) == 1:
        return partial(evaluate_model, tested, models[0], **how)
    return partial(compare_models, tested, models, **how)


def _labels(
    store: Volume, within_nm: float | None, seconds_per_edit: float, blocks: Runner | None,
    **what: Any,
) -> list[Evaluation]:
    """Labels against truth, their places and the work that is left."""
    found = evaluate_labels(store, **what, blocks=blocks)
    if within_nm is not None:
        found = with_places(found, store, within_nm=within_nm, runner=blocks)
    return [replace(found, seconds_per_edit=seconds_per_edit)]


def listed(value: str | Sequence[str] | None) -> list[str]:
    """One path, or several, as a list; none of None."""
    if value is None:
        return []
    return [str(value)] if isinstance(value, (str, Path)) else [str(v) for v in value]


def _door(
    stores: Sequence[Volume], models: Sequence[str], labels: str | None, truth: str | None,
    without: str | None, tolerance_nm: float | None, seconds_per_edit: float, out: str | None,
) -> None:
    """Refuse what cannot be meant, before any work."""
    if tolerance_nm is not None and not 0 <= tolerance_nm < math.inf:
        raise UsageError(f"tolerance_nm={tolerance_nm:g} is no distance. Use 0 or more nm.")
    if not 0 <= seconds_per_edit < math.inf:
        raise UsageError(f"seconds_per_edit={seconds_per_edit:g} is no time. Use 0 or more s.")
    if out is not None and Path(out).is_dir():
        raise UsageError(f"out={out} is a folder. Name a file in it: {Path(out) / 'scores.json'}.")
    if not stores:
        raise UsageError("volume=[] names no store. Give one, or several with model=….")
    if bool(models) == (labels is not None):
        raise UsageError(
            "Give either model=… (scored on held-out planes) or labels=… truth=… "
            f"(compared with each other); got model={', '.join(models) or None} labels={labels}."
        )
    if not models and truth is None:
        raise UsageError(
            f"labels={labels} needs truth=… to be compared with. {stores[0].path} has the labels "
            f"{stores[0].label_names() or 'none'}."
        )
    if not models and len(stores) > 1:
        raise UsageError(
            f"labels={labels} with {len(stores)} volumes: labels are compared one volume at a "
            "time. Several go with model=…."
        )
    if models and without is not None:
        raise UsageError("without=… goes with labels=… truth=…, not with model=….")


def _inputs(
    store: Volume, models: Sequence[str], labels: str | None, truth: str | None
) -> dict[str, str]:
    """Digests of what is compared."""
    found = {"raw": store.raw_digest}
    for model in models:
        found["model" if len(models) == 1 else f"model/{model}"] = weights_digest(model)
    for name in (labels, truth):
        if name in store.label_names():
            assert name is not None
            found[f"labels/{name}"] = store.labels_info(name).digest
    return found


def _recorded(store: Volume, **what: Any) -> AbstractContextManager[Run | None]:
    """The record of this run, or nothing where the store can only be read."""
    try:
        return store.start_run("evaluate", **what)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        log.warning("%s can only be read: this run is not recorded in it", store.path)
        return nullcontext()


def _write(result: Result, out: Path) -> None:
    """Scores as JSON, and figures of models beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    data = result.as_dict()
    out.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    from fibseg.report import comparison_figure, threshold_figure, write_figures

    if isinstance(result, LeaveOneOut):
        cells = {
            name: [row | {"model": row["cell"], "n_planes": None} for row in rows]
            for name, rows in data["cells"].items()
        }
        figures = {f"{out.stem}_iou": comparison_figure(cells)}
    elif isinstance(result, Comparison):
        figures = {f"{out.stem}_iou": comparison_figure(data["compared"])}
    else:
        figures = {
            f"{out.stem}_{name}": threshold_figure(name, scores)
            for name, scores in data["thresholds"].items()
        }
    write_figures(figures, out.parent)
