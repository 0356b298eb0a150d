"""The test at the end: the averaged network on whole held-out planes, as inference would."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.metrics import Scores, default_tolerance_nm, score_planes
from fibseg.types import Spacing

logger = logging.getLogger("fibseg.training")
INSIDE = 128
"""A probability of one half."""

SCORES = ("iou", "dice", "precision", "recall", "boundary_f1", "object_f1_50")


@dataclass(frozen=True)
class TestVolume:
    """The held-out planes of one store at level 0.

    Parameters
    ----------
    volume
        Name of the store.
    z
        Plane numbers.
    annotation
        Reads what is painted in a plane, shape (y, x), 0 where it is not held out.
    predict
        Gives probabilities of planes with a network, uint8 0 to 255, shape (n_classes, y, x).
    spacing
        Of level 0, nm.
    """

    __test__ = False  # no test case, whatever pytest thinks of the name

    volume: str
    z: tuple[int, ...]
    annotation: Callable[[int], NDArray[np.uint8]]
    predict: Callable[[Any, Sequence[int]], Iterable[NDArray[np.uint8]]]
    spacing: Spacing


def score_held_out(
    network: Any, volumes: Sequence[TestVolume], *, classes: dict[str, int],
    tolerance_nm: float | None = None, split: str,
) -> dict[str, Any]:
    """Return scores per class over all held-out planes, and per plane; plain data, None for NaN.

    Parameters
    ----------
    network
        Passed on to each `predict`.
    volumes
        What is tested; empty for ``split="none"``.
    classes
        Value of each class in the annotation.
    tolerance_nm
        Of the boundary score, 2 pixels if None.
    split
        ``"planes"``, ``"boxes"`` or ``"none"``: recorded, since it says what a score is worth.
    """
    total = {name: Scores() for name in classes}
    rows = []
    for volume in volumes:
        for z, probs in zip(volume.z, volume.predict(network, volume.z), strict=True):
            annotation = volume.annotation(z)
            row: dict[str, Any] = {"volume": volume.volume, "z": z, "classes": {}}
            for i, (name, value) in enumerate(classes.items()):
                scores = score_planes(
                    (probs[i] >= INSIDE)[None], annotation[None], value=value,
                    tolerance_nm=tolerance_nm, spacing=volume.spacing,
                )
                total[name] += scores
                row["classes"][name] = _plain(scores.compute())
            rows.append(row)
    result: dict[str, Any] = {"split": split, "threshold": 0.5}
    if not rows:
        return {**result, "note": "Nothing was held out, so nothing is known of the quality."}
    if split == "boxes":
        result["note"] = "Held-out regions lie in planes that were trained on: rather too good."
    tolerances = {tolerance_nm or default_tolerance_nm(v.spacing) for v in volumes}
    result |= {
        "tolerance_nm": max(tolerances),
        "classes": {name: _plain(scores.compute()) for name, scores in total.items()},
        "planes": rows,
    }
    return result


def log_scores(result: dict[str, Any]) -> None:
    """Log what `score_held_out` returned, a line per class."""
    for name, scores in result.get("classes", {}).items():
        logger.info("held-out %s: %s", name, ", ".join(
            f"{k} {v:.3f}" for k, v in scores.items() if k in SCORES and isinstance(v, float)
        ))


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    """Scores as JSON can hold them: None where undefined."""
    return {k: None if math.isnan(v) else v for k, v in scores.items()}
