"""How much of a cell, and of its cytoplasm, is taken by what: counts that add over blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.types import Spacing, Table

OF_CYTOPLASM = {
    "mitochondri": (0.1, "about 10 % in HeLa cells (Posakony et al., J. Cell Biol. 74 (1977) 468)")
}
"""Share of the cytoplasm known from literature, by what is part of a name."""


def partial(
    labels: Mapping[str, NDArray[Any]], *, cell: str | None = None, nucleus: str | None = None,
    at_face: NDArray[np.bool_] | None = None,
) -> Table:
    """Voxels of every label image in one block, a row each, in the order of `labels`.

    Parameters
    ----------
    labels
        Label images of the block by name, anything but 0 counts; all of one shape (z, y, x).
    cell, nucleus
        Names among them; None where there is none.
    at_face
        Where the block lies at a face of the volume.

    Returns
    -------
    Table
        ``n_voxels``, ``n_in_cell``, ``n_in_cytoplasm`` (cell without nucleus) and ``n_at_face``.
    """
    masks = {name: values != 0 for name, values in labels.items()}
    nothing = np.zeros(next(iter(masks.values())).shape, dtype=bool)
    in_cell = nothing if cell is None else masks[cell]
    in_cytoplasm = nothing if nucleus is None else in_cell & ~masks[nucleus]
    faces = nothing if at_face is None else at_face
    counted = {"n_in_cell": in_cell, "n_in_cytoplasm": in_cytoplasm, "n_at_face": faces}
    table = {"n_voxels": [np.count_nonzero(mask) for mask in masks.values()]}
    for column, where in counted.items():
        table[column] = [np.count_nonzero(mask & where) for mask in masks.values()]
    return {column: np.array(n, dtype=np.int64) for column, n in table.items()}


def merge(first: Table, second: Table) -> Table:
    """Counts of both blocks together."""
    return {column: first[column] + second[column] for column in first}


def finish(
    counts: Table, *, names: list[str], cell: str | None = None, nucleus: str | None = None,
    spacing: Spacing,
) -> dict[str, dict[str, Any]]:
    """The profile: ``volume_um3`` of every name, ``share_of_cell``, ``share_of_cytoplasm``.

    A share is that of the voxels of the cell (or the cytoplasm) that belong to it, and is left out
    where there is no cell (or no nucleus), or it has no voxel. What is known of a share of
    cytoplasm is beside it as ``literature`` and, in words, ``literature_source``.

    Parameters
    ----------
    counts
        Merged `partial` of all blocks.
    names, cell, nucleus
        Those that `partial` was given.
    spacing
        Size of a voxel in nm, (z, y, x).
    """
    um3 = math.prod(spacing) * 1e-9
    whole = {}
    if cell is not None:
        row = names.index(cell)
        whole["cell"] = int(counts["n_voxels"][row])
        if nucleus is not None:
            whole["cytoplasm"] = int(counts["n_in_cytoplasm"][row])
    profile: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(names):
        profile[name] = {"volume_um3": int(counts["n_voxels"][i]) * um3}
        for part, n in whole.items():
            itself = name == cell or (name == nucleus and part == "cytoplasm")
            if n and not itself:
                profile[name][f"share_of_{part}"] = int(counts[f"n_in_{part}"][i]) / n
        known = [k for word, k in OF_CYTOPLASM.items() if word in name]
        if known and "share_of_cytoplasm" in profile[name]:
            share, source = known[0]
            profile[name] |= {"literature": share, "literature_source": source}
    if "cytoplasm" in whole and "cytoplasm" not in names:
        profile["cytoplasm"] = {"volume_um3": whole["cytoplasm"] * um3}
        if whole["cell"]:
            profile["cytoplasm"]["share_of_cell"] = whole["cytoplasm"] / whole["cell"]
    return profile
