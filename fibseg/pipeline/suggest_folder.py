"""What `fibseg suggest` writes beside the planes to paint, in an order that a crash cannot harm.

::

    out/
      image/plane_0010.tif  NAME/plane_0010.tif  HOWTO.txt  paint.json     as of `fibseg paint`
      suggestions.csv       a line for each region: where, its score, why
      suggestions.png       planes with regions, and where the model is unsure
      suggestions.json      the decision, with a hash of all that it rests on
      started.json          what regions are filled in with, as digests

The decision comes first. Regions of masks are filled in with the prediction, but not before a run
of the store and a file of the folder have recorded what with: `fibseg import` refuses what nobody
changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.metrics.regions import Rectangle
from fibseg.pictures import gray
from fibseg.pipeline.started import STARTED, VERB, Started, note_regions, started_in
from fibseg.pipeline.suggest_plan import SuggestPlan, refuse_other
from fibseg.pipeline.suggest_scores import Scorer
from fibseg.pipeline.table_csv import csv_bytes
from fibseg.progress import track
from fibseg.volume.files import read_json, write_bytes, write_json

RECORD, TABLE = "suggestions.json", "suggestions.csv"
FIGURE, JOURNAL = "suggestions.png", "suggestions.journal"
COLUMNS = ("plane", "file", "region", "y0", "x0", "y1", "x1", "score", "uncertainty", "novelty",
           "why")
SMALL = 300
"""Pixels of a side of a plane that is small."""
NOTE = """
The regions to paint are listed in suggestions.csv and drawn in suggestions.png. There the masks
hold what model {model} predicts where it is sure (probability {sure:g} and more); where it is not,
they are 0. Correct them and paint what is missing; the rest of a plane need not be painted. A
region that was not changed at all is refused by the import: with unchanged=drop it stays
unlabelled, with unchanged=accept it counts as painted.
"""


@dataclass(frozen=True)
class Decision:
    """What is suggested.

    Parameters
    ----------
    key
        Hash of all that it rests on.
    rows
        Regions, plane by plane, the first to be painted first.
    kept
        Planes that are not suggested, by the reason, for people.
    held_out
        Planes on which the model is scored.
    looked_at
        Planes that were looked at.
    stored
        Probabilities of the store that it was made from, digest by name; none: the network's.
    """

    key: str
    rows: list[dict[str, Any]]
    kept: dict[str, str]
    held_out: list[int]
    looked_at: list[int]
    stored: dict[str, str]

    @property
    def boxes(self) -> dict[int, list[Rectangle]]:
        """Regions of each plane."""
        found: dict[int, list[Rectangle]] = {}
        for row in self.rows:
            box = (int(row["y0"]), int(row["x0"]), int(row["y1"]), int(row["x1"]))
            found.setdefault(int(row["plane"]), []).append(box)
        return found

    def write(self, folder: Path) -> None:
        """Put it into the folder."""
        write_json(folder / RECORD, {
            "key": self.key, "regions": self.rows, "not_suggested": self.kept,
            "held_out": self.held_out, "looked_at": self.looked_at, "probabilities": self.stored,
        })

    def table(self) -> bytes:
        """Contents of the table."""
        return csv_bytes({c: np.array([r[c] for r in self.rows], object) for c in COLUMNS})


def standing_decision(plan: SuggestPlan) -> Decision | None:
    """The decision that stands in the folder; None if there is none yet.

    Raises
    ------
    ExistsError
        If it rests on something else.
    """
    path = plan.folder.folder / RECORD
    if not path.exists():
        return None
    found = read_json(path)
    refuse_other(found, plan.key(), plan.folder.folder)
    return Decision(
        found["key"], found["regions"], found["not_suggested"], found["held_out"],
        found["looked_at"], found.get("probabilities", {}),
    )


def note_on_prediction(plan: SuggestPlan) -> str:
    """What the folder says of the masks."""
    return NOTE.format(model=Path(plan.model).name, sure=plan.wanted.sure)


def complete(
    plan: SuggestPlan, scorer: Scorer, decision: Decision, *, record: Mapping[str, Any],
    runner: Runner | None,
) -> int:
    """Write what is missing; returns how many masks of suggested planes stood already.

    Parameters
    ----------
    record
        Of the run, where something is filled in.
    runner
        Where planes that are painted already are looked for.
    """
    folder, boxes = plan.folder, decision.boxes
    planes = sorted(boxes)
    missing = [z for z in planes if not folder.path(folder.name, z).exists()]
    drawn = (folder.folder / FIGURE).exists()
    filled: dict[int, list[NDArray[np.uint8]]] = {}
    pictures = []
    wanted = missing if drawn else planes
    for z, views in _predicted(scorer, wanted):
        mask = prefilled(views, list(_values(plan)), sure=plan.wanted.sure)
        filled[z] = [mask[y0:y1, x0:x1].copy() for y0, x0, y1, x1 in boxes[z]]
        if not drawn:
            pictures.append(_picture(plan, scorer, z, views, boxes[z]))
    if missing:
        _record(plan, decision, {z: filled[z] for z in missing}, record)
    _write_planes(plan, {z: filled[z] for z in missing}, boxes, runner)
    write_bytes(folder.folder / TABLE, decision.table())
    if not drawn:
        write_bytes(folder.folder / FIGURE, _figure(pictures, plan.store.shape[1:]))
    (folder.folder / JOURNAL).unlink(missing_ok=True)
    return len(planes) - len(missing)


def prefilled(
    views: NDArray[np.uint8], values: Sequence[int], *, sure: float
) -> NDArray[np.uint8]:
    """Mask (y, x) that a painter begins with: 0 wherever neither class nor background is sure.

    Parameters
    ----------
    views
        Probabilities, 0 to 255, shape (views, classes, y, x).
    values
        Of the classes in the painting; background is 1.
    sure
        Probability from which a pixel is filled in.

    >>> prefilled(np.array([0, 128, 250], np.uint8).reshape(1, 1, 1, 3), [2], sure=0.8).tolist()
    [[1, 0, 2]]
    """
    level = sure * 255 * len(views)
    sums = views.sum(0, dtype=np.int32)
    mask: NDArray[np.uint8] = (255 * len(views) - sums.sum(0) >= level).astype(np.uint8)
    for value, of_class in zip(values, sums, strict=True):
        mask[of_class >= level] = value
    return mask


def _values(plan: SuggestPlan) -> Iterator[int]:
    """Values in the painting of the model's classes, in the order of the model."""
    return (plan.folder.classes[name] for name in plan.spec.classes)


