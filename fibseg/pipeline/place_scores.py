"""Small objects by their places: which lie where a true one does, whatever their outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Runner
from fibseg.errors import UsageError
from fibseg.metrics import Evaluation, PointScores, match_points
from fibseg.pipeline.region_sums import region_table
from fibseg.volume import Volume


def refuse_places(
    within_nm: float | None, without: str | None, planes: Sequence[int] | None, *, kind: str
) -> None:
    """Nothing, if places are not asked for, or can be scored.

    Parameters
    ----------
    kind
        Of the truth: ``"labels"``, or anything else.

    Raises
    ------
    UsageError
        If the distance cannot be meant, or it is not objects of a whole volume that are compared.
    """
    if within_nm is None:
        return
    if not 0 < within_nm < math.inf:
        raise UsageError(f"within_nm={within_nm:g} is no distance of places. Use e.g. 60 nm.")
    if kind != "labels" or without is not None or planes is not None:
        raise UsageError(
            "within_nm=… compares the places of labels=… with those of truth=…, both numbered "
            "objects, in the whole volume. Leave out model=, without= and planes=."
        )


def with_places(
    result: Evaluation, store: Volume, *, within_nm: float, runner: Runner | None = None
) -> Evaluation:
    """An evaluation of labels against labels, with the scores of places too."""
    ((name, scores),) = result.scores.items()
    places = place_scores(
        store, name, result.truth.removeprefix("labels/"), within_nm=within_nm, runner=runner
    )
    return replace(result, scores={name: {**scores, **places}})


def place_scores(
    store: Volume, labels: str, truth: str, *, within_nm: float, runner: Runner | None = None
) -> dict[str, float]:
    """Precision, recall and F1 of centres of geometry, matched one to one, and their distance.

    Parameters
    ----------
    labels, truth
        Label images of numbered objects.
    within_nm
        Largest distance of a pair.
    runner
        Where blocks are computed.
    """
    found, true = (_centres_nm(store, name, runner) for name in (labels, truth))
    pairs = match_points(found, true, within=within_nm)
    scores = PointScores(len(found), len(true), len(pairs))
    away = np.linalg.norm(found[pairs[:, 0]] - true[pairs[:, 1]], axis=1)
    return {
        "place_precision": scores.precision, "place_recall": scores.recall,
        "place_f1": scores.f1, "place_error_nm": float(np.median(away)) if len(away) else np.nan,
    }


def _centres_nm(store: Volume, name: str, runner: Runner | None) -> NDArray[np.float64]:
    """Centres of geometry of all objects, (n, 3)."""
    table = region_table(
        store.labels(name), block_shape=store.block_shape, runner=runner, spacing=store.spacing
    )
    return np.stack([table[f"centroid_{axis}_um"] for axis in "zyx"], axis=1) * 1000
