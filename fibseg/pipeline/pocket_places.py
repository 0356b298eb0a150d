"""Places and pockets as tables: how sure each place is, which pocket is its own."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fibseg.metrics import match_points
from fibseg.pipeline.pocket_passes import Kept
from fibseg.pseudolabel import confidence, isolation_um
from fibseg.types import Table
from fibseg.volume.files import write_bytes

COPIED = ("distance_nm", "confidence", "gap_contrast", "pocket_contrast", "isolation_um")
"""Columns of places that stand in the table of pockets, too."""


def sure_sites(sites: Table, *, least: float, seed: int) -> Table:
    """Places with ``confidence``, ``isolation_um`` and, where a pocket is grown, ``label``.

    Parameters
    ----------
    sites
        Of `fibseg.pipeline.pore_sites.pore_sites`.
    least, seed
        As in `fibseg.pipeline.pockets.run`.

    Raises
    ------
    DataError
        If there are too few, or they are not of two kinds.
    """
    n = len(sites["z_um"])
    sure = np.ones(n) if least == 0 else confidence(sites, seed=seed)
    chosen = sure >= least
    label = np.where(chosen, np.cumsum(chosen), 0).astype(np.int64)
    return {**sites, "confidence": sure, "isolation_um": _isolation(sites, chosen), "label": label}


def _isolation(sites: Table, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the nearest other place that has a pocket; NaN for those that have none."""
    found = np.full(len(chosen), np.nan)
    alone = isolation_um({name: column[chosen] for name, column in sites.items()})
    found[chosen] = np.where(np.isfinite(alone), alone, np.nan)
    return found


def renumbered(sites: Table, kept: Kept) -> Table:
    """Places with the numbers that their pockets have now, 0 for those that were not kept."""
    now = np.zeros(int(sites["label"].max(initial=0)) + 1, np.int64)
    now[kept.before] = kept.number
    return {**sites, "label": now[sites["label"]]}


def with_feet(
    sites: Table, pockets: Table, look: Callable[..., Table], *, least: float, seed: int,
    apart_nm: float, folder: Path,
) -> Table:
    """The feet of all pockets on the envelope, and places that are none of them.

    Parameters
    ----------
    sites
        Of `sure_sites`.
    pockets
        Table of the pockets, with their centres of geometry.
    look
        Tells of places in the file ``at``, as `fibseg.pipeline.pore_sites.pore_sites` does.
    least, seed
        As of `sure_sites`.
    apart_nm
        A place so near to a foot is the same.
    folder
        For the file.
    """
    centres_um = np.stack([pockets[f"centroid_{a}_um"] for a in "zyx"], axis=1)
    content = BytesIO()
    np.save(content, centres_um * 1000)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "centres.npy", content.getvalue())
    feet = look(at=folder / "centres.npy")
    index = feet.pop("index").astype(np.int64)
    sure = np.ones(len(index)) if least == 0 else confidence(sites, of=feet, seed=seed)
    told = {
        **feet, "confidence": sure, "isolation_um": _isolation(feet, np.ones(len(index), bool)),
        "label": pockets["label"][index].astype(np.int64),
    }
    # A pocket's middle is seldom right below its pore: the highest place beside it tells of both.
    same = match_points(_places_um(sites), _places_um(feet), within=apart_nm / 1000)
    better = same[sites["confidence"][same[:, 0]] > sure[same[:, 1]]]
    for name in ("confidence", "gap_contrast", "pocket_contrast", "pocket_level"):
        told[name][better[:, 1]] = sites[name][better[:, 0]]
    rest = np.setdiff1d(np.arange(len(sites["z_um"])), same[:, 0])
    left = {
        **{name: sites[name][rest] for name in told},
        "isolation_um": np.full(len(rest), np.nan), "label": np.zeros(len(rest), np.int64),
    }
    return {name: np.concatenate([told[name], left[name]]) for name in told}


def joined(table: Table, sites: Table, kept: Kept) -> tuple[Table, Table]:
    """Tables of pockets and of places; what is known of a pocket from its place stands in both.

    Parameters
    ----------
    table
        Measures of the pockets.
    sites
        Places with the ``label`` of their pocket, or 0.
    """
    n, numbers = len(table["label"]), table["label"].astype(np.int64)
    distance = np.full(n + 1, np.nan)
    distance[kept.number] = kept.distance_nm
    sites = {"label": sites["label"], **sites, "distance_nm": distance[sites["label"]]}
    with_pocket = np.flatnonzero(sites["label"] > 0)
    row = np.full(n + 1, -1)
    row[sites["label"][with_pocket]] = with_pocket
    told = {}
    for name in COPIED:
        told[name] = np.full(n, np.nan)
        known = row[numbers] >= 0
        told[name][known] = sites[name][row[numbers][known]]
    return {**table, **told}, sites


def _places_um(table: Table) -> NDArray[np.float64]:
    return np.stack([table[f"{a}_um"] for a in "zyx"], axis=1)
