"""The threshold of pore objects, chosen on the part that is for validation, never on the test."""

from __future__ import annotations

import functools
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fibseg.blocks import Serial
from fibseg.blocks.room import free_memory
from fibseg.errors import DataError, RoomError, UsageError
from fibseg.geometry import Box, is_local
from fibseg.measure import regions
from fibseg.metrics import PointScores, match_points
from fibseg.pipeline.bench import Sheet, Work
from fibseg.pipeline.chain import OWN, arrays_of, without_arrays
from fibseg.pipeline.fused import Operator, in_sequence
from fibseg.pipeline.operators import find_objects
from fibseg.types import Spacing, Table

WITHIN_UM = 0.06
"""A pore is found if the centre of an object is not farther away: half of its width."""
MARGIN_NM = 300.0
"""So much around the part is looked at, so that no object is cut where it counts."""
LARGEST_VOXELS = 2**26
"""A larger part is cut to so many voxels around its middle: enough pores lie in them, and 5 GB."""
BYTES_PER_VOXEL = 80
"""Of memory for each voxel of the part and its margin, as measured with the usual steps."""
FEW = 10
"""Fewer pseudo-labels than this choose badly."""
THRESHOLD = "threshold"
RULES = 1
"""Goes up when the same settings come to choose another threshold."""

_log = logging.getLogger("fibseg.pipeline")


@dataclass(frozen=True)
class Chosen:
    """A level and what it was chosen from.

    Attributes
    ----------
    level
        The middle one of those that are best.
    scores
        Of every level that was tried.
    """

    level: float
    scores: dict[float, PointScores]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        curve = [
            {"level": level, "precision": _plain(s.precision), "recall": _plain(s.recall),
             "f1": _plain(s.f1)}
            for level, s in self.scores.items()
        ]
        return {"level": self.level, "n_true": self.scores[self.level].n_true, "curve": curve}


