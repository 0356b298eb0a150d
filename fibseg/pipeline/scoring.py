"""Scores of arrays in a store: of the whole volume by blocks, or plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Runner, reduce_blocks
from fibseg.geometry import Box
from fibseg.metrics import (
    IGNORED,
    BoundaryScore,
    Contingency,
    Edits,
    Overlap,
    Scores,
    reach_of_boundary_score,
    score_planes,
)
from fibseg.progress import track
from fibseg.types import Spacing

Rectangle: TypeAlias = tuple[int, int, int, int]
"""Part of a plane (y start, x start, y stop, x stop), half-open, voxels of level 0."""


@dataclass(frozen=True)
class BlockScores:
    """What one block knows; ``+`` joins blocks of one volume."""

    overlap: Overlap = field(default_factory=Overlap)
    boundary: BoundaryScore = field(default_factory=BoundaryScore)
    table: Contingency = field(default_factory=Contingency)

    def __add__(self, other: BlockScores) -> BlockScores:
        return BlockScores(
            self.overlap + other.overlap, self.boundary + other.boundary, self.table + other.table
        )

    def finish(self) -> Scores:
        """Scores of the whole."""
        return Scores(self.overlap, self.boundary, self.table.score(), Edits.of(self.table))


@dataclass(frozen=True)
class ScoreBlock:
    """Block function: predicted labels, true labels and, if given, ground that does not count."""

    tolerance_nm: float
    spacing: Spacing

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """`write` and as far around it as boundaries are searched for."""
        return write.grow(
            reach_of_boundary_score(self.tolerance_nm, spacing=self.spacing)
        ).clip(shape)

    def __call__(self, *arrays: NDArray[Any], block: Block) -> BlockScores:
        """Counts of the write box."""
        prediction, truth, *left_out = arrays
        scored = np.asarray(left_out[0]) == 0 if left_out else None
        inner = block.write.relative_to(block.read)
        p, t = prediction[inner.slices], truth[inner.slices]
        known = None if scored is None else scored[inner.slices]
        numbered = t if known is None else np.where(known, t, IGNORED)
        return BlockScores(
            Overlap().update(p, t, scored=known),
            BoundaryScore().update(
                prediction > 0, truth > 0, tolerance_nm=self.tolerance_nm, scored=scored,
                inner=inner, spacing=self.spacing,
            ),
            Contingency().update(p, numbered),
        )


def _join(left: BlockScores, right: BlockScores) -> BlockScores:
    return left + right


def score_volume(
    prediction: Any, truth: Any, *, left_out: Any | None = None, tolerance_nm: float,
    block_shape: Sequence[int], runner: Runner | None = None, spacing: Spacing,
) -> Scores:
    """Scores of label images on one grid, never more than a few blocks of them in memory.

    Parameters
    ----------
    prediction, truth
        Arrays of labels (z, y, x), 0 = none.
    left_out
        Array that is not 0 where nothing is to be scored.
    tolerance_nm
        For boundaries.
    """
    sources = [prediction, truth] if left_out is None else [prediction, truth, left_out]
    total = reduce_blocks(
        ScoreBlock(tolerance_nm, spacing), sources, _join, block_shape=block_shape,
        runner=runner, label="evaluate",
    )
    return (total or BlockScores()).finish()


@dataclass(frozen=True)
class TruthPlane:
    """What is known of one plane: painting, and numbered objects where they are known."""

    z: int
    annotation: NDArray[Any]
    objects: NDArray[Any] | None = None

    def within(self, boxes: Sequence[Rectangle] | None) -> TruthPlane:
        """The same plane, unlabelled outside `boxes` (everywhere inside if None)."""
        if boxes is None:
            return self
        inside = np.zeros(self.annotation.shape, bool)
        for y0, x0, y1, x1 in boxes:
            inside[y0:y1, x0:x1] = True
        return TruthPlane(self.z, np.where(inside, self.annotation, 0), self.objects)


def score_each_plane(
    truth: Iterable[TruthPlane], predict: Callable[[int], NDArray[Any]], *, value: int,
    n_planes: int, tolerance_nm: float, spacing: Spacing,
) -> dict[int, Scores]:
    """Scores of every plane by its number.

    Parameters
    ----------
    truth
        Planes in any order.
    predict
        Plane number to mask or label image (y, x).
    value
        Of the class in the painting.
    """
    return {
        plane.z: score_planes(
            predict(plane.z)[None], plane.annotation[None], value=value, spacing=spacing,
            objects=None if plane.objects is None else plane.objects[None],
            tolerance_nm=tolerance_nm,
        )
        for plane in track(truth, total=n_planes, label="evaluate", unit="plane")
    }


def truth_planes(
    planes: Iterator[NDArray[Any]], z: Sequence[int], *, numbered: bool
) -> Iterator[TruthPlane]:
    """Yield the planes `z`; numbered objects become class 2 on background, known everywhere."""
    for number, plane in zip(z, planes, strict=True):
        if numbered:
            yield TruthPlane(number, np.where(plane > 0, 2, 1).astype(np.uint8), plane)
        else:
            yield TruthPlane(number, plane)


def joined(planes: Iterable[Scores]) -> Scores:
    """All planes together."""
    total = Scores()
    for scores in planes:
        total = total + scores
    return total
