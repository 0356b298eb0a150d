"""Distances of objects to membranes, by looking at every face between voxels."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def faces(mask, spacing):
    """Centres in nm of all faces between inside and outside."""
    inside, found = mask != 0, []
    for axis in range(3):
        centres = np.argwhere(np.diff(inside, axis=axis)).astype(float)
        centres[:, axis] += 0.5
        found.append(centres * spacing)
    return np.concatenate(found)


def on_surface(mask):
    """Whether each voxel of one object has a neighbour in the volume that is none of it."""
    wide = np.pad(mask, 1, mode="edge")
    middle = (slice(1, -1),) * 3
    other = [np.roll(wide, step, axis)[middle] for axis in range(3) for step in (-1, 1)]
    return mask & ~np.logical_and.reduce(other)


def brute_force(labels, targets, spacing):
    """Columns of `fibseg.measure.distances.finish`."""
    names = np.unique(labels[labels != 0])
    table = {}
    for target, mask in targets.items():
        tree = cKDTree(faces(mask, spacing))
        rows = []
        for name in names:
            own = labels == name
            nm = tree.query(np.argwhere(on_surface(own)) * spacing)[0] / 1000
            centre = np.argwhere(own).mean(axis=0) * spacing
            share = np.mean(mask[own] != 0)
            rows.append((
                tree.query(centre)[0] / 1000, min(nm, default=np.nan),
                nm.mean() if len(nm) else np.nan, share, share > 0.5,
            ))
        kinds = ("distance_{}_um", "surface_distance_{}_um", "mean_surface_distance_{}_um",
                 "share_in_{}", "inside_{}")
        columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
        table |= dict(zip((k.format(target) for k in kinds), map(np.array, columns), strict=True))
    for kind in ("distance", "surface_distance"):
        table[f"{kind}_nearest_um"] = np.minimum.reduce([table[f"{kind}_{t}_um"] for t in targets])
    return table