def chosen_level(
    probs: Any, annotation: Any, places: Table, operators: Mapping[str, Operator | None], *,
    levels: Sequence[float], box: Box, arrays: Mapping[str, Any] | None = None, spacing: Spacing,
) -> Chosen:
    """The threshold at which objects agree best with places of pores, by F1.

    Objects and places count if their centre lies in the box; what lies on unlabelled voxels
    (0 in the annotation) is neither right nor wrong.

    Parameters
    ----------
    probs, annotation
        Of the volume, (z, y, x).
    places
        With ``z_um …``.
    operators
        Steps from probabilities to objects; the level of ``threshold`` is the one that is chosen.
    levels
        To try.
    box
        The part for validation.
    arrays
        Others on the grid of the volume, by the names that operators call them.

    Raises
    ------
    RoomError
        If the memory of this machine does not hold the part.
    UsageError
        If there is no step ``threshold``, or no level to try.
    DataError
        If no place lies in the box.
    """
    if operators.get(THRESHOLD) is None or not levels:
        raise UsageError(
            "a level is chosen for the clean-up step 'threshold': keep that step, and give some "
            "levels; or give its level, with choose_level=false."
        )
    box = _central(box)
    halo = [round(MARGIN_NM / s) for s in spacing]
    crop = box.grow(halo).clip(probs.shape)
    _refuse_without_room(crop)
    seen = np.asarray(probs[crop.slices])
    others = {OWN: seen, **{name: _cut(array, crop) for name, array in (arrays or {}).items()}}
    even, rest = _made_even(seen, operators, spacing)
    unknown = np.asarray(annotation[crop.slices]) == 0
    true = np.stack([places[f"{axis}_um"] for axis in "zyx"], axis=1)
    scores = {}
    for level in levels:
        found = _centres(even, with_level(rest, level), others, crop, spacing)
        scores[float(level)] = _scores(found, true, box, unknown, crop, spacing)
    _require_enough(next(iter(scores.values())).n_true)
    best = max((s.f1 for s in scores.values() if s.f1 == s.f1), default=float("nan"))
    ties = [level for level, s in scores.items() if s.f1 == best] or list(scores)
    return Chosen(ties[len(ties) // 2], scores)


def _require_enough(n: int) -> None:
    """Nothing, if there are places to choose by; a word if there are few."""
    if not n:
        raise DataError(
            "no pseudo-label lies in the part for validation, so no threshold can be chosen. Train "
            "with another part (data.region=…, data.folds=3), or give the threshold: "
            "objects.levels=null objects.postprocess.threshold.level=0.3."
        )
    if n < FEW:
        _log.warning(
            "only %d pseudo-labels lie in the part for validation: the threshold is chosen by few",
            n,
        )


def with_level(
    operators: Mapping[str, Operator | None], level: float
) -> dict[str, Operator | None]:
    """The same steps with another threshold."""
    step: Any = operators[THRESHOLD]
    fn, given = (step.func, dict(step.keywords)) if hasattr(step, "func") else (step, {})
    return {**operators, THRESHOLD: functools.partial(fn, **{**given, "level": level})}


def _made_even(
    probs: NDArray[Any], operators: Mapping[str, Operator | None], spacing: Spacing
) -> tuple[NDArray[Any], Mapping[str, Operator | None]]:
    """What the steps before the threshold make of probabilities, and the steps that are left.

    They are the same for every level. None is done if one of them is not local, or takes other
    arrays: the steps that are left are all of them then.
    """
    names = list(operators)
    first = names[: names.index(THRESHOLD)]
    before = {name: fn for name in first if (fn := operators[name]) is not None}
    if any(not is_local(fn) or arrays_of(name, fn) for name, fn in before.items()):
        return probs, operators
    steps = [(without_arrays(fn, spacing=spacing), ()) for fn in before.values()]
    rest = {name: fn for name, fn in operators.items() if name not in first}
    return in_sequence(probs, steps=steps, spacing=spacing), rest


def _cut(array: Any, crop: Box) -> Any:
    """Part of an array; a table is what it is."""
    return np.asarray(array[crop.slices]) if hasattr(array, "shape") else array


def _refuse_without_room(crop: Box) -> None:
    """Nothing, if the memory of this machine holds the part and what is made of it."""
    needed, free = BYTES_PER_VOXEL * float(crop.size), free_memory()
    if needed > free:
        raise RoomError(
            f"to choose a threshold, {crop.size / 1e6:.3g} million voxels of the part for "
            f"validation are looked at, which takes {needed / 1e9:.3g} GB of memory; "
            f"{free / 1e9:.3g} GB are free. Free some, or give the threshold: "
            "objects.levels=null objects.postprocess.threshold.level=0.3."
        )


def _scores(
    found: NDArray[np.float64], true: NDArray[np.float64], box: Box, unknown: NDArray[np.bool_],
    crop: Box, spacing: Spacing,
) -> PointScores:
    """Agreement of what lies in the box."""
    size = np.array(spacing) / 1000
    pairs = match_points(found, true, within=WITHIN_UM)
    partner = dict(pairs.tolist())
    true_in, found_in = (_inside(points / size, box) for points in (true, found))
    voxel = np.clip(np.round(found / size).astype(int) - crop.start, 0, np.array(crop.shape) - 1)
    doubtful = unknown[tuple(voxel.T)] if len(found) else np.zeros(0, bool)
    n_matched = sum(1 for j in partner.values() if true_in[j])
    n_wrong = sum(
        1 for i in np.flatnonzero(found_in & ~doubtful).tolist() if i not in partner
    )
    return PointScores(n_matched + n_wrong, int(true_in.sum()), n_matched)


def _inside(places: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    """Which places, in voxels, lie in a box; (n,)."""
    return np.asarray(np.all((places >= box.start) & (places < box.stop), axis=1))


def _centres(
    even: NDArray[Any], operators: Mapping[str, Operator | None], arrays: Mapping[str, Any],
    crop: Box, spacing: Spacing,
) -> NDArray[np.float64]:
    """Centres (n, 3) of the objects of a part, µm in the volume."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        bench = _Memory(even.shape, Path(folder))
        target = bench.sheet("labels", dtype=np.uint32, inputs="")
        find_objects(
            even, target, operators, inputs="validation",
            work=Work(bench, even.shape, Serial(), spacing, arrays),
        )
    table = regions.measure(target.array, spacing=spacing)
    inside = np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1)
    corner: NDArray[np.float64] = inside + np.array(crop.start) * np.array(spacing) / 1000
    return corner


def _central(box: Box) -> Box:
    """The box, or the part around its middle that is small enough."""
    share = (LARGEST_VOXELS / max(1, box.size)) ** (1 / 3)
    if share >= 1:
        return box
    cut = [int(n * (1 - share) / 2) for n in box.shape]
    return box.grow([-c for c in cut])


@dataclass(frozen=True)
class _Memory:
    """Intermediate arrays in memory."""

    shape: tuple[int, ...]
    folder: Path

    def sheet(self, name: str, *, dtype: DTypeLike, inputs: str) -> Sheet:
        """An array full of 0."""
        return Sheet(np.zeros(self.shape, dtype), None, self.folder / name)


@contextmanager
def _quiet() -> Iterator[None]:
    """No line of progress: these are moments, many times."""
    progress = logging.getLogger("fibseg.progress")
    before = progress.level
    progress.setLevel(logging.WARNING)
    try:
        yield
    finally:
        progress.setLevel(before)


def _plain(value: float) -> float | None:
    return None if value != value else round(value, 4)
