"""How well outlines agree, within a tolerance in nm: boundary precision, recall and F1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box, halo_voxels
from fibseg.metrics.overlap import ratio, require_same_shape
from fibseg.types import Mask, Spacing

MOST_LINES = 150
"""Balls of more lines (a radius of about 7 voxels) go through a distance transform."""


def boundary_voxels(mask: Mask, *, scored: Mask | None = None, in_plane: bool = False) -> Mask:
    """Voxels of `mask` that share a face with a voxel outside of it; shape (z, y, x).

    The faces of the array are no boundary: what lies beyond is not known. Nor is a face towards
    a voxel that is not `scored`.

    Parameters
    ----------
    in_plane
        Look along y and x only, so that every plane has its own outlines.
    """
    outside = ~mask if scored is None else ~mask & scored
    edge = np.zeros_like(mask)
    for axis in (1, 2) if in_plane else (0, 1, 2):
        here: list[slice] = [slice(None)] * 3
        there: list[slice] = [slice(None)] * 3
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        edge[tuple(here)] |= outside[tuple(there)]
        edge[tuple(there)] |= outside[tuple(here)]
    return edge & mask


def reach_of_boundary_score(tolerance_nm: float, *, spacing: Spacing) -> tuple[int, int, int]:
    """Voxels per axis that a block needs around itself to be scored as within the whole."""
    z, y, x = halo_voxels(tolerance_nm, spacing)
    return z + 1, y + 1, x + 1


@dataclass(frozen=True)
class BoundaryScore:
    """Boundary voxels that lie within a tolerance of the other boundary; additive.

    Boundary voxels are those of `boundary_voxels`, compared as in the boundary F1 of Csurka et al.
    (BMVC 2013) and the normalised surface Dice of Nikolov et al. (arXiv:1809.04430).
    """

    n_prediction: int = 0
    n_prediction_near: int = 0
    n_truth: int = 0
    n_truth_near: int = 0

    def update(
        self,
        prediction: Mask,
        truth: Mask,
        *,
        tolerance_nm: float,
        scored: Mask | None = None,
        inner: Box | None = None,
        in_plane: bool = False,
        spacing: Spacing,
    ) -> BoundaryScore:
        """Return these counts plus those of two masks, shape (z, y, x).

        Parameters
        ----------
        tolerance_nm
            Boundary voxels at most this far from each other agree.
        scored
            True where truth is known. Boundary voxels nearer than `tolerance_nm` to unknown
            ground are not counted: their partner may lie there.
        inner
            Count only within this box of the arrays (the write box of a block); the rest, at
            least `reach_of_boundary_score` wide, is there to be looked at.
        in_plane
            Compare plane by plane, as for painting on single planes.

        Raises
        ------
        DataError
            If the shapes differ.
        """
        require_same_shape(prediction, truth, scored)
        if prediction.size == 0:
            return self
        within = _Neighbourhood(tolerance_nm, spacing, in_plane)
        edge_p = boundary_voxels(np.asarray(prediction, bool), scored=scored, in_plane=in_plane)
        edge_t = boundary_voxels(np.asarray(truth, bool), scored=scored, in_plane=in_plane)
        near_t, near_p = within.of(edge_t), within.of(edge_p)
        counted = np.zeros(edge_p.shape, bool)
        counted[inner.slices if inner is not None else ...] = True
        if scored is not None:
            counted &= ~within.of(~scored)
        edge_p, edge_t = edge_p & counted, edge_t & counted
        return self + BoundaryScore(
            n_prediction=int(np.count_nonzero(edge_p)),
            n_prediction_near=int(np.count_nonzero(edge_p & near_t)),
            n_truth=int(np.count_nonzero(edge_t)),
            n_truth_near=int(np.count_nonzero(edge_t & near_p)),
        )

    def __add__(self, other: BoundaryScore) -> BoundaryScore:
        return BoundaryScore(
            self.n_prediction + other.n_prediction,
            self.n_prediction_near + other.n_prediction_near,
            self.n_truth + other.n_truth,
            self.n_truth_near + other.n_truth_near,
        )

    def compute(self) -> dict[str, float]:
        """Scores `boundary_precision boundary_recall boundary_f1`; NaN where there is none."""
        precision = ratio(self.n_prediction_near, self.n_prediction)
        recall = ratio(self.n_truth_near, self.n_truth)
        if self.n_prediction == 0 and self.n_truth == 0:
            f1 = float("nan")
        elif self.n_prediction == 0 or self.n_truth == 0:
            f1 = 0.0
        else:
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {"boundary_precision": precision, "boundary_recall": recall, "boundary_f1": f1}


@dataclass(frozen=True)
class _Neighbourhood:
    """Everything within a distance of a set of voxels."""

    tolerance_nm: float
    spacing: Spacing
    in_plane: bool

    def of(self, voxels: Mask) -> NDArray[np.bool_]:
        """Mask of what is at most `tolerance_nm` from `voxels`, centre to centre."""
        if not voxels.any():
            return np.zeros_like(voxels)
        lines = self._lines()
        if len(lines) <= MOST_LINES:
            return _grown(voxels, lines)
        if self.in_plane:
            return np.stack([self._near(plane, self.spacing[1:]) for plane in voxels])
        return self._near(voxels, self.spacing)

    def _lines(self) -> dict[tuple[int, int], int]:
        """The ball as lines along x: half a length, in voxels, for every step in z and y."""
        most = self.tolerance_nm * (1 + 1e-5)
        sz, sy, sx = self.spacing
        n_z, n_y = 0 if self.in_plane else int(most / sz), int(most / sy)
        return {
            (dz, dy): int(math.sqrt(left) / sx)
            for dz in range(-n_z, n_z + 1)
            for dy in range(-n_y, n_y + 1)
            if (left := most**2 - (dz * sz) ** 2 - (dy * sy) ** 2) >= 0
        }

    def _near(self, voxels: Mask, spacing: tuple[float, ...]) -> NDArray[np.bool_]:
        if not voxels.any():
            return np.zeros_like(voxels)
        distance = edt.edt(
            np.ascontiguousarray(~voxels), anisotropy=spacing, black_border=False, parallel=1
        )
        return np.asarray(distance <= self.tolerance_nm * (1 + 1e-5))


def _grown(voxels: Mask, lines: dict[tuple[int, int], int]) -> NDArray[np.bool_]:
    """Union of the voxels moved along all lines: exact, and for small balls faster than edt."""
    out = np.zeros_like(voxels)
    wide, width = voxels.copy(), 0
    for (dz, dy), half in sorted(lines.items(), key=lambda item: item[1]):
        while width < half:
            width += 1
            _or_moved(wide, voxels, (0, 0, width))
            _or_moved(wide, voxels, (0, 0, -width))
        _or_moved(out, wide, (dz, dy, 0))
    return out


def _or_moved(out: Mask, voxels: Mask, step: tuple[int, int, int]) -> None:
    """Add `voxels`, moved by `step`, to `out`."""
    to = tuple(slice(max(0, d), n + min(0, d)) for d, n in zip(step, out.shape, strict=True))
    of = tuple(slice(max(0, -d), n + min(0, -d)) for d, n in zip(step, out.shape, strict=True))
    if all(abs(d) < n for d, n in zip(step, out.shape, strict=True)):
        out[to] |= voxels[of]
