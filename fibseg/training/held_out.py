"""The test at the end: the averaged network on whole held-out planes, as inference would."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.data import HeldOut
from fibseg.metrics import Scores, default_tolerance_nm, score_planes
from fibseg.types import Spacing

logger = logging.getLogger("fibseg.training")
THRESHOLD = 0.5
SCORES = (
    "iou", "dice", "precision", "recall", "boundary_f1", "object_precision", "object_recall",
    "object_f1", "n_scored",
)


@dataclass(frozen=True)
class TestPlane:
    """One held-out plane at level 0.

    Parameters
    ----------
    held
        Which.
    volume
        Name of its store.
    annotation
        Reads what is painted there, shape (y, x), 0 where it is not held out.
    predict
        Gives probabilities of the classes, shape (n_classes, y, x), 0 to 1, for a network.
    spacing
        Of level 0, nm.
    """

    __test__ = False  # no test case, whatever pytest thinks of the name

    held: HeldOut
    volume: str
    annotation: Callable[[], NDArray[np.uint8]]
    predict: Callable[[Any], NDArray[Any]]
    spacing: Spacing


def score_held_out(
    network: Any, planes: Sequence[TestPlane], *, classes: dict[str, int],
    tolerance_nm: float | None = None, split: str,
) -> dict[str, Any]:
    """Return scores per class over all held-out planes, and per plane; plain data, None for NaN.

    Parameters
    ----------
    network
        Passed on to each plane's `predict`.
    planes
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
    for plane in planes:
        probs, annotation = plane.predict(network), plane.annotation()
        row: dict[str, Any] = {"volume": plane.volume, "z": plane.held.z, "classes": {}}
        for i, (name, value) in enumerate(classes.items()):
            scores = score_planes(
                (probs[i] > THRESHOLD)[None], annotation[None], value=value,
                tolerance_nm=tolerance_nm, spacing=plane.spacing,
            )
            total[name] += scores
            row["classes"][name] = _plain(scores.compute())
        rows.append(row)
    result: dict[str, Any] = {"split": split, "threshold": THRESHOLD}
    if not planes:
        return {**result, "note": "Nothing was held out, so nothing is known of the quality."}
    if split == "boxes":
        result["note"] = "Held-out regions lie in planes that were trained on: rather too good."
    tolerances = {tolerance_nm or default_tolerance_nm(p.spacing) for p in planes}
    result |= {
        "tolerance_nm": max(tolerances),
        "classes": {name: _plain(scores.compute()) for name, scores in total.items()},
        "planes": rows,
    }
    for name, scores in result["classes"].items():
        logger.info("held-out %s: %s", name, ", ".join(
            f"{k} {v:.3f}" for k, v in scores.items() if k in SCORES and isinstance(v, float)
        ))
    return result


def _plain(scores: dict[str, float]) -> dict[str, float | None]:
    """Scores as JSON can hold them: None where undefined."""
    return {k: None if math.isnan(v) else v for k, v in scores.items()}
