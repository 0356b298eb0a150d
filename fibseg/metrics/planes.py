"""All scores of a mask against painted planes: where painted, plane by plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import connected
from fibseg.metrics.boundary import BoundaryScore
from fibseg.metrics.edits import Edits
from fibseg.metrics.objects import IGNORED, Contingency, ObjectScore
from fibseg.metrics.overlap import Overlap, require_same_shape
from fibseg.types import Labels, Mask, Spacing


@dataclass(frozen=True)
class Scores:
    """Overlap, boundary and object scores of one class; ``+`` joins planes or volumes.

    `edits` are known where whole objects are compared, and not where planes are.
    """

    overlap: Overlap = field(default_factory=Overlap)
    boundary: BoundaryScore = field(default_factory=BoundaryScore)
    objects: ObjectScore = field(default_factory=ObjectScore)
    edits: Edits | None = None

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.overlap + other.overlap,
            self.boundary + other.boundary,
            self.objects + other.objects,
            None if self.edits is None or other.edits is None else self.edits + other.edits,
        )

    def compute(self) -> dict[str, float]:
        """All scores by name, then numbers of edits, voxels and objects; NaN where undefined."""
        return {
            **self.overlap.compute(),
            **self.boundary.compute(),
            **self.objects.compute(),
            **{f.name: getattr(self.edits, f.name, math.nan) for f in fields(Edits)},
            "n_scored": self.overlap.n_scored,
            "n_objects": self.objects.n_prediction,
            "n_true_objects": self.objects.n_truth,
        }


def score_planes(
    prediction: NDArray[Any],
    annotation: Labels,
    *,
    value: int,
    objects: Labels | None = None,
    tolerance_nm: float | None = None,
    spacing: Spacing,
) -> Scores:
    """Scores of a predicted mask (or label image) against painted planes, shape (z, y, x).

    Everything is taken plane by plane, since painted planes seldom touch: outlines in the
    plane, objects as components of the plane. The prediction counts only where the annotation is
    not 0 (unlabelled); painted objects that touch unlabelled voxels, and what is predicted
    there, are left out of the object scores.

    Parameters
    ----------
    prediction
        Mask of the class, or a label image of its objects (0 = none).
    annotation
        0 unlabelled, 1 background, 2… classes.
    value
        Value of the class in the annotation.
    objects
        Numbered objects of the class (0 = none), where they are known to the voxel although they
        touch; components of the painting otherwise.
    tolerance_nm
        For boundaries; two voxels in the plane if left out.

    Raises
    ------
    DataError
        If the shapes differ.

    >>> painted = np.array([[[1, 2, 2, 1]]])
    >>> score_planes(painted == 2, painted, value=2, spacing=(20, 5, 5)).compute()["dice"]
    1.0
    """
    require_same_shape(prediction, annotation, objects)
    scored = np.asarray(annotation) > 0
    truth = np.asarray(annotation) == value
    if tolerance_nm is None:
        tolerance_nm = default_tolerance_nm(spacing)
    score = ObjectScore()
    numbered = truth if objects is None else np.where(truth, objects, 0)
    for plane, painted, known in zip(np.asarray(prediction), numbered, scored, strict=True):
        if known.any():
            table = Contingency().update(
                plane_components(plane), painted_objects(painted, scored=known)
            )
            score = score + table.score()
    mask = np.asarray(prediction).astype(bool)
    return Scores(
        Overlap().update(mask, truth, scored=scored),
        BoundaryScore().update(
            mask, truth, tolerance_nm=tolerance_nm, scored=scored, in_plane=True, spacing=spacing
        ),
        score,
    )


def default_tolerance_nm(spacing: Spacing) -> float:
    """Two voxels within the plane, in nm.

    >>> default_tolerance_nm((50.0, 8.0, 10.0))
    20.0
    """
    return 2.0 * max(spacing[1], spacing[2])


def plane_components(plane: NDArray[Any]) -> NDArray[np.uint32]:
    """Components of a mask or label image of one plane (y, x), 8-connected, numbered from 1."""
    return connected(plane, connectivity=8)[0]


def painted_objects(painted: NDArray[Any], *, scored: Mask) -> NDArray[np.uint32]:
    """Components of a painted mask or label image of one plane (y, x); unknown is `IGNORED`.

    Components that touch (8-connected) a voxel that is not `scored` are unknown ground too: part
    of the object may not be painted.
    """
    components = plane_components(painted)
    unknown = np.pad(~scored, 1)
    h, w = components.shape
    beside = np.zeros((h, w), bool)
    for dy in range(3):
        for dx in range(3):
            beside |= unknown[dy : dy + h, dx : dx + w]
    cut = np.unique(components[beside])
    components[np.isin(components, cut[cut > 0]) | ~scored] = IGNORED
    return components
