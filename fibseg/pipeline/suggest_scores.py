"""Planes one after the other: what a model predicts, how unsure it is, what regions look like."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.journal import Journal
from fibseg.data.normalise import Normalisation, normalise
from fibseg.data.planes import read_planes
from fibseg.errors import DataError
from fibseg.metrics import UNCERTAINTIES, Regions, region_edges, region_looks, region_means
from fibseg.metrics.regions import N_LOOKS, Edges, Rectangle, region_boxes
from fibseg.pipeline.suggest_plan import SuggestPlan
from fibseg.progress import track
from fibseg.volume import Volume, fingerprint

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
    stored
        Probabilities of the store that are read instead of asking the network, one for each class:
        digest by name, as of `stored_probabilities`. None at all: the network is asked.
    """

    def __init__(
        self, plan: SuggestPlan, *, backend: str = "auto", stored: Mapping[str, str] | None = None
    ) -> None:
        self.plan = plan
        self.stored = dict(stored or {})
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
        """Probabilities, shape (views, classes, y, x), of one plane (ascending) after the other."""
        plan = self.plan
        if self.stored:
            arrays = [read_planes(plan.store.probabilities(name), planes) for name in self.stored]
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

    def key(self) -> str:
        """Hash of all that the regions depend on: the plan, and where probabilities come from."""
        return fingerprint({"plan": self.plan.key(), "stored": self.stored})

    def regions(self, planes: Sequence[int], *, journal: Path) -> Regions:
        """All regions of the planes; those that the journal knows are not looked at again.

        Raises
        ------
        DataError
            If a plane has values that are not finite; the journal does not keep them.
        """
        with Journal(journal, self.key()) as done:
            todo = [z for z in planes if z not in done.done]
            known = len(planes) - len(todo)
            stream = zip(todo, self.views(todo), strict=True) if todo else iter(())
            for z, views in track(
                stream, total=len(planes), done=known, label="look at planes", unit="plane"
            ):
                unsure = region_means(self.uncertainty(views), self.ys, self.xs)
                looks = self.looks(z)
                self._refuse_not_finite(z, unsure=unsure, looks=looks)
                row = {"unsure": unsure.tolist(), "looks": looks.tolist()}
                done.mark(z, json.dumps(row, separators=(",", ":")))
            rows: list[dict[str, Any]] = [json.loads(done.notes[z]) for z in planes]
        return Regions(
            np.repeat(np.array(planes, np.int64), len(self.boxes)),
            np.concatenate([np.array(row["unsure"]) for row in rows]),
            np.concatenate([np.array(row["looks"]) for row in rows]),
        )

    def _refuse_not_finite(self, z: int, **values: NDArray[np.floating[Any]]) -> None:
        """Refuse what would be ranked as if it were a number, now and whenever it is read again."""
        for what, found in values.items():
            n_bad = int(np.count_nonzero(~np.isfinite(found)))
            if n_bad:
                raise DataError(
                    f"Plane {z} of {self.plan.store.path}: {n_bad} of {found.size} values "
                    f"({what}) of its regions are not finite. Try another backend=, e.g. torch; if "
                    "that is the same, the model is damaged: train it again."
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


def stored_probabilities(plan: SuggestPlan) -> dict[str, str]:
    """Probabilities in the store that this very model made of every voxel: digest by name.

    One for each class, in the order of the model; the latest that there are, or none. Those of
    several orientations, of tta or of int8 count: they are what the model says of each voxel, and
    what will be corrected. Those made ``within`` labels do not: 0 means there that nobody looked.
    Nor is one view enough where views are compared.
    """
    from fibseg.export import weights_digest

    if plan.wanted.uncertainty == "views":
        return {}
    wanted = {"model": weights_digest(plan.model), "raw": plan.store.raw_digest}
    for run in reversed(plan.store.runs(skip_damaged=True)):
        made = {
            name.removeprefix("probabilities/"): str(digest)
            for name, digest in run["products"].items() if name.startswith("probabilities/")
        }
        # Labels within which was looked are one more input; the command also says it by itself.
        if (
            run["verb"] == "infer" and len(made) == len(plan.spec.classes)
            and run["inputs"] == wanted and run["config"].get("within") is None
            and _stand(plan.store, made)
        ):
            log.info("probabilities/%s are of this model and are used", ", ".join(made))
            return made
    return {}


def still_stored(plan: SuggestPlan, chosen: Mapping[str, str]) -> dict[str, str]:
    """Probabilities that were chosen before, if they still stand as they did; else none."""
    if not _stand(plan.store, chosen):
        log.info("probabilities/%s are not what they were: the network is asked", ", ".join(chosen))
        return {}
    return dict(chosen)


def _stand(store: Volume, probabilities: Mapping[str, str]) -> bool:
    """Whether all these probabilities, digest by name, are in the store."""
    there = store.probability_names()
    return all(
        n in there and store.probabilities_info(n).digest == d for n, d in probabilities.items()
    )
