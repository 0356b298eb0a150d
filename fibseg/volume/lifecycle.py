"""Which product a run gets: a new one, its own unfinished or finished one, or an error."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fibseg.errors import DataError, ExistsError
from fibseg.types import Shape
from fibseg.volume import layout, metadata
from fibseg.volume.files import partial_path
from fibseg.volume.levels import open_level
from fibseg.volume.metadata import State
from fibseg.volume.product import Product

log = logging.getLogger("fibseg.volume")

Unedited = Callable[[Product], bool]
"""Tells whether the voxels of a finished product are still those that fibseg wrote."""


def prepare(
    path: Path, state: State, *, shape: Shape, dtype: np.dtype[Any], overwrite: bool,
    unedited: Unedited | None = None,
) -> Product:
    """Product at `path` as `state` describes it: new, reopened to resume, or already complete.

    Raises
    ------
    ExistsError
        If a finished product with other inputs stands there and may not be replaced.
    """
    product = Product(path)
    state = {**state, "source_digest": _source_digest(path, state)}
    standing = metadata.read_state(path)
    where = f"{path.parent.name}/{path.name}"
    if standing is not None and _same(standing, state, dtype):
        if not standing["complete"] or _intact(product, standing):
            return product
        log.warning("%s is damaged and is made again.", where)
    elif path.exists() and not overwrite and (standing is None or standing["complete"]):
        if standing is None or not _derivable_again(product, standing, state, unedited):
            raise ExistsError(
                f"{where} stands already and comes from other data or settings. "
                "Use overwrite=true to replace it, or another name."
            )
        log.info("%s is derived again from %s with other settings.", where, state["derived_from"])
    elif standing is not None:
        old = "" if standing["complete"] else "unfinished "
        log.info("%s%s comes from other data or settings and is made anew.", old, where)
    if path.exists():
        product.discard()
    product.journal_path.unlink(missing_ok=True)
    new_group(path, state, shape=shape, dtype=dtype)
    return product


def new_group(path: Path, state: State, *, shape: Shape, dtype: np.dtype[Any]) -> None:
    """Make the group with an empty level 0, under a hidden name until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = partial_path(path)
    try:
        layout.create_array(
            building / "0", shape=shape, dtype=dtype, ome_version=state["ome_version"]
        )
        metadata.write_state(building, {**state, "dtype": dtype.name})
        building.replace(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _source_digest(path: Path, state: State) -> str | None:
    """Digest of the stored product that this one is derived from, as it is now."""
    if state["derived_from"] is None or state["kind"] == "scratch":
        return None
    source = metadata.read_state(path.parent.parent / state["derived_from"])
    return None if source is None else str(source["digest"])


def _same(standing: State, state: State, dtype: np.dtype[Any]) -> bool:
    wanted = {**state, "dtype": dtype.name}
    return all(standing.get(k) == wanted[k] for k in ("inputs", "kind", "dtype", "derived_from"))


def _intact(product: Product, state: State) -> bool:
    try:
        for level in range(len(state["levels"])):
            open_level(product.path, state, level)
    except DataError:
        return False
    return True


def _derivable_again(
    product: Product, standing: State, state: State, unedited: Unedited | None
) -> bool:
    """Whether fibseg made it from the same stored product, and nobody has edited it since."""
    return (
        state["derived_from"] is not None
        and standing["derived_from"] == state["derived_from"]
        and unedited is not None
        and unedited(product)
    )
