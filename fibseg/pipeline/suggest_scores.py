"""Planes one after the other: what a model predicts, how unsure it is, what regions look like."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.journal import Journal
from fibseg.data.normalise import Normalisation, normalise
from fibseg.data.planes import read_planes
from fibseg.metrics import UNCERTAINTIES, Regions, region_edges, region_looks, region_means
from fibseg.metrics.regions import N_LOOKS, Edges, Rectangle, region_boxes
from fibseg.pipeline.suggest_plan import SuggestPlan
from fibseg.progress import track

log = logging.getLogger("fibseg.suggest")

PAINTED_SHARE = 0.05
"""A region of which so much is painted counts as painted."""
MOST_PAINTED = 60
"""So many painted planes, evenly spread, say what is known already."""


class Scorer:
    """Planes of a plan as a model sees them; planes are held one at a time.

    Parameters
    ----------
    plan
        The plan.
    backend
        Of inference.
    """

    def __init__(self, plan: SuggestPlan, *, backend: str = "auto") -> None:
        self.plan = plan
        self._backend = backend
        self._normal = Normalisation.of(plan.store)
        _, height, width = plan.store.shape
        _, y_nm, x_nm = plan.store.spacing
        self.ys: Edges = region_edges(height, plan.wanted.region_nm / y_nm)
        self.xs: Edges = region_edges(width, plan.wanted.region_nm / x_nm)

    @property
    def boxes(self) -> list[Rectangle]:
        """Of the regions of a plane."""
        return region_boxes(self.ys, self.xs)

    def views(self, planes: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        """Probabilities of planes (ascending), shape (views, classes, y, x), one after the other.

        Those that stand in the store, if they are of this model and one view will do.
        """
        plan = self.plan
        stored = stored_probabilities(plan) if plan.wanted.uncertainty != "views" else []
        if stored:
            arrays = [read_planes(plan.store.probabilities(name), planes) for name in stored]
            return (np.stack(found)[None] for found in zip(*arrays, strict=True))
        from fibseg.export import load_network  # these two bring torch along
        from fibseg.inference import predict_views

        network, spec = load_network(plan.model)
        tta = "flips" if plan.wanted.uncertainty == "views" else "none"
        return predict_views(
            network, spec, plan.store, planes, tta=tta, backend=self._backend
        )

    def uncertainty(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Of each pixel, shape (y, x), a row of regions after the other to save memory."""
        of = UNCERTAINTIES[self.plan.wanted.uncertainty]
        unsure = np.empty(views.shape[2:], np.float32)
        for start, stop in itertools.pairwise(self.ys):
            unsure[start:stop] = of(views[:, :, start:stop])
        return unsure

    def looks(self, z: int) -> NDArray[np.float64]:
        """What the regions of a plane look like."""
        raw = np.asarray(self.plan.store.raw()[z])
        return region_looks(normalise(raw, self._normal), self.ys, self.xs)

    def regions(self, planes: Sequence[int], *, journal: Path) -> Regions:
        """All regions of the planes; those that the journal knows are not looked at again."""
        with Journal(journal, self.plan.key()) as done:
            todo = [z for z in planes if z not in done.done]
            known = len(planes) - len(todo)
            stream = zip(todo, self.views(todo), strict=True) if todo else iter(())
            for z, views in track(
                stream, total=len(planes), done=known, label="look at planes", unit="plane"
            ):
                unsure = region_means(self.uncertainty(views), self.ys, self.xs)
                row = {"unsure": unsure.tolist(), "looks": self.looks(z).tolist()}
                done.mark(z, json.dumps(row, separators=(",", ":")))
            rows: list[dict[str, Any]] = [json.loads(done.notes[z]) for z in planes]
        return Regions(
            np.repeat(np.array(planes, np.int64), len(self.boxes)),
            np.concatenate([np.array(row["unsure"]) for row in rows]),
            np.concatenate([np.array(row["looks"]) for row in rows]),
        )

    def painted_looks(self, painted: Sequence[int]) -> NDArray[np.float64]:
        """Looks of regions that are painted in the store, shape (m, features)."""
        found = [np.empty((0, N_LOOKS))]
        standing = self.plan.folder.standing
        if standing is not None and painted:
            step = max(1.0, len(painted) / MOST_PAINTED)
            some = [painted[int(k * step)] for k in range(int(len(painted) / step))]
            planes = read_planes(self.plan.store.labels(standing), some)
            for z, plane in zip(some, planes, strict=True):
                share = region_means(plane > 0, self.ys, self.xs)
                found.append(self.looks(z)[share >= PAINTED_SHARE])
        return np.concatenate(found)


def stored_probabilities(plan: SuggestPlan) -> list[str]:
    """Names of the probabilities in the store that this very model made, one for each class.

    Whichever way it looked, the latest; none if there are not.
    """
    from fibseg.export import weights_digest

    wanted = {"model": weights_digest(plan.model), "raw": plan.store.raw_digest}
    there = plan.store.probability_names()
    for run in reversed(plan.store.runs(skip_damaged=True)):
        made = {
            name.removeprefix("probabilities/"): digest for name, digest in run["products"].items()
            if name.startswith("probabilities/")
        }
        if (
            run["verb"] == "infer" and len(made) == len(plan.spec.classes)
            and all(run["inputs"].get(k) == v for k, v in wanted.items())
            and all(
                n in there and plan.store.probabilities_info(n).digest == d
                for n, d in made.items()
            )
        ):
            log.info("probabilities/%s are of this model and are used", ", ".join(made))
            return list(made)
    return []
