"""Planes that are kept for a last test: no training and no choice of settings may see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fibseg.data.plane_blocks import best_block, labelled_counts, near_planes
from fibseg.data.planes import PlaneStack
from fibseg.data.sparse import SparseData
from fibseg.errors import DataError, UsageError

Reserved = tuple[tuple[int, ...], ...]
"""Plane numbers, a tuple for each store."""


def set_aside(
    stacks: Sequence[PlaneStack], data: SparseData, *, context: int = 0
) -> Reserved:
    """Planes that `data.reserved` names; they and what is near are set to 0 in the stacks.

    Neither trained on nor held out for scores are planes within `data.gap_nm` of them.

    Raises
    ------
    UsageError
        If there are not as many lists of planes as stores.
    DataError
        If one of the planes is not painted.
    """
    planes: Any = data.reserved  # of each store
    rows = named_rows(stacks, planes, "reserved")
    for store, row in (*rows, *near_planes(stacks, rows, data.gap_nm, context)):
        stacks[store].annotation[row] = 0
    return tuple(
        tuple(stack.z[row] for s, row in rows if s == store) for store, stack in enumerate(stacks)
    )


def named_rows(
    stacks: Sequence[PlaneStack], planes: Sequence[Sequence[int]] | None, key: str
) -> list[tuple[int, int]]:
    """Store and row of planes that a setting names.

    Parameters
    ----------
    stacks
        All stores.
    planes
        Plane numbers of each; None for none at all.
    key
        Name of the setting, for errors.

    Raises
    ------
    UsageError
        If there are not as many lists of planes as stores.
    DataError
        If one of the planes is not painted.
    """
    if planes is None:
        return []
    if len(planes) != len(stacks):
        raise UsageError(
            f"data.{key}={_listed(planes)} are lists of planes of {len(planes)} volumes, but "
            f"{len(stacks)} are trained on. Give one list for each, e.g. [[17,18],[]]."
        )
    rows = []
    for store, (stack, numbers) in enumerate(zip(stacks, planes, strict=True)):
        unknown = sorted(set(numbers) - set(stack.z))
        if unknown:
            raise DataError(
                f"data.{key} names the planes {unknown} of {stack.name}, on which nothing is "
                f"painted. Painted are {list(stack.z)}."
            )
        rows += [(store, stack.z.index(z)) for z in numbers]
    return rows


def choose_reserved(
    stacks: Sequence[PlaneStack], classes: dict[str, int], data: SparseData
) -> Reserved:
    """A block of about 1 / folds of the painted planes to set aside, of each store where it can be.

    The one whose classes are nearest to the whole; with `data.fold`, the fold after it.

    Raises
    ------
    DataError
        If no block leaves every class both in it and outside of it.
    """
    values = [1, *classes.values()]
    counts = [labelled_counts(s.annotation, values) for s in stacks]
    if data.fold is not None:
        data = replace(data, fold=(data.fold + 1) % data.folds)
    chosen = [best_block(c, data, [0] * len(c)) for c in counts]
    if not any(chosen):
        where = [(store, row) for store, c in enumerate(counts) for row in range(len(c))]
        block = best_block(np.concatenate(counts), data, [store for store, _ in where])
        chosen = [[where[i][1] for i in block if where[i][0] == s] for s in range(len(stacks))]
    if not any(chosen):
        n = sum(len(s.z) for s in stacks)
        raise DataError(
            f"Of {n} painted plane{'s' * (n != 1)} none can be kept for the test with every class "
            "in them and in the others. Paint more planes, or give test_planes=[] to go without a "
            "test."
        )
    return tuple(tuple(s.z[row] for row in rows) for s, rows in zip(stacks, chosen, strict=True))


def _listed(reserved: Sequence[Sequence[int]]) -> str:
    """Planes as they are typed."""
    return str([list(planes) for planes in reserved]).replace(" ", "")
