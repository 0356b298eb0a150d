"""How well outlines agree, within a tolerance in nm: boundary precision, recall and F1."""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray

from fibseg.geometry import Box, halo_voxels
from fibseg.metrics.overlap import ratio, require_same_shape
from fibseg.types import Mask, Spacing


def boundary(mask: Mask, *, scored: Mask | None = None, in_plane: bool = False) -> Mask:
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

    Boundary voxels are those of `boundary`, compared as in the boundary F1 of Csurka et al.
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
        edge_p = boundary(np.asarray(prediction, bool), scored=scored, in_plane=in_plane)
        edge_t = boundary(np.asarray(truth, bool), scored=scored, in_plane=in_plane)
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
        if self.in_plane:
            return np.stack([self._near(plane, self.spacing[1:]) for plane in voxels])
        return self._near(voxels, self.spacing)

    def _near(self, voxels: Mask, spacing: tuple[float, ...]) -> NDArray[np.bool_]:
        if not voxels.any():
            return np.zeros_like(voxels)
        distance = edt.edt(
            np.ascontiguousarray(~voxels), anisotropy=spacing, black_border=False, parallel=1
        )
        return np.asarray(distance <= self.tolerance_nm * (1 + 1e-5))
