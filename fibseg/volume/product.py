"""A product of a run, written in blocks, finished once, then trusted: labels, probabilities."""

from __future__ import annotations

import logging
import shutil
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from fibseg.errors import DataError, ExistsError
from fibseg.types import Shape, Spacing
from fibseg.volume import layout, metadata
from fibseg.volume.files import remove_tree
from fibseg.volume.intensity import Survey, survey
from fibseg.volume.pyramid import Level, build_levels, plan_levels

Kind = Literal["labels", "annotation", "probabilities"]
State = dict[str, Any]
log = logging.getLogger("fibseg.volume")


@dataclass(frozen=True)
class ProductInfo:
    """What is known of one product without reading a voxel."""

    name: str
    kind: str
    classes: dict[str, int]
    digest: str
    inputs: str
    derived_from: str | None
    complete: bool
    attributes: dict[str, Any] = field(default_factory=dict)


class Product:
    """Handle on one product; light and picklable, for it keeps nothing but the path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Product({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    @property
    def name(self) -> str:
        """Name of the product, which is that of its folder."""
        return self.path.name

    @property
    def complete(self) -> bool:
        """Whether it is finished, with all its files there in their recorded sizes."""
        return bool(self._state()["complete"])

    @cached_property
    def array(self) -> zarr.Array[Any]:
        """Full-resolution array on the grid of the volume, open for writing until finished."""
        return layout.open_array(self.path / "0", mode="r" if self.complete else "r+")

    @property
    def journal_path(self) -> Path:
        """Where the engine keeps its journal of finished blocks: hidden, beside the product."""
        return self.path.parent / f".{self.name}.journal"

    @property
    def block_shape(self) -> Shape:
        """Voxels of one block of work: the shape of a shard, so that each has one writer."""
        return layout.block_shape(self.array.shape, ome_version=self._state()["ome_version"])

    @property
    def info(self) -> ProductInfo:
        """What is recorded of the product."""
        return info_of(self.name, self._state())

    def finish(self, *, colors: metadata.Colors | None = None) -> ProductInfo:
        """Build the pyramid, record the digest, mark complete; doing it again changes nothing.

        Parameters
        ----------
        colors
            Red, green and blue, 0 to 255, of label values; by default each label gets its own.

        Raises
        ------
        DataError
            If blocks were never written.
        """
        state = self._state()
        if not state["complete"]:
            kind = state["kind"]
            levels, found = complete_levels(self.path, state)
            state = {**state, "complete": True, "digest": found.digest, "levels": levels}
            if kind == "scratch":
                metadata.write_state(self.path, state)
            else:
                self._publish(state, found.maximum, colors)
        self.journal_path.unlink(missing_ok=True)
        self.__dict__.pop("array", None)
        return info_of(self.name, state)

    def discard(self) -> None:
        """Remove the product, its journal, and its entry in the list of labels."""
        if self.path.parent.name == "labels":
            names = [n for n in complete_names(self.path.parent) if n != self.name]
            state = metadata.read_state(self.path) or metadata.read_state(self.path.parent.parent)
            metadata.index_labels(
                self.path.parent, names, ome_version=(state or {}).get("ome_version", "0.5")
            )
        remove_tree(self.path)
        self.journal_path.unlink(missing_ok=True)
        self.__dict__.pop("array", None)
        if self.path.parent.name == ".scratch" and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    def matches_digest(self) -> bool:
        """Whether the voxels are still those that the digest was taken of; reads all of them."""
        return bool(survey(self.array, label="verify").digest == self._state()["digest"])

    def _publish(self, state: State, maximum: int, colors: metadata.Colors | None) -> None:
        """Write the OME metadata; the last write is the one that says complete."""
        kind, version = state["kind"], state["ome_version"]
        ome: dict[str, Any] = {
            "multiscales": metadata.multiscales(
                self.name, levels_of(state), kind=kind, ome_version=version
            )
        }
        if kind == "probabilities":
            ome["omero"] = metadata.omero(self.name, low=0, high=255, largest=255)
        else:
            ome["image-label"] = metadata.image_label(
                classes=state["classes"], colors=colors, maximum=maximum, ome_version=version
            )
            names = {*complete_names(self.path.parent), self.name}
            metadata.index_labels(self.path.parent, sorted(names), ome_version=version)
        metadata.write_state(self.path, state, ome=ome)

    def _state(self) -> State:
        state = metadata.read_state(self.path)
        if state is None:
            raise DataError(f"There is no product at {self.path}. It was removed meanwhile.")
        return state


def info_of(name: str, state: State) -> ProductInfo:
    """Record of the product `name`."""
    return ProductInfo(
        name=name, kind=state["kind"], classes=dict(state["classes"]), digest=state["digest"],
        inputs=state["inputs"], derived_from=state["derived_from"], complete=state["complete"],
        attributes=dict(state["attributes"]),
    )


def complete_names(folder: Path) -> list[str]:
    """Sorted names of the finished products in `folder`."""
    if not folder.is_dir():
        return []
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    return [n for n in names if (metadata.read_state(folder / n) or {}).get("complete")]


def levels_of(state: State) -> list[Level]:
    """Recorded pyramid levels."""
    return [
        Level(tuple(level["shape"]), tuple(level["spacing"])) for level in state["levels"]
    ]


def complete_levels(
    group: Path, state: State, *, histogram: bool = False
) -> tuple[list[dict[str, Any]], Survey]:
    """Build the coarser levels; returns the record of all levels and the survey of level 0."""
    kind, version = state["kind"], state["ome_version"]
    array = layout.open_array(group / "0", mode="r")
    layout.stored_bytes(group / "0", array)
    found = survey(array, histogram=histogram, label=f"digest of {group.name}")
    spacing: Spacing = tuple(state["spacing"])
    levels = plan_levels(array.shape, spacing) if kind != "scratch" else [
        Level(array.shape, spacing)
    ]
    build_levels(group, array, levels, kind=kind, ome_version=version)
    record = [
        {
            "shape": list(level.shape),
            "spacing": list(level.spacing),
            "bytes": layout.stored_bytes(
                group / str(n), layout.open_array(group / str(n), mode="r")
            ),
        }
        for n, level in enumerate(levels)
    ]
    return record, found


def open_level(group: Path, state: State, level: int) -> zarr.Array[Any]:
    """Array of one pyramid level of a finished image, for reading.

    Raises
    ------
    DataError
        If there is no such level, or files of it are missing or cut off.
    """
    levels = state["levels"]
    if not 0 <= level < len(levels):
        raise DataError(
            f"{group} has no pyramid level {level}. It has the levels 0 to {len(levels) - 1}."
        )
    array = layout.open_array(group / str(level))
    expected, there = levels[level]["bytes"], layout.stored_bytes(group / str(level), array)
    if list(array.shape) != levels[level]["shape"] or there != expected:
        raise DataError(
            f"{group / str(level)} has {there} bytes of data for shape {tuple(array.shape)}, but "
            f"{expected} for {tuple(levels[level]['shape'])} were written. It was cut off or "
            "changed by another program: copy the store again, or make this product again."
        )
    return array


def prepare(
    path: Path, state: State, *, shape: Shape, dtype: np.dtype[Any], overwrite: bool
) -> Product:
    """Product at `path` as `state` describes it: new, reopened to resume, or already complete.

    Raises
    ------
    ExistsError
        If a finished product with other inputs stands there and may not be replaced.
    """
    product = Product(path)
    standing = metadata.read_state(path)
    where = f"{path.parent.name}/{path.name}"
    if standing is not None and _same(standing, state, dtype):
        if not standing["complete"] or _intact(product, standing):
            return product
        log.warning("%s is damaged and is made again.", where)
    elif path.exists() and not overwrite and (standing is None or standing["complete"]):
        if standing is None or not _derivable_again(product, standing, state):
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
    for leftover in path.parent.glob(f".{path.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    new_group(path, state, shape=shape, dtype=dtype)
    return product


def new_group(path: Path, state: State, *, shape: Shape, dtype: np.dtype[Any]) -> None:
    """Make the group with an empty level 0, under a hidden name until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        layout.create_array(
            building / "0", shape=shape, dtype=dtype, ome_version=state["ome_version"]
        )
        metadata.write_state(building, {**state, "dtype": dtype.name})
        building.replace(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)


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


def _derivable_again(product: Product, standing: State, state: State) -> bool:
    """Whether fibseg made it from the same stored product, and nobody has edited it since."""
    return (
        state["derived_from"] is not None
        and standing["derived_from"] == state["derived_from"]
        and product.matches_digest()
    )
