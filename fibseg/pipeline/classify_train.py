"""The forests of a pixel classifier, trained on the painted voxels of one store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.blocks import Runner
from fibseg.data import RULE, Normalisation, Paint, painted_voxels
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export import (
    ForestSpec,
    forest_to_onnx,
    forest_versions,
    is_forest,
    load_forest_spec,
    save_forest_folder,
    stages_of,
)
from fibseg.inference import coarsest_within, features_at, plan_pixels
from fibseg.models.forest import fit_forest
from fibseg.pipeline.train_data import shared_classes
from fibseg.pipeline.train_folder import alone_in
from fibseg.volume import BACKGROUND, Volume
from fibseg.volume.record import PREFIX

log = logging.getLogger("fibseg.classify")

PRECISION_NM = 40.0
"""Precision of an outline where none is asked for: a few times the thickness of a membrane."""

SIGMAS = {"volume": (0.5, 1.0, 2.0, 4.0), "border": (0.25, 0.5, 1.0)}
"""Gaussians of the features, in voxels of the level where the whole volume is classified."""

MOST = 2000
"""Painted voxels of each value that are learned from at most: more teach little."""

LEAST = 10
"""Painted voxels of each value that are needed."""


@dataclass(frozen=True)
class Lesson:
    """What is learned from what: equal lessons give equal forests.

    Parameters
    ----------
    raw_digest, annotation_digest
        Of the image and of the painting.
    annotation
        Full name of the painting.
    classes
        Value of each class.
    precision_nm, n_trees, seed
        As in `fibseg.pipeline.classify.run`.
    """

    raw_digest: str
    annotation: str
    annotation_digest: str
    classes: Mapping[str, int]
    precision_nm: float
    n_trees: int
    seed: int

    @classmethod
    def of(
        cls, store: Volume, annotation: str, *, precision_nm: float, n_trees: int, seed: int
    ) -> Lesson:
        """Lesson from a painting of `store`.

        Raises
        ------
        DataError
            If there is no such painting, or its classes make no sense.
        UsageError
            If a setting cannot be meant.
        """
        if not 1 <= n_trees <= 1000 or not 0 <= seed < 2**32:
            raise UsageError(
                f"n_trees={n_trees} and seed={seed} cannot be meant. Use e.g. n_trees=32 seed=0."
            )
        coarsest_within(store, precision_nm)
        name = store.annotation_name(annotation)
        return cls(
            store.raw_digest, name, store.labels_info(name).digest, shared_classes([store], [name]),
            float(precision_nm), n_trees, seed,
        )

    @property
    def name(self) -> str:
        """The class, or the painting's name where there are several."""
        names = list(self.classes)
        return names[0] if len(names) == 1 else self.annotation.removeprefix(PREFIX)

    def record(self) -> dict[str, Any]:
        """All of it as plain data, for the description of the model."""
        return {**asdict(self), "classes": dict(self.classes)}


def trained(
    store: Volume, lesson: Lesson, folder: Path, *, blocks: Runner | None, overwrite: bool
) -> ForestSpec:
    """Description of the classifier in `folder`, which is trained if it does not stand there.

    Raises
    ------
    DataError
        If the painting has nothing to learn from.
    ExistsError
        If another model stands in the folder and `overwrite` is not set.
    BusyError
        If another run trains into the folder.
    """
    standing = _standing(folder, lesson)
    if standing is not None:
        return standing
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, volumes=[store.path]):
        if not overwrite and (folder / "model.json").exists():
            raise ExistsError(
                f"{folder} holds a model of another painting or other settings. Choose another "
                "model=, or set overwrite=true to replace it."
            )
        array = store.labels(lesson.annotation)
        paint = painted_voxels(array, most=MOST, runner=blocks)
        refuse_useless(paint, lesson, store)
        spec = _described(untrained(store, lesson), lesson, paint)
        save_forest_folder(
            folder, _forests(store, lesson, spec, paint), spec, overwrite=overwrite
        )
    log.info("classifier written to %s", folder)
    return spec


def _standing(folder: Path, lesson: Lesson) -> ForestSpec | None:
    """Description of the classifier in the folder, if it comes from this very lesson."""
    if not is_forest(folder) or not (folder / "model.json").is_file():
        return None
    spec = load_forest_spec(folder)
    return spec if spec.training.get("lesson") == lesson.record() else None


def refuse_useless(paint: Paint, lesson: Lesson, store: Volume) -> None:
    """Nothing, if something can be learned from the painting.

    Raises
    ------
    DataError
        If a value is no class, or too few voxels are painted of one.
    """
    names = {BACKGROUND: "background", **{v: k for k, v in lesson.classes.items()}}
    what = f"{lesson.annotation} of {store.name}"
    unknown = sorted(set(paint.counts) - set(names))
    if unknown:
        raise DataError(
            f"{what} has the values {unknown}, which are no class; known are 0 unlabelled, "
            f"{', '.join(f'{v} {name}' for v, name in names.items())}. Correct it, or import it "
            "with classes=."
        )
    if not paint.counts:
        raise DataError(
            f"{what} is unlabelled (0) everywhere. Paint some voxels of background (1) and of each "
            "class (2…), and import it again."
        )
    few = {name: paint.counts.get(v, 0) for v, name in names.items()}
    few = {name: n for name, n in few.items() if n < LEAST}
    if few:
        told = ", ".join(f"{n} voxels of {name}" for name, n in few.items())
        raise DataError(
            f"{what} has {told}; {LEAST} of each are needed, 100 are a good number. Paint more, "
            "some of them near the border, and import it again."
        )


def untrained(store: Volume, lesson: Lesson) -> ForestSpec:
    """What the model will be, before anything is read."""
    level = coarsest_within(store, lesson.precision_nm)
    voxel = float(np.median(store.level_spacing(level)))
    sigmas = {name: tuple(s * voxel for s in own) for name, own in SIGMAS.items()}
    if level == 0:
        sigmas["border"] = ()
    return ForestSpec(
        classes=tuple(lesson.classes), precision_nm=lesson.precision_nm, sigmas_nm=sigmas,
        normalisation=dict(RULE), versions=forest_versions(),
        training={"lesson": lesson.record(), "volume": store.name, "spacing": list(store.spacing)},
    )


def _described(spec: ForestSpec, lesson: Lesson, paint: Paint) -> ForestSpec:
    """The description with what was painted."""
    names = {"background": BACKGROUND, **lesson.classes}
    learned = {name: int((paint.values == v).sum()) for name, v in names.items()}
    painted = {name: paint.counts[v] for name, v in names.items()}
    return replace(
        spec, training={**spec.training, "painted": painted, "learned_from": learned}
    )


def _forests(
    store: Volume, lesson: Lesson, spec: ForestSpec, paint: Paint
) -> dict[str, bytes]:
    """ONNX file of each stage."""
    plan, normalisation = plan_pixels(spec, store), Normalisation.of(store)
    stages = {"volume": plan.volume, "border": plan.border}
    forests = {}
    for name in stages_of(spec):
        stage = stages[name]
        assert stage is not None
        features = features_at(store, stage, paint.voxels, normalisation=normalisation)
        forest = fit_forest(features, paint.values, n_trees=lesson.n_trees, seed=lesson.seed)
        forests[name] = forest_to_onnx(forest)
    return forests
