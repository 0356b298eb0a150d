"""``fibseg suggest``: planes and regions to paint next, where a model is unsure of what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks import Runner
from fibseg.export import ModelSpec, load_spec, weights_digest
from fibseg.metrics import Regions, Suggested, suggest
from fibseg.pipeline.held_out import source_of, words_to_hold_out
from fibseg.pipeline.suggest_folder import (
    JOURNAL,
    Decision,
    complete,
    note_on_prediction,
    standing_decision,
)
from fibseg.pipeline.suggest_plan import SuggestPlan, Wanted, make_suggest_plan
from fibseg.pipeline.suggest_scores import Scorer, still_stored, stored_probabilities
from fibseg.volume import Volume, locked


def run(
    *, model: str, volume: str, out: str, n: int = 5, n_regions: int = 4,
    region_nm: float = 1500.0, name: str | None = None, gap_nm: float | None = None,
    look_at: int = 40, uncertainty: str = "margin", diversity: float = 0.5, sure: float = 0.8,
    backend: str = "auto", blocks: Runner | None = None,
    config: Mapping[str, Any] | None = None, overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Planes and regions to paint next, as a folder of ``fibseg paint``; what to type then.

    Planes are looked at one by one. The same command again goes on where it was stopped, writes
    nothing twice and never over a mask that stands. Nothing in it is drawn at random.

    Parameters
    ----------
    model
        Model folder.
    volume
        Path of the store.
    out
        Folder that is made, or one of ``fibseg paint`` that is added to.
    n, n_regions, region_nm
        How many planes, how many regions of each, and the side of a region, about.
    name
        Of the painting; by default the one that the model learned from.
    gap_nm
        Planes nearer than this to painted, held-out or other suggested ones are not suggested; by
        default the gap of the training.
    look_at
        Planes that are looked at, evenly spread over those that may be suggested.
    uncertainty
        ``"margin"``, ``"entropy"`` or ``"views"`` (of four mirror images). Regions with a small
        margin are wrong most often (benchmarks/RESULTS.md).
    diversity
        From 0 (uncertainty alone) to 1 (only what looks unlike the painted).
    sure
        Probability from which a pixel of a suggested region is filled in.
    backend
        Of inference, as of ``fibseg infer``.
    blocks
        Where planes that are painted already are looked for.

    Raises
    ------
    UsageError
        If a setting cannot be meant, or the painting is not clear.
    DataError
        If model, painting and volume do not go together, or too few planes are left.
    ExistsError
        If the folder holds something else, or other suggestions.
    BusyError
        If another run writes to the folder.
    """
    wanted = Wanted(n, n_regions, region_nm, gap_nm, look_at, uncertainty, diversity, sure)
    store, spec = Volume.open(volume), load_spec(model)
    refuse_unfit(spec, store)
    plan = make_suggest_plan(store, model, spec, Path(out), name, wanted)
    plan.folder.folder.absolute().parent.mkdir(parents=True, exist_ok=True)
    with locked(plan.folder.folder):
        decision = standing_decision(plan)
        # Another map may stand by now: what was begun with one is not ended with another.
        stored = (
            stored_probabilities(plan) if decision is None else still_stored(plan, decision.stored)
        )
        scorer = Scorer(plan, backend=backend, stored=stored)
        if decision is None:
            decision = decide(plan, scorer, runner=blocks)
        record = {
            "config": dict(config or {}), "overrides": list(overrides),
            "inputs": {"model": weights_digest(model), "raw": store.raw_digest},
        }
        kept = complete(plan, scorer, decision, record=record, runner=blocks)
    return summary(plan, decision, n_kept=kept)


def refuse_unfit(spec: ModelSpec, store: Volume) -> None:
    """Nothing, if the model can work on the volume.

    Raises
    ------
    DataError
        If it cannot: the volume is far too coarse, or smaller than a window.
    """
    from fibseg.inference import make_plan  # brings torch along

    make_plan(spec, store)


def decide(plan: SuggestPlan, scorer: Scorer, *, runner: Runner | None) -> Decision:
    """Look at planes and choose; the folder is begun.

    Raises
    ------
    DataError
        If too few planes are left.
    """
    kept = plan.kept(runner=runner)
    planes = plan.candidates(kept)
    plan.folder.begin(note=note_on_prediction(plan))
    regions = scorer.regions(planes, journal=plan.folder.folder / JOURNAL)
    wanted = plan.wanted
    found = suggest(
        regions, painted=scorer.painted_looks(kept.painted), n_planes=wanted.n,
        n_regions=wanted.n_regions, apart=plan.apart, diversity=wanted.diversity,
    )
    rows = _rows(plan, scorer, regions, found)
    decision = Decision(plan.key(), rows, kept.words(), kept.held_out, planes, scorer.stored)
    decision.write(plan.folder.folder)
    return decision


def _rows(
    plan: SuggestPlan, scorer: Scorer, regions: Regions, found: Sequence[Suggested]
) -> list[dict[str, Any]]:
    """Suggested regions as they are recorded and listed."""
    boxes, rows = scorer.boxes, []
    order = np.argsort(-regions.uncertainty, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(1, len(order) + 1)
    numbers: dict[int, int] = {}
    for one in found:
        numbers[one.plane] = numbers.get(one.plane, 0) + 1
        y0, x0, y1, x1 = boxes[one.region % len(boxes)]
        rows.append({
            "plane": one.plane, "file": plan.folder.path(plan.folder.name, one.plane).name,
            "region": numbers[one.plane], "y0": y0, "x0": x0, "y1": y1, "x1": x1,
            "score": one.score, "uncertainty": one.uncertainty, "novelty": one.novelty,
            "why": f"{plan.wanted.uncertainty} {one.uncertainty:.3f}, rank {rank[one.region]} of "
                   f"{len(order)} regions; novelty {one.novelty:.2f}",
        })
    return rows


def summary(plan: SuggestPlan, decision: Decision, *, n_kept: int) -> dict[str, Any]:
    """What the command prints."""
    folder = plan.folder
    lines = []
    for z, boxes in decision.boxes.items():
        places = "; ".join(f"y {y0}-{y1} x {x0}-{x1}" for y0, x0, y1, x1 in boxes)
        lines.append(f"plane {z} ({folder.path(folder.name, z).name}): {places}")
    found: dict[str, Any] = {
        "paint next": lines,
        "not suggested": [f"{why}: {z}" for why, z in decision.kept.items()] or "none",
        "image": str(folder.folder / "image"),
        "masks": str(folder.folder / folder.name),
        "table and picture": f"{folder.folder / 'suggestions'}.csv, .png",
    }
    if n_kept:
        found["masks left as they were"] = n_kept
    found["when painted"] = folder.import_command
    words = words_to_hold_out(plan.spec)
    if words and source_of(plan.store, plan.spec) is not None:
        names = [str(source["name"]) for source in plan.spec.training["volumes"]]
        what = "volume" if "leave_out" in words else "planes"
        order = f" (volumes in this order: {', '.join(names)})" if len(names) > 1 else ""
        found[f"to score the next model on the same {what}{order}"] = words
    return found
