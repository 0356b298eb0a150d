"""A model on painted planes that it was not trained on, of one store or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

from fibseg.blocks import Runner
from fibseg.data.dense import OBJECTS, as_annotation, is_objects, painting
from fibseg.data.planes import read_planes
from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec
from fibseg.metrics import (
    HALF,
    Evaluation,
    ProbabilityCounts,
    Scores,
    ThresholdScores,
    score_planes,
)
from fibseg.pipeline.comparable import chosen_planes
from fibseg.pipeline.held_out import HeldOutPlanes, held_out_planes
from fibseg.pipeline.scoring import TruthPlane, joined
from fibseg.progress import track
from fibseg.volume import Volume


@dataclass(frozen=True)
class Tested:
    """A store whose painted planes a model is scored on.

    Parameters
    ----------
    store
        The store.
    held
        What the model has not seen of it.
    z
        Planes to score.
    """

    store: Volume
    held: HeldOutPlanes
    z: list[int]

    @property
    def truth(self) -> str:
        """Path of the painting in the store."""
        return OBJECTS + self.held.annotation.removeprefix(OBJECTS)


@dataclass
class PlaneScores:
    """What is known of every plane of a store, by class."""

    tested: Tested
    scores: dict[str, dict[int, Scores]] = field(default_factory=dict)
    counts: dict[str, dict[int, ProbabilityCounts]] = field(default_factory=dict)


def planes_to_test(
    stores: Sequence[Volume], spec: ModelSpec, truth: str | None, planes: Sequence[int] | None,
    *, runner: Runner | None,
) -> list[Tested]:
    """Planes of each store to score a model on.

    Raises
    ------
    UsageError
        If planes are chosen of several stores, or a store is named twice.
    DataError
        If nothing of a store can be tested.
    """
    if planes is not None and len(stores) > 1:
        raise UsageError(
            f"planes={list(planes)} are those of one volume, but volume= names {len(stores)}. "
            "Evaluate one volume at a time, or leave planes= out."
        )
    digests = [store.raw_digest for store in stores]
    for store in stores:
        if digests.count(store.raw_digest) > 1:
            raise UsageError(
                f"{store.path} is the same image as another of volume=. Name each cell once: "
                "twice the same planes would make intervals too narrow."
            )
    found = []
    for store in stores:
        held = held_out_planes(store, spec, truth, runner=runner)
        z = chosen_planes(held.z, planes, store, held.annotation.removeprefix(OBJECTS))
        found.append(Tested(store, held, z))
    return found


def evaluate_model(
    tested: Sequence[Tested], model: str, *, tolerances_nm: Sequence[float], backend: str
) -> list[Evaluation]:
    """Scores on each store, then of all together if they are several.

    Predicted by the code that inference itself uses, each plane with its own scores; thresholds and
    intervals as `fibseg.metrics.ThresholdScores` has them.

    Raises
    ------
    DataError
        If nothing is painted on the planes.
    """
    found = [
        _score(one, model, tolerance_nm=tolerance, backend=backend)
        for one, tolerance in zip(tested, tolerances_nm, strict=True)
    ]
    single = [
        _evaluation([planes], model, tolerance)
        for planes, tolerance in zip(found, tolerances_nm, strict=True)
    ]
    if len(found) == 1:
        return single
    return [*single, _evaluation(found, model, max(tolerances_nm))]


def _score(one: Tested, model: str, *, tolerance_nm: float, backend: str) -> PlaneScores:
    """Every plane of a store."""
    from fibseg.export import load_network  # these two bring torch along
    from fibseg.inference import predict_planes

    network, spec = load_network(model)
    painted = read_planes(painting(one.store, one.held.annotation), one.z)
    probabilities = predict_planes(network, spec, one.store, one.z, backend=backend)
    classes = one.held.classes
    result = PlaneScores(one, {name: {} for name in classes}, {name: {} for name in classes})
    both = zip(one.z, painted, probabilities, strict=True)
    for z, plane, probs in track(both, total=len(one.z), label="evaluate", unit="plane"):
        values = as_annotation(plane, objects=is_objects(one.held.annotation))
        known = TruthPlane(z, values).within(one.held.boxes.get(z)).annotation
        for channel, (name, value) in zip(probs, classes.items(), strict=True):
            result.scores[name][z] = score_planes(
                (channel >= HALF)[None], known[None], value=value, tolerance_nm=tolerance_nm,
                spacing=one.store.spacing,
            )
            result.counts[name][z] = ProbabilityCounts.of(channel, known, value=value)
    if not any(c.n_scored for by_z in result.counts.values() for c in by_z.values()):
        raise DataError(f"Nothing is painted on the planes {one.z} of {one.truth}.")
    return result


def _evaluation(found: Sequence[PlaneScores], model: str, tolerance_nm: float) -> Evaluation:
    """Scores of these stores together."""
    classes = found[0].scores
    alone = len(found) == 1
    wheres = list(dict.fromkeys(f.tested.held.where for f in found))
    truths = list(dict.fromkeys(f.tested.truth for f in found))
    return Evaluation(
        volume=", ".join(f.tested.store.name for f in found),
        prediction=f"model {Path(model).name}", truth=", ".join(truths),
        where="; ".join(wheres), tolerance_nm=tolerance_nm,
        scores={
            name: reduce(add, (joined(f.scores[name].values()) for f in found)).compute()
            for name in classes
        },
        planes={
            n: {z: s.compute() for z, s in by.items()} for n, by in found[0].scores.items()
        } if alone else {},
        thresholds={
            name: ThresholdScores(
                tuple(c for f in found for _, c in sorted(f.counts[name].items())),
                tuple(i for i, f in enumerate(found) for _ in f.counts[name]),
            ) for name in classes
        },
    )