def _predicted(
    scorer: Scorer, planes: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Planes with their probabilities."""
    if planes:
        pairs = zip(planes, scorer.views(planes), strict=True)
        yield from track(pairs, total=len(planes), label="fill in", unit="plane")


def _picture(
    plan: SuggestPlan, scorer: Scorer, z: int, views: NDArray[np.uint8],
    boxes: Sequence[Rectangle],
) -> Any:
    """The plane as it is drawn, small."""
    from fibseg.data.normalise import Normalisation
    from fibseg.report import SuggestedPlane

    normal = Normalisation.of(plan.store)
    raw = np.asarray(plan.store.raw()[z])
    image = gray(raw, low=normal.low, high=normal.high, invert=normal.invert)
    return SuggestedPlane(
        f"plane {z}", image, scorer.uncertainty(views), boxes, plan.store.shape[1:],
        plan.store.spacing,
    ).small


def _figure(pictures: Sequence[Any], shape: Sequence[int]) -> bytes:
    """PNG of the planes."""
    from fibseg.report import png_bytes, suggestions_figure

    # Small planes gain nothing from large pictures, which take seconds to draw.
    return png_bytes(suggestions_figure(pictures), dpi=120 if max(shape) > SMALL else 72)


def _record(
    plan: SuggestPlan, decision: Decision, filled: Mapping[int, list[NDArray[np.uint8]]],
    record: Mapping[str, Any],
) -> None:
    """A run in the store and a file in the folder that say what is about to be filled in."""
    started: list[Started] = []
    for z, parts in filled.items():
        for box, part in zip(decision.boxes[z], parts, strict=True):
            whole = (0, 0, *part.shape)
            started += [Started(z, box, s.digest) for s in started_in(part, z, [whole])]
    with plan.store.start_run(VERB, **record) as run:
        run.finish(products={}, metrics={
            "planes": sorted(decision.boxes), STARTED: [s.record() for s in started],
        })
    note_regions(plan.folder.folder, plan.store, started)


def _write_planes(
    plan: SuggestPlan, filled: Mapping[int, list[NDArray[np.uint8]]],
    boxes: Mapping[int, list[Rectangle]], runner: Runner | None,
) -> None:
    """Suggested planes with what is filled in, and those that are painted already."""
    folder = plan.folder
    wanted = sorted({*boxes, *folder.painted(runner=runner)})
    for z in track(wanted, total=len(wanted), label="write", unit="plane"):
        mask = None
        if z in filled:
            mask = np.zeros(plan.store.shape[1:], np.uint8)
            for (y0, x0, y1, x1), part in zip(boxes[z], filled[z], strict=True):
                mask[y0:y1, x0:x1] = part
        folder.write(z, mask)
