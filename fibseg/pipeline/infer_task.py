"""What ``fibseg infer`` runs on blocks: planes across z, or planes of several orientations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.export import ModelSpec, weights_digest
from fibseg.inference import (
    Backend,
    InsideBlocks,
    ModelBlocks,
    NetworkBlocks,
    ObliqueBlocks,
    Present,
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
    within_nm: Sequence[float | None] = (-200.0, 200.0)
    tta: str = "none"
    overlap: float = 0.0

    def __post_init__(self) -> None:
        symmetries(self.tta)
        orientations_named(self.orientations, self.n_orientations)
        _ = self.range_nm
        if self.oblique and (self.tta != "none" or self.overlap):
            raise UsageError(
                f"tta={self.tta} and overlap={self.overlap:g} go with orientations=z, and with no "
                "border to be near to (within=). Leave them out: several orientations do more "
                "than tta."
            )
        if self.within is not None and self.overlap:
            raise UsageError(
                f"overlap={self.overlap:g} blends windows, some of which within={self.within} "
                "leaves out. Leave one of the two out; overlap=0 equals the whole plane."
            )

    @property
    def range_nm(self) -> tuple[float | None, float]:
        """Signed distances that are wanted; from None on: all that is inside.

        Raises
        ------
        UsageError
            If that is no range.
        """
        low, high = self.within_nm if len(self.within_nm) == 2 else (None, None)
        lowest = -math.inf if low is None else low
        if high is None or not lowest < high < math.inf or low == -math.inf:
            raise UsageError(
                f"within_nm={list(self.within_nm)} is no range. Use e.g. [-200,200] for what is "
                "near the border, or [null,0] for all that is inside."
            )
        return None if low is None else float(low), float(high)

    @property
    def inside(self) -> bool:
        """Whether all is wanted that is inside of objects, however far from their border."""
        return self.within is not None and self.range_nm[0] is None

    @property
    def oblique(self) -> bool:
        """Whether planes are sampled from voxels, in small windows, instead of read as they are."""
        return self.orientations != "z" or (self.within is not None and not self.inside)


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
        note = spacing_note(spec, store, plan)
        own = (folder, digest, plan, normalisation, backend, looking.tta)
        if looking.within is None:
            return Task(ModelBlocks(*own), note=note)
        near = _digest_of(store, looking.within)
        return Task(
            InsideBlocks(*own, looking.range_nm[1], store.level_spacing(plan.level), near),
            beside=[Present(store.labels(looking.within, plan.level))],
            inputs={f"labels/{looking.within}": near}, note=note,
        )
    oblique = make_oblique_plan(
        spec, store, orientations=orientations_named(looking.orientations, looking.n_orientations),
        fusion=looking.fusion, within_nm=None if looking.within is None else looking.range_nm,
    )
    if looking.within is None:
        return Task(ObliqueBlocks(folder, digest, oblique, normalisation, backend))
    near = _digest_of(store, looking.within)
    return Task(
        ObliqueBlocks(folder, digest, oblique, normalisation, backend, near),
        beside=[store.labels(looking.within)], inputs={f"labels/{looking.within}": near},
    )


def _digest_of(store: Volume, within: str) -> str:
    """Digest of the labels that tell where to look."""
    there = store.label_names(kind="labels")
    if within not in there:
        raise DataError(
            f"within={within}: {store.path} has the labels {there or 'none'}. Make them first, or "
            "leave within= out."
        )
    return store.labels_info(within).digest
