"""Features of single painted voxels, as the forests of a plan will see them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fibseg.data import Normalisation, normalise, refuse_not_finite
from fibseg.geometry import Box
from fibseg.inference.interpolate import at_voxels
from fibseg.inference.pixel_plan import Stage, around
from fibseg.inference.plan import Pyramid
from fibseg.models.features import FEATURES, pixel_features
from fibseg.progress import track

CELL = (32, 32, 32)
"""Voxels of the level that are looked at together, if any of them is painted."""


def features_at(
    volume: Pyramid, stage: Stage, voxels: NDArray[np.int64], *, normalisation: Normalisation
) -> NDArray[np.float32]:
    """Features at voxels of level 0, shape (voxels, features), between those of the stage's level.

    Parameters
    ----------
    voxels
        Positions (z, y, x), shape (voxels, 3).

    Raises
    ------
    DataError
        If the raw has NaN near one of them.
    """
    out = np.empty((len(voxels), len(FEATURES) * len(stage.sigmas_nm)), np.float32)
    raw = volume.raw(stage.level)
    cells = voxels // (np.array(stage.factors) * CELL)
    _, group = np.unique(cells, axis=0, return_inverse=True)
    group = group.reshape(-1)  # NumPy 2.0 gives it a second axis
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    for part in track(parts, total=len(parts), label="painted features", unit="place"):
        own = voxels[part]
        box = Box(tuple(map(int, own.min(axis=0))), tuple(map(int, own.max(axis=0) + 1)))
        near = around(box, stage.factors, stage.shape)
        seen = stage.seen(near)
        image = np.asarray(raw[seen.slices])
        refuse_not_finite(image, seen)
        features = pixel_features(
            normalise(image, normalisation), sigmas_nm=stage.sigmas_nm, spacing=stage.spacing
        )
        inner = features[(slice(None), *near.relative_to(seen).slices)]
        out[part] = at_voxels(
            inner, near, own, factors=stage.factors, shape=stage.shape
        ).T
    return out
