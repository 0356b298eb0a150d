"""What ``fibseg infer`` runs on blocks: planes across z, or planes of several orientations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec, weights_digest
from fibseg.inference import (
    Backend,
    ModelBlocks,
    NetworkBlocks,
    ObliqueBlocks,
    make_oblique_plan,
    make_plan,
    model_normalisation,
    orientations_named,
    spacing_note,
)
from fibseg.inference.symmetries import symmetries
from fibseg.volume import Volume


@dataclass(frozen=True)
class Looking:
    """Along which planes a network sees a volume, and where; see `fibseg.pipeline.infer.run`."""

    orientations: str = "z"
    n_orientations: int = 12
    fusion: str = "mean"
    within: str | None = None
    within_nm: tuple[float, float] = (-200.0, 200.0)
    tta: str = "none"
    overlap: float = 0.0

    def __post_init__(self) -> None:
        symmetries(self.tta)
        orientations_named(self.orientations, self.n_orientations)
        if self.oblique and (self.tta != "none" or self.overlap):
            raise UsageError(
                f"tta={self.tta} and overlap={self.overlap:g} go with orientations=z and without "
                "within=. Leave them out: several orientations do more than tta."
            )

    @property
    def oblique(self) -> bool:
        """Whether more is asked for than whole planes across z."""
        return self.orientations != "z" or self.within is not None


@dataclass(frozen=True)
class Task:
    """A model on a volume.

    Attributes
    ----------
    blocks
        The block function.
    beside
        Arrays that it reads beside the raw.
    inputs
        Digests of these by product, for the record.
    note
        On spacings, for the log.
    """

    blocks: NetworkBlocks[Any]
    beside: Sequence[Any] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    note: str = ""


def task_of(
    store: Volume, spec: ModelSpec, model: str, looking: Looking, *, backend: Backend
) -> Task:
    """The task of a model folder on a store.

    Raises
    ------
    DataError
        If model and volume do not go together, or there are no labels `within` which to look.
    UsageError
        If a setting cannot be meant.
    """
    folder, digest = str(Path(model).resolve()), weights_digest(model)
    normalisation = model_normalisation(spec, store)
    if not looking.oblique:
        plan = make_plan(spec, store, overlap=looking.overlap, square=looking.tta == "d4")
        blocks = ModelBlocks(folder, digest, plan, normalisation, backend, looking.tta)
        return Task(blocks, note=spacing_note(spec, store, plan))
    oblique = make_oblique_plan(
        spec, store, orientations=orientations_named(looking.orientations, looking.n_orientations),
        fusion=looking.fusion, within_nm=None if looking.within is None else looking.within_nm,
    )
    if looking.within is None:
        return Task(ObliqueBlocks(folder, digest, oblique, normalisation, backend))
    there = store.label_names(kind="labels")
    if looking.within not in there:
        raise DataError(
            f"within={looking.within}: {store.path} has the labels {there or 'none'}. Make them "
            "first, or leave within= out."
        )
    near = store.labels_info(looking.within).digest
    return Task(
        ObliqueBlocks(folder, digest, oblique, normalisation, backend, near),
        beside=[store.labels(looking.within)], inputs={f"labels/{looking.within}": near},
    )
