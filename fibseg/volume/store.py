"""One sample, one store: everything about a cell is in one OME-Zarr group."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import DTypeLike

from fibseg.errors import DataError
from fibseg.volume import metadata
from fibseg.volume.files import checked_name
from fibseg.volume.index import complete_names, make_index, names_of_kind
from fibseg.volume.lifecycle import Unedited, prepare
from fibseg.volume.lock import locked, refuse_locked
from fibseg.volume.metadata import State
from fibseg.volume.product import Kind, Product, ProductInfo, info_of
from fibseg.volume.raw import RawStore
from fibseg.volume.record import PREFIX, label_name
from fibseg.volume.runs import Run, new_run, read_runs
from fibseg.volume.table_store import TableStore


class Volume(RawStore, TableStore):
    """Handle on one store; light and picklable, for it keeps nothing but the path.

    `Volume(path)` looks at nothing; use `Volume.open` or `Volume.create`.
    """

    # --- labels, probabilities and distances --------------------------------------------------

    def label_names(self, *, kind: Kind | None = None) -> list[str]:
        """Sorted names of the finished label images, all or those of one `kind`."""
        return names_of_kind(self.path / "labels", kind)

    def labels(self, name: str, level: int = 0) -> zarr.Array[Any]:
        """Label image `name`, unsigned integers, read-only.

        Raises
        ------
        DataError
            If it is missing or unfinished (the message says what is there) or damaged.
        """
        return self._open(self.path / "labels" / name, self._product("labels", name), level)

    def labels_info(self, name: str) -> ProductInfo:
        """What is recorded of the label image `name`."""
        return info_of(name, self._product("labels", name))

    def annotation_name(self, name: str) -> str:
        """Full name of an annotation: ``"mitochondria"`` is ``"annotation_mitochondria"``.

        Raises
        ------
        DataError
            If there is no such annotation.
        """
        painted = self.label_names(kind="annotation")
        for full in (name, PREFIX + name):
            if full in painted:
                return full
        raise DataError(
            f"{self.path} has no annotation {name!r}; it has {painted or 'none'}. Add it with "
            f"'fibseg import source=… volume={self.path} kind=annotation name={name}'."
        )

    def probability_names(self) -> list[str]:
        """Sorted names of the finished probabilities."""
        return complete_names(self.path / "probabilities")

    def probabilities(self, name: str, level: int = 0) -> zarr.Array[Any]:
        """Probabilities `name`, uint8, 0 to 255 for 0 to 1, read-only; `DataError` as `labels`."""
        state = self._product("probabilities", name)
        return self._open(self.path / "probabilities" / name, state, level)

    def probabilities_info(self, name: str) -> ProductInfo:
        """What is recorded of the probabilities `name`."""
        return info_of(name, self._product("probabilities", name))

    def create_labels(
        self, name: str, *, kind: Kind, dtype: DTypeLike, inputs: str,
        classes: dict[str, int] | None = None, derived_from: str | None = None,
        overwrite: bool = False, attributes: dict[str, Any] | None = None,
        unedited: Unedited | None = None,
    ) -> Product:
        """Label image to be written: new, reopened to resume, or already complete.

        Parameters
        ----------
        name
            Name in ``labels/``; that of an annotation is given its prefix ``annotation_``.
        kind
            ``"annotation"`` (0 unlabelled, 1 background, 2 … classes) or ``"labels"``.
        inputs
            `fingerprint` of everything the product depends on.
        classes
            Class name to label value.
        derived_from
            Stored product that fibseg can derive this one from again at any time, such as
            ``"probabilities/mitochondria"``: it then replaces an older derivation that is
            `unedited`.
        unedited
            Tells of a finished product whether nobody has edited it. Without it, none is replaced.

        Raises
        ------
        ExistsError
            If a finished product with other inputs stands there and may not be replaced.
        UsageError
            If name, kind or type cannot be.
        """
        path = self.path / "labels" / label_name(name, kind=kind, dtype=dtype)
        state = self._new_state(kind, inputs, classes, derived_from, attributes)
        self._make_group("labels")
        return prepare(
            path, state, shape=self.shape, dtype=np.dtype(dtype), overwrite=overwrite,
            unedited=unedited,
        )

    def create_probabilities(
        self, name: str, *, inputs: str, overwrite: bool = False,
        attributes: dict[str, Any] | None = None,
    ) -> Product:
        """Probabilities (uint8) to be written; otherwise as `create_labels`."""
        state = self._new_state("probabilities", inputs, None, None, attributes)
        path = self.path / "probabilities" / checked_name(name, what="probability map")
        self._make_group("probabilities")
        return prepare(
            path, state, shape=self.shape, dtype=np.dtype(np.uint8), overwrite=overwrite
        )

    def distance_names(self) -> list[str]:
        """Sorted names of the finished distance maps."""
        return complete_names(self.path / "distances")

    def distances(self, name: str, level: int = 0) -> zarr.Array[Any]:
        """Distances `name` in nm, float32, read-only; `DataError` as `labels`."""
        state = self._product("distances", name)
        return self._open(self.path / "distances" / name, state, level)

    def distances_info(self, name: str) -> ProductInfo:
        """What is recorded of the distances `name`."""
        return info_of(name, self._product("distances", name))

    def create_distances(
        self, name: str, *, inputs: str, derived_from: str, range_nm: tuple[float, float],
        overwrite: bool = False, attributes: dict[str, Any] | None = None,
        unedited: Unedited | None = None,
    ) -> Product:
        """Distances (float32, nm) to be written; otherwise as `create_labels`.

        Parameters
        ----------
        range_nm
            Least and largest value that can be, which viewers open them with.
        """
        told = {"unit": "nanometer", "range_nm": list(map(float, range_nm)), **(attributes or {})}
        state = self._new_state("distances", inputs, None, derived_from, told)
        path = self.path / "distances" / checked_name(name, what="distance map")
        self._make_group("distances")
        return prepare(
            path, state, shape=self.shape, dtype=np.dtype(np.float32), overwrite=overwrite,
            unedited=unedited,
        )

    @contextlib.contextmanager
    def locked(self, *products: str) -> Iterator[None]:
        """Context in which no other run writes to `products`, such as ``"probabilities/m"``.

        Nor does one replace the volume.

        Raises
        ------
        BusyError
            If another run does.
        """
        with contextlib.ExitStack() as stack:
            for product in sorted(set(products)):
                checked_name(product.partition("/")[2], what="product")
                stack.enter_context(locked(self.path / product))
            if products:
                refuse_locked(self.path)  # who replaces it looks for locks inside: one of us sees
            yield

    def scratch(
        self, product: str, step: str, *, dtype: DTypeLike, inputs: str = ""
    ) -> Product:
        """Array on the grid of level 0 that a `step` to a product needs, until `discard`.

        One with the same `inputs` is reopened, with another one is made anew.

        Parameters
        ----------
        product
            Such as ``"labels/mitochondria"``.
        step
            A word that says what it is.
        """
        state = self._new_state("scratch", inputs, None, product, None)
        return prepare(
            self.scratch_path(product, step), state, shape=self.shape, dtype=np.dtype(dtype),
            overwrite=True,
        )

    def scratch_path(self, product: str, step: str) -> Path:
        """Where the scratch array of a step lies, in a hidden folder."""
        words = (*product.split("/"), step)
        # No name has that sign: what belongs to one product cannot be taken for another's.
        name = "=".join(checked_name(word, what="scratch array") for word in words)
        return self.path / ".scratch" / name

    # --- runs --------------------------------------------------------------------------------

    def start_run(
        self, verb: str, *, config: dict[str, Any], overrides: list[str], inputs: dict[str, str]
    ) -> Run:
        """Record of a run in ``runs/STAMP-VERB/``, which also gets the log of fibseg."""
        return new_run(
            self.path / "runs", verb, config=config, overrides=overrides, inputs=inputs
        )

    def runs(self, *, skip_damaged: bool = False) -> list[dict[str, Any]]:
        """Records of all runs, oldest first; `skip_damaged` leaves damaged ones out, and says so.

        Raises
        ------
        DataError
            If a record is damaged.
        """
        return read_runs(self.path / "runs", skip_damaged=skip_damaged)

    # --- inside ------------------------------------------------------------------------------

    def _product(self, folder: str, name: str) -> State:
        """What is recorded of a finished product."""
        path = self.path / folder / name
        state = metadata.read_state(path) if path.is_dir() else None
        if state is None or not state["complete"]:
            there = complete_names(self.path / folder)
            lacks = "is not finished: run the same command again" if state else "does not exist"
            raise DataError(
                f"{folder}/{name} of {self.path} {lacks}. There is: {', '.join(there) or 'none'}."
            )
        return state

    def _make_group(self, name: str) -> None:
        """Make ``labels/``, ``probabilities/`` or ``distances/`` if it is not there."""
        folder = self.path / name
        if name == "labels":
            make_index(folder, ome_version=self.ome_version)
        elif metadata.read_group(folder) is None:
            metadata.write_group(folder, {}, ome_version=self.ome_version)

    def _new_state(
        self, kind: str, inputs: str, classes: dict[str, int] | None, derived_from: str | None,
        attributes: dict[str, Any] | None,
    ) -> State:
        return {
            "kind": kind, "complete": False, "inputs": inputs, "digest": "",
            "derived_from": derived_from, "classes": classes or {},
            "attributes": attributes or {}, "ome_version": self.ome_version,
            "shape": list(self.shape), "spacing": list(self.spacing), "levels": [],
        }
