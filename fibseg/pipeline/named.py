"""Arrays and tables of a store by the names that operators call them, such as ``labels/cell``."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.errors import DataError, UsageError
from fibseg.pipeline.bench import Array
from fibseg.pipeline.chain import OWN, TABLE, TABLES, arrays_of
from fibseg.pipeline.features import StoredTable
from fibseg.pipeline.fused import Operator
from fibseg.volume import Volume

RAW = "raw"
FOLDERS = ("labels", "probabilities", "distances")


def names_in(operators: Mapping[str, Operator | None]) -> list[str]:
    """Names of all arrays and tables that a chain needs beside what it begins with, sorted.

    Raises
    ------
    UsageError
        If an operator is given something else than a name.
    """
    found = (arrays_of(name, fn) for name, fn in operators.items() if fn is not None)
    return sorted({name for arrays in found for name in arrays.values()} - {OWN})


def open_arrays(store: Volume, names: Sequence[str]) -> dict[str, Array]:
    """The arrays themselves, on the grid of level 0, and of tables `StoredTable`.

    Raises
    ------
    UsageError
        If a name is none of an array.
    DataError
        If the store has no such array or table, the labels of a table are not those any more that
        were measured, or an array is painting, of which only a part is known.
    """
    found: dict[str, Array] = {}
    for name in names:
        if name.startswith(TABLES):
            found[name] = _open_table(store, name)
            continue
        folder, product = _parts(name)
        if folder == RAW:
            found[name] = store.raw()
        elif folder == "labels":
            if store.labels_info(product).kind == "annotation":
                raise DataError(
                    f"{name} is painting: 0 is unlabelled there, and 1 background. Name objects."
                )
            found[name] = store.labels(product)
        else:
            found[name] = getattr(store, folder)(product)
    return found


def digests_of(store: Volume, names: Sequence[str]) -> dict[str, str]:
    """Digest of each array or table by its name."""
    found = {}
    for name in names:
        if name.startswith(TABLES):
            file = store.path / f"{name}.parquet"
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
            continue
        folder, product = _parts(name)
        found[name] = store.raw_digest if folder == RAW else (
            getattr(store, f"{folder}_info")(product).digest
        )
    return found


def products_in(names: Sequence[str]) -> dict[str, list[str]]:
    """Names of the arrays by their folder in the store, each without it.

    >>> products_in(["labels/cell", "raw"])
    {'labels': ['cell'], 'probabilities': [], 'distances': []}
    """
    parts = [_parts(name) for name in names if not name.startswith(TABLES)]
    return {folder: [product for f, product in parts if f == folder] for folder in FOLDERS}


def measured_anew(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a command for a sample, of whose objects no table can tell.

    There a filter measures volumes instead, which costs no less.
    """
    chain: dict[str, Operator | None] = {
        name: fn if fn is None or TABLE not in arrays_of(name, fn)
        else functools.partial(fn, table=None, column="volume_um3")
        for name, fn in (parts["postprocess"] or {}).items()
    }
    return {**parts, "postprocess": chain or parts["postprocess"]}


def _open_table(store: Volume, name: str) -> StoredTable:
    """Table with its labels, which must be as they were when they were measured."""
    product = name.removeprefix(TABLES)
    rows, digest = store.table(product), store.table_info(product)["labels_digest"]
    if digest != store.labels_info(product).digest:
        raise DataError(
            f"{name} was measured on labels/{product} as they were before they changed. Measure "
            f"them again: 'fibseg measure volume={store.path} objects={product}'."
        )
    return StoredTable(name, rows, store.labels(product))


def _parts(name: str) -> tuple[str, str]:
    """Folder and name of a product; the image has a folder only."""
    folder, _, product = name.partition("/")
    if (folder, product) == (RAW, ""):
        return RAW, ""
    if folder not in FOLDERS or not product:
        raise UsageError(
            f"{name} is no array of a store. Name one as labels/NAME, probabilities/NAME or "
            f"distances/NAME, or take {RAW} for the image and {OWN} for what is cleaned up."
        )
    return folder, product
