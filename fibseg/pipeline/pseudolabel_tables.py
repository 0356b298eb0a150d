"""Pores as tables: in the order of their voxels, with provenance, paired with their pockets."""

from __future__ import annotations

import numpy as np

from fibseg.metrics import match_points
from fibseg.types import Spacing, Table

PAIR_NM = 300.0
"""Centres of a pore and of its pocket lie at most so far apart."""


def numbered(sites: Table, spacing: Spacing) -> Table:
    """Places in the order of their voxels, numbered, with the number of their ``pocket``."""
    voxel = [np.floor(sites[f"{a}_um"] * 1000 / s + 0.5)
             for a, s in zip("zyx", spacing, strict=True)]
    order = np.lexsort(voxel[::-1])
    rows = {name: column[order] for name, column in sites.items()}
    return {**rows, "pocket": rows["label"].astype(np.int64),
            "label": np.arange(1, len(order) + 1, dtype=np.int64)}


def pseudo_table(
    pores: Table, sizes: Table, pockets: Table, *, provenance: str, keep_place: bool
) -> Table:
    """One row per pore that has voxels.

    Parameters
    ----------
    pores
        Places that were painted, with ``label`` and ``pocket``.
    sizes
        What was painted, measured.
    pockets
        Table of the pockets, for ``pocket_volume_um3``; whoever measured them again left that.
    provenance
        Method of the pockets and of the pores.
    keep_place
        Whether a pore is where its place is, or where its voxels are.
    """
    rows = sizes["label"].astype(np.int64) - 1  # places are numbered 1 … n in order
    chosen = {name: column[rows] for name, column in pores.items()}
    order = np.searchsorted(pockets["label"], chosen["pocket"])
    place = {
        f"{a}_um": chosen[f"{a}_um"] if keep_place else sizes[f"centroid_{a}_um"] for a in "zyx"
    }
    return {
        "label": chosen["label"], **place,
        **{f"normal_{a}": chosen[f"normal_{a}"] for a in "zyx"},
        **{name: chosen[name] for name in (
            "confidence", "pocket_contrast", "gap_contrast", "isolation_um", "pocket"
        )},
        "distance_nm": chosen["distance_nm"],
        "pocket_volume_um3": pockets["volume_um3"][order],
        "n_voxels": sizes["n_voxels"], "volume_um3": sizes["volume_um3"],
        "provenance": np.full(len(rows), provenance, dtype=object),
    }


def pairing(pores: Table, pockets: Table) -> Table:
    """Pore and pocket that belong together by place, one to one; 0 where one has no partner."""
    one = np.stack([pores[f"{a}_um"] for a in "zyx"], axis=1)
    other = np.stack([pockets[f"centroid_{a}_um"] for a in "zyx"], axis=1)
    found = match_points(one, other, within=PAIR_NM / 1000)
    found = found[np.argsort(found[:, 0])]
    lone_pores = np.setdiff1d(np.arange(len(one)), found[:, 0])
    lone_pockets = np.setdiff1d(np.arange(len(other)), found[:, 1])
    away = np.linalg.norm(one[found[:, 0]] - other[found[:, 1]], axis=1)
    n_pores, n_pockets = len(lone_pores), len(lone_pockets)
    return {
        "pore": np.concatenate([
            pores["label"][found[:, 0]], pores["label"][lone_pores], np.zeros(n_pockets)
        ]).astype(np.int64),
        "pocket": np.concatenate([
            pockets["label"][found[:, 1]], np.zeros(n_pores), pockets["label"][lone_pockets]
        ]).astype(np.int64),
        "distance_um": np.concatenate([away, np.full(n_pores + n_pockets, np.nan)]),
    }


def share_unpaired(paired: Table, *, one: str, other: str) -> float:
    """Share of the rows of ``one`` without a partner among the ``other``; 0 where there are none.

    >>> share_unpaired({"pore": np.array([1, 2, 0]), "pocket": np.array([7, 0, 8])},
    ...                one="pore", other="pocket")
    0.5
    """
    there = paired[one] > 0
    return float((paired[other][there] == 0).mean()) if there.any() else 0.0
