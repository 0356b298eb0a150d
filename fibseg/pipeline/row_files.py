"""Rows of all objects in one file, found block by block: what no memory holds, object by object.

Each block writes its rows, sorted by object, and tells how many each object has there. From these
numbers everybody's place in one large file follows, so that no more than a block of them is in
memory.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.measure.runs import first_of_equal
from fibseg.types import Table
from fibseg.volume.files import room_for, write_bytes

Rows = NDArray[Any]
"""Anything whose first axis are rows."""


def write_rows(folder: Path, index: int, label: NDArray[Any], rows: Rows) -> Table:
    """Write the rows of one block; returns ``block``, ``label`` and ``n`` of every object in it.

    Parameters
    ----------
    folder
        Where they are kept, made if need be.
    index
        Number of the block.
    label
        Object of each row, ascending.
    """
    first = first_of_equal(label)
    if len(first):
        content = BytesIO()
        np.save(content, rows)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(_file_of(folder, index), content.getvalue())
    return {
        "block": np.full(len(first), index, dtype=np.int64), "label": label[first],
        "n": np.diff(first, append=len(label)),
    }


def rows_of_objects(
    folder: Path, found: Table, *, in_order: Callable[[Rows], Rows] | None = None
) -> tuple[NDArray[Any], NDArray[np.intp], Rows]:
    """Labels, where the rows of each begin and the last ones end, and all rows, in a file.

    Parameters
    ----------
    folder
        Of `write_rows`.
    found
        What that returned for all blocks, in grid order, at least one row.
    in_order
        Puts the rows of one object in order; by default they are in that of the blocks.
    """
    names, row = np.unique(found["label"], return_inverse=True)
    n = np.bincount(row, weights=found["n"]).astype(np.intp)
    first = np.append(0, np.cumsum(n))
    path = folder / "all.npy"
    if not path.exists():
        _put_together(path, found, row, first, in_order)
    return names, first, np.load(path, mmap_mode="r")


def _put_together(
    path: Path, found: Table, row: NDArray[np.intp], first: NDArray[np.intp],
    in_order: Callable[[Rows], Rows] | None,
) -> None:
    """Write the rows of all blocks to one file, object by object."""
    partial = path.with_name(f".{path.name}")
    like = np.load(_file_of(path.parent, int(found["block"][0])), mmap_mode="r")
    n_bytes = int(first[-1]) * like[:1].nbytes
    with room_for(path, n_bytes):
        rows = np.lib.format.open_memmap(
            partial, mode="w+", dtype=like.dtype, shape=(int(first[-1]), *like.shape[1:])
        )
        free, n_blocks = first[:-1].copy(), np.zeros(len(first) - 1, dtype=np.intp)
        begins = first_of_equal(found["block"])
        for begin, end in zip(begins, np.append(begins[1:], len(row)), strict=True):
            some, n = row[begin:end], found["n"][begin:end]
            here = np.load(_file_of(path.parent, int(found["block"][begin])))
            within = np.arange(len(here)) - np.repeat(np.cumsum(n) - n, n)
            rows[np.repeat(free[some], n) + within] = here
            free[some] += n
            n_blocks[some] += 1
        if in_order is not None:
            for several in np.flatnonzero(n_blocks > 1):
                own = slice(first[several], first[several + 1])
                rows[own] = in_order(rows[own])
        rows.flush()
    del rows
    partial.replace(path)


def _file_of(folder: Path, index: int) -> Path:
    return folder / f"rows-{index}.npy"
