"""Step ``objects`` of ``fibseg pores``: from the network's probabilities to numbered pores."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fibseg.blocks import Runner
from fibseg.data.dense import painting, painting_digest
from fibseg.errors import DataError
from fibseg.export import load_spec, weights_digest
from fibseg.geometry import Box
from fibseg.pipeline import objects
from fibseg.pipeline.chain import describe
from fibseg.pipeline.fused import Operator
from fibseg.pipeline.named import digests_of, names_in, open_arrays
from fibseg.pipeline.pore_level import RULES, THRESHOLD, chosen_level, with_level
from fibseg.pipeline.products import Products
from fibseg.types import Table
from fibseg.volume import Volume, fingerprint

_log = logging.getLogger("fibseg.pipeline")


def run(
    *, volume: str, name: str, postprocess: Mapping[str, Operator | None], model: str,
    places: str, annotation: str, levels: Sequence[float] | None = None,
    blocks: Runner | None = None, overwrite: bool = False,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> Products:
    """Write ``labels/NAME`` and its table, with the threshold that suits the validation best.

    Parameters
    ----------
    volume
        Path of the store.
    name
        Of the probabilities, the labels and the table.
    postprocess
        As of `fibseg.pipeline.objects.run`.
    model
        Folder of the network: it says which part of the volume is for validation.
    places
        Table of the pseudo-labels, which objects there are compared with.
    annotation
        What was trained on: objects on its unlabelled voxels do not count.
    levels
        Thresholds to try; None keeps that of `postprocess`.
    blocks, overwrite
        As of `fibseg.pipeline.objects.run`.

    Raises
    ------
    DataError
        If the model keeps no part of this volume for validation, or there are no probabilities.
    """
    store = Volume.open(volume)
    told = dict(config or {})
    if levels:
        chosen = on_validation(
            store, name, postprocess, model=model, places=places, annotation=annotation,
            levels=levels,
        )
        postprocess = with_level(postprocess, chosen["level"])
        told["chosen"] = chosen
        told["postprocess"] = _told(told.get("postprocess"), chosen["level"])
    return objects.run(
        volume=volume, name=name, postprocess=postprocess, blocks=blocks, overwrite=overwrite,
        config=told, overrides=overrides,
    )


def on_validation(
    store: Volume, name: str, postprocess: Mapping[str, Operator | None], *, model: str,
    places: str, annotation: str, levels: Sequence[float],
) -> dict[str, Any]:
    """The threshold that suits the part of the volume best which is for validation, as recorded.

    One that was chosen before from the very same is taken again: to try them all takes minutes.

    Raises
    ------
    DataError
        If there is no such part, or no probabilities.
    """
    if name not in store.probability_names():
        raise DataError(
            f"{store.path} has no probabilities {name!r} to make pores of. Do the step infer first."
        )
    _refuse_others(store, name, model, annotation)
    box, rows = validation_part(store, model), store.table(places)
    named = names_in(postprocess)
    inputs = fingerprint({
        "rules": RULES, "probabilities": store.probabilities_info(name).digest,
        "annotation": painting_digest(store, annotation), "places": _digest(rows),
        "part": [*box.start, *box.stop], "levels": list(map(float, levels)),
        "operators": describe(postprocess), "arrays": digests_of(store, named),
        "spacing": list(store.spacing),
    })
    chosen, again = _chosen_before(store, inputs), " as chosen before"
    if chosen is None:
        found = chosen_level(
            store.probabilities(name), painting(store, annotation), rows, postprocess,
            levels=levels, box=box, arrays=open_arrays(store, named), spacing=store.spacing,
        )
        chosen, again = {**found.record(), "inputs": inputs}, ""
    best = next(row for row in chosen["curve"] if row["level"] == chosen["level"])
    _log.info(
        "threshold %g%s: on the part for validation F1 %s, precision %s, recall %s of %d "
        "pseudo-labels", chosen["level"], again, best["f1"], best["precision"], best["recall"],
        chosen["n_true"],
    )
    return chosen


def _chosen_before(store: Volume, inputs: str) -> dict[str, Any] | None:
    """What a run has chosen from the same, as its record has it."""
    for run in reversed(store.runs(skip_damaged=True)):
        chosen = run["config"].get("chosen")
        if isinstance(chosen, dict) and chosen.get("inputs") == inputs:
            return chosen
    return None


def _digest(places: Table) -> str:
    """Of where pseudo-labels are: other columns of their table may change."""
    columns = (np.ascontiguousarray(places[f"{axis}_um"], float).tobytes() for axis in "zyx")
    return hashlib.sha256(b"".join(columns)).hexdigest()


def _refuse_others(store: Volume, name: str, model: str, annotation: str) -> None:
    """Nothing, if probabilities and pseudo-labels are those of the model as it is now.

    Raises
    ------
    DataError
        If not: what is for validation now may have been learned from then.
    """
    made_by = store.probabilities_info(name).attributes.get("model_digest")
    if made_by != weights_digest(model):
        raise DataError(
            f"probabilities/{name} were not made by the model {model} as it is now. Do the step "
            "infer again, with overwrite=true."
        )
    learned = {
        v["annotation_digest"] for v in load_spec(model).training.get("volumes", [])
        if v["raw_digest"] == store.raw_digest
    }
    if learned and painting_digest(store, annotation) not in learned:
        raise DataError(
            f"the model {model} has learned from another labels/{annotation} than there is now. "
            "Do the step train again, with overwrite=true."
        )


def validation_part(store: Volume, model: str) -> Box:
    """The part of a volume that a model was neither trained nor tested on.

    Raises
    ------
    DataError
        If the model has none.
    """
    training = load_spec(model).training
    name = next(
        (v["name"] for v in training.get("volumes", []) if v["raw_digest"] == store.raw_digest),
        None,
    )
    part = training.get("split", {}).get("parts", {}).get(name, {}).get("validation")
    if part is None:
        raise DataError(
            f"the model {model} keeps no part of {store.path} for validation, so no threshold can "
            f"be chosen there. Give one: objects.levels=null "
            f"objects.postprocess.{THRESHOLD}.level=0.3."
        )
    return Box(tuple(part[:3]), tuple(part[3:]))


def _told(plain: Any, level: float) -> Any:
    """Settings of the clean-up as plain data, with the level that was chosen."""
    if not isinstance(plain, Mapping):
        return plain
    return {**plain, THRESHOLD: {**plain.get(THRESHOLD, {}), "level": level}}
