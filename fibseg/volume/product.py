"""A product of a run, written in blocks, finished once, then trusted: labels or distances."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import zarr

from fibseg.errors import DataError
from fibseg.types import Shape
from fibseg.volume import layout, metadata
from fibseg.volume.digests import open_noted
from fibseg.volume.files import partial_path
from fibseg.volume.index import listed
from fibseg.volume.levels import Pyramid, levels_of
from fibseg.volume.metadata import State

Kind = Literal["labels", "annotation", "probabilities", "distances"]


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
    source_digest: str | None = None
    """Of what it was derived from, as that was when this was begun."""


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
        """Whether it is finished."""
        return bool(self._state()["complete"])

    @cached_property
    def array(self) -> zarr.Array[Any]:
        """Full-resolution array on the grid of the volume, open for writing until finished."""
        state = self._state()
        if state["complete"] or state["kind"] == "scratch":
            return layout.open_array(self.path / "0", mode="r" if state["complete"] else "r+")
        return open_noted(self.path / "0")

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

    @property
    def pyramid(self) -> Pyramid:
        """Its levels as they are planned, to be filled before `finish`."""
        return Pyramid.planned(self.path, self._state())

    def finish(self, *, colors: metadata.Colors | None = None) -> ProductInfo:
        """Record levels and digest, mark complete; doing it again changes nothing.

        `fibseg.pipeline.pyramid.finish_product` fills the coarser levels first.

        Parameters
        ----------
        colors
            Red, green and blue, 0 to 255, of label values; by default each label gets its own.

        Raises
        ------
        DataError
            If blocks were never written, or levels are missing.
        """
        state = self._state()
        pyramid = Pyramid.planned(self.path, state)
        if not state["complete"]:
            levels = pyramid.recorded()
            state = {**state, "complete": True, "digest": levels[0]["digest"], "levels": levels}
            if state["kind"] == "scratch":
                metadata.write_state(self.path, state)
            else:
                self._publish(state, pyramid.maximum, colors)
        self.journal_path.unlink(missing_ok=True)
        pyramid.clear()
        self.__dict__.pop("array", None)
        return info_of(self.name, state)

    def discard(self) -> None:
        """Remove the product, its journal, and its entry in the list of labels."""
        doomed = partial_path(self.path)
        with listed(self.path, gone=True):
            if self.path.exists():
                self.path.replace(doomed)  # a crash leaves no half product
        if doomed.exists():
            shutil.rmtree(doomed)
        self.journal_path.unlink(missing_ok=True)
        self.__dict__.pop("array", None)
        if self.path.parent.name == ".scratch" and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

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
        elif kind == "distances":
            low, high = state["attributes"]["range_nm"]
            ome["omero"] = metadata.omero(
                self.name, low=low, high=high, smallest=low, largest=high
            )
        else:
            ome["image-label"] = metadata.image_label(
                kind=kind, classes=state["classes"], colors=colors, maximum=maximum,
                ome_version=version,
            )
        with listed(self.path):
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
        attributes=dict(state["attributes"]), source_digest=state.get("source_digest"),
    )
