"""How far objects are from membranes: from the distances of their voxels to a row per object.

Distances are whole picometres in the sums, so that these do not depend on the order of blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.runs import first_of_equal
from fibseg.types import Table

PM_PER_NM = 1000
FAR = 2**62
"""Least distance of an object without a surface voxel, in pm."""
_MINIMUM = "min"


def partial(
    surface: NDArray[Any], distances_nm: Mapping[str, NDArray[np.float64]],
    within: Mapping[str, NDArray[Any]],
) -> Table:
    """Sums of every object in one block.

    Parameters
    ----------
    surface
        Object of each of its surface voxels.
    distances_nm
        For each target the distance of these voxels to its interface.
    within
        For each target the objects of all voxels that lie in it, shape (n,).

    Returns
    -------
    Table
        ``label``, ``n_surface``, and for each target ``sum_NAME`` and ``min_NAME`` (pm) and
        ``in_NAME`` (voxels), all int64; rows sorted by label.
    """
    table: Table = {"label": surface, "n_surface": np.ones(len(surface), dtype=np.int64)}
    for name, nm in distances_nm.items():
        table[f"sum_{name}"] = table[f"min_{name}"] = np.rint(nm * PM_PER_NM).astype(np.int64)
        table[f"in_{name}"] = np.zeros(len(surface), dtype=np.int64)
    tables = [_grouped(table)]
    for name, labels in within.items():
        there, n = np.unique(labels, return_counts=True)
        tables.append(_only(tables[0], f"in_{name}", there, n.astype(np.int64)))
    return merge(*tables)


def merge(*tables: Table) -> Table:
    """Sums of all blocks together."""
    return _grouped({
        name: np.concatenate([table[name] for table in tables]) for name in tables[0]
    })


def finish(
    sums: Table, *, labels: NDArray[Any], n_voxels: NDArray[np.int64],
    of_centres_nm: Mapping[str, NDArray[np.float64]], nearest: Sequence[str] | None = None,
) -> Table:
    """Columns of distances in µm, a row for each of `labels`.

    Parameters
    ----------
    sums
        Merged `partial` of all blocks.
    labels, n_voxels
        Objects, sorted, and their sizes.
    of_centres_nm
        For each target the distance of the exact centre of geometry of every object.
    nearest
        Targets of the last two columns; all if left out.

    Returns
    -------
    Table
        For each target

        - ``distance_NAME_um``: from the centre of geometry, which may lie outside of a bent object;
        - ``surface_distance_NAME_um``: from the centre of the nearest surface voxel, so half a
          voxel where the object touches the target;
        - ``mean_surface_distance_NAME_um``: mean over the centres of its surface voxels;
        - ``share_in_NAME``: share of its voxels that lie in the target;
        - ``inside_NAME``: whether these are more than half;

        then ``distance_nearest_um`` and ``surface_distance_nearest_um``, the least of `nearest`.
        Unsigned, to the centre of the nearest face of a voxel that lies on the interface. NaN
        where an object has no surface in the volume.
    """
    row = np.searchsorted(sums["label"], labels)
    # An object that fills the volume has no row: then row points beyond the end.
    there = np.isin(labels, sums["label"])
    row = np.where(there, row, 0) if len(sums["label"]) else np.zeros(0, dtype=np.intp)

    def column(name: str) -> NDArray[np.int64]:
        """A sum for each of `labels`, 0 without a row."""
        found = np.zeros(len(labels), dtype=np.int64)
        found[there] = sums[name][row[there]] if len(row) else 0
        return found

    n_surface = column("n_surface")
    table: Table = {}
    for name, centre_nm in of_centres_nm.items():
        table[f"distance_{name}_um"] = np.rint(centre_nm * PM_PER_NM) * 1e-6
        least = np.where(n_surface > 0, column(f"min_{name}"), np.nan)
        table[f"surface_distance_{name}_um"] = least * 1e-6
        table[f"mean_surface_distance_{name}_um"] = 1e-6 * np.divide(
            column(f"sum_{name}"), n_surface, out=np.full(len(labels), np.nan),
            where=n_surface > 0,
        )
        table[f"share_in_{name}"] = column(f"in_{name}") / n_voxels
        table[f"inside_{name}"] = 2 * column(f"in_{name}") > n_voxels
    return table | _of_nearest(table, list(of_centres_nm) if nearest is None else nearest)


def _of_nearest(table: Table, names: Sequence[str]) -> Table:
    """The least of all targets, if there is any."""
    kinds = ("distance", "surface_distance") if names else ()
    return {
        f"{kind}_nearest_um": np.minimum.reduce([table[f"{kind}_{name}_um"] for name in names])
        for kind in kinds
    }


def _only(like: Table, column: str, labels: NDArray[Any], n: NDArray[np.int64]) -> Table:
    """Rows in which nothing but one column says anything."""
    table: Table = {"label": labels}
    for name in like:
        if name != "label":
            nothing = FAR if name.startswith(_MINIMUM) else 0
            table[name] = np.full(len(labels), nothing, dtype=np.int64)
    return table | {column: n}


def _grouped(table: Table) -> Table:
    """All rows of one label made one, sorted by label."""
    order = np.argsort(table["label"], kind="stable")
    label = table["label"][order]
    starts = first_of_equal(label)
    found: Table = {"label": label[starts]}
    for name, values in table.items():
        if name != "label":
            how = np.minimum if name.startswith(_MINIMUM) else np.add
            found[name] = how.reduceat(values[order], starts) if len(starts) else values
    return found
