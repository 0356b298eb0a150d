"""One sample, one store: everything about a cell is in one OME-Zarr group."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import zarr
from numpy.typing import DTypeLike

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.types import Shape, Spacing, Table
from fibseg.volume import layout, metadata
from fibseg.volume.files import checked_name
from fibseg.volume.intensity import percentiles
from fibseg.volume.product import (
    Kind,
    Product,
    ProductInfo,
    State,
    complete_levels,
    complete_names,
    info_of,
    levels_of,
    new_group,
    open_level,
    prepare,
)
from fibseg.volume.runs import Run, new_run, read_runs
from fibseg.volume.tables import load_info, load_table, save_table

Polarity = Literal["dark", "bright"]
UNLABELLED = 0
BACKGROUND = 1
PREFIX = "annotation_"
RAW_TYPES = ("uint8", "uint16")
LABEL_TYPES = ("uint8", "uint16", "uint32", "uint64")


class Volume:
    """Handle on one store; light and picklable, for it keeps nothing but the path.

    `Volume(path)` looks at nothing; use `Volume.open` or `Volume.create`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._cache: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Volume({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_cache": {}}

    @classmethod
    def open(cls, path: str | Path) -> Volume:
        """Volume at `path`, checked to be whole.

        Raises
        ------
        DataError
            If it is missing, unfinished, damaged, or was not made by fibseg.
        """
        volume = cls(path)
        if not volume.path.exists():
            raise DataError(
                f"There is no volume at {path}. Make it with "
                f"'fibseg import source=… volume={path}'."
            )
        if not volume.complete:
            raise DataError(
                f"The import of {path} was not finished. Run the same 'fibseg import' again."
            )
        spacing_of(volume._state()["spacing"])
        volume.raw()
        return volume

    @classmethod
    def create(
        cls, path: str | Path, *, shape: Sequence[int], dtype: DTypeLike, spacing: Spacing,
        polarity: Polarity, intensity_range: tuple[float, float] | None = None,
        ome_version: layout.OmeVersion = "0.5", inputs: str = "", overwrite: bool = False,
    ) -> Volume:
        """New volume with an empty level 0, to be written into `raw()` and closed by `finish_raw`.

        Parameters
        ----------
        shape, dtype, spacing
            Voxels (z, y, x), uint8 or uint16, nm.
        polarity
            Whether stain is dark or bright in the stored raw.
        intensity_range
            Source values that became 0 and the largest integer, where the source was converted.
        inputs
            `fingerprint` of the source. A volume with the same one is returned as it is: to go
            on with (`complete` is false) or with nothing left to do.
        overwrite
            Replace a finished volume, except one with painting in it.

        Raises
        ------
        DataError, UsageError
            If shape, type, spacing or polarity make no sense.
        ExistsError
            If a finished volume, or anything that is no volume of fibseg, stands there.
        """
        state = raw_state(
            shape=shape, dtype=dtype, spacing=spacing, polarity=polarity,
            intensity_range=intensity_range, ome_version=ome_version, inputs=inputs,
        )
        volume = cls(path)
        if volume._make_room(state, overwrite=overwrite):
            z, y, x = shape
            new_group(volume.path, state, shape=(z, y, x), dtype=np.dtype(dtype))
        return volume

    def _make_room(self, state: State, *, overwrite: bool) -> bool:
        """Whether the volume has to be made; what stands in the way is removed if it may be."""
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return True
        try:
            standing: State | None = self._state()
        except DataError:
            standing = None
        if standing is None:
            raise ExistsError(
                f"{self.path} exists and is no volume of fibseg. Choose another path for volume=."
            )
        if state["inputs"] and all(standing.get(key) == value for key, value in state.items()
                                   if key not in ("complete", "digest", "levels", "percentiles")):
            return False
        if standing["complete"]:
            painted = self.label_names(kind="annotation")
            if painted or not overwrite:
                why = f" and holds the painting {painted}" if painted else ""
                way = "" if painted else ", or use overwrite=true to replace it with all its labels"
                raise ExistsError(
                    f"{self.path} stands already, imported from other data or settings{why}. "
                    f"Choose another path for volume={way}."
                )
        shutil.rmtree(self.path)
        self._cache.clear()
        return True

    # --- the raw image -----------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether the raw image is finished."""
        return bool(self._state()["complete"])

    @property
    def name(self) -> str:
        """Name of the sample: the folder without ``.ome.zarr``."""
        return self.path.name.removesuffix(".zarr").removesuffix(".ome")

    @property
    def spacing(self) -> Spacing:
        """Size of a voxel of level 0 in nm, (z, y, x)."""
        return spacing_of(self._state()["spacing"])

    @property
    def shape(self) -> Shape:
        """Voxels of level 0, (z, y, x)."""
        z, y, x = self._state()["shape"]
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored raw, uint8 or uint16."""
        return np.dtype(self._state()["dtype"])

    @property
    def polarity(self) -> Polarity:
        """Whether stain is dark or bright in the stored raw."""
        return "dark" if self._state()["polarity"] == "dark" else "bright"

    @property
    def intensity_range(self) -> tuple[float, float] | None:
        """Source values that became 0 and the largest integer, or None if nothing was converted."""
        stored = self._state()["intensity_range"]
        return None if stored is None else (float(stored[0]), float(stored[1]))

    @property
    def ome_version(self) -> str:
        """Version of OME-Zarr of the whole store, ``"0.5"`` or ``"0.4"``."""
        return str(self._state()["ome_version"])

    @property
    def block_shape(self) -> Shape:
        """Voxels of one block of work on level 0: the shape of a shard."""
        return layout.block_shape(self.shape, ome_version=self.ome_version)

    @property
    def journal_path(self) -> Path:
        """Where an import may keep its journal of finished blocks."""
        return self.path / ".raw.journal"

    @property
    def n_levels(self) -> int:
        """Number of pyramid levels, 1 while unfinished."""
        return max(1, len(self._state()["levels"]))

    @property
    def raw_digest(self) -> str:
        """SHA-256 of shape, type and voxels of the raw."""
        return str(self._state()["digest"])

    @property
    def percentiles(self) -> dict[str, float]:
        """Percentiles of the stored raw: ``"p0"``, ``"p0.1"``, ``"p0.5"``, ``"p1"`` … ``"p100"``."""
        return dict(self._state()["percentiles"])

    def level_spacing(self, level: int) -> Spacing:
        """Size of a voxel of pyramid level `level` in nm."""
        if level == 0:
            return self.spacing
        levels = levels_of(self._state())
        if not 0 < level < len(levels):
            raise DataError(f"{self.path} has no level {level}, only 0 to {self.n_levels - 1}.")
        return levels[level].spacing

    def raw(self, level: int = 0) -> zarr.Array[Any]:
        """Raw image; writable until `finish_raw`, read-only from then on.

        Raises
        ------
        DataError
            If there is no such level, or files of it are missing or cut off.
        """
        state = self._state()
        if not state["complete"]:
            return layout.open_array(self.path / "0", mode="r+")
        return self._open(self.path, state, level)

    def finish_raw(self) -> None:
        """Build the pyramid, record percentiles and digest, mark complete."""
        state = self._state()
        if state["complete"]:
            return
        levels, found = complete_levels(self.path, state, histogram=True)
        assert found.histogram is not None
        values = percentiles(found.histogram)
        state = {
            **state, "complete": True, "digest": found.digest, "levels": levels,
            "percentiles": values,
        }
        version = state["ome_version"]
        ome = {
            "multiscales": metadata.multiscales(
                "raw", levels_of(state), kind="image", ome_version=version
            ),
            "omero": metadata.omero(
                "raw", low=values["p0.5"], high=values["p99.5"],
                largest=np.iinfo(self.dtype).max,
            ),
        }
        metadata.write_state(self.path, state, ome=ome)
        self.journal_path.unlink(missing_ok=True)
        self._cache.clear()

    # --- labels and probabilities ------------------------------------------------------------

    def label_names(self, *, kind: Kind | None = None) -> list[str]:
        """Sorted names of the finished label images, all or those of one `kind`."""
        names = complete_names(self.path / "labels")
        return [n for n in names if kind in (None, self.labels_info(n).kind)]

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
            ``"probabilities/mitochondria"``: it then replaces an unedited older derivation.

        Raises
        ------
        ExistsError
            If a finished product with other inputs stands there and may not be replaced.
        UsageError
            If name, kind or type cannot be.
        """
        if kind not in ("labels", "annotation"):
            raise UsageError(f"kind {kind!r} of {name}. Use 'labels' or 'annotation'.")
        if kind == "annotation":
            name = PREFIX + name.removeprefix(PREFIX)
        elif name.startswith(PREFIX):
            raise UsageError(f"Labels cannot be called {name!r}: that is a name of annotations.")
        if np.dtype(dtype).name not in LABEL_TYPES:
            raise UsageError(f"Type {np.dtype(dtype)} of labels {name}. Use one of {LABEL_TYPES}.")
        path = self.path / "labels" / checked_name(name, what="label image")
        state = self._new_state(kind, inputs, classes, derived_from, attributes)
        if not (self.path / "labels").exists():
            metadata.index_labels(self.path / "labels", [], ome_version=self.ome_version)
        return prepare(
            path, state, shape=self.shape, dtype=np.dtype(dtype), overwrite=overwrite
        )

    def create_probabilities(
        self, name: str, *, inputs: str, overwrite: bool = False,
        attributes: dict[str, Any] | None = None,
    ) -> Product:
        """Probabilities (uint8) to be written; otherwise as `create_labels`."""
        folder = self.path / "probabilities"
        state = self._new_state("probabilities", inputs, None, None, attributes)
        if not folder.exists():
            metadata.write_group(folder, {}, ome_version=self.ome_version)
        return prepare(
            folder / checked_name(name, what="probability map"), state, shape=self.shape,
            dtype=np.dtype(np.uint8), overwrite=overwrite,
        )

    def scratch(
        self, name: str, *, dtype: DTypeLike, like: str = "labels", inputs: str = ""
    ) -> Product:
        """Intermediate array on the grid of level 0, in a hidden folder, until `discard`.

        One with the same `inputs` is reopened, with another one is made anew.
        """
        state = self._new_state("scratch", inputs, None, like, None)
        return prepare(
            self.path / ".scratch" / checked_name(name, what="scratch array"), state,
            shape=self.shape, dtype=np.dtype(dtype), overwrite=True,
        )

    # --- tables and runs ---------------------------------------------------------------------

    def table_names(self) -> list[str]:
        """Sorted names of the tables."""
        return sorted(p.stem for p in (self.path / "tables").glob("*.parquet") if p.name[0] != ".")

    def table(self, name: str) -> Table:
        """Columns of the table `name`; `DataError` names what is there."""
        return load_table(self._table_path(name))

    def table_info(self, name: str) -> dict[str, Any]:
        """``labels_digest`` (of the labels it was measured on), ``n_rows`` and ``columns``."""
        return load_info(self._table_path(name))

    def write_table(
        self, name: str, table: Table, *, labels_digest: str, overwrite: bool = True
    ) -> Path:
        """Write ``tables/NAME.parquet``, crash-safe and without time stamps; returns its path."""
        path = self.path / "tables" / f"{checked_name(name, what='table')}.parquet"
        return save_table(path, table, labels_digest=labels_digest, overwrite=overwrite)

    def start_run(
        self, verb: str, *, config: dict[str, Any], overrides: list[str], inputs: dict[str, str]
    ) -> Run:
        """Record of a run in ``runs/STAMP-VERB/``, which also gets the log of fibseg."""
        return new_run(
            self.path / "runs", verb, config=config, overrides=overrides, inputs=inputs
        )

    def runs(self) -> list[dict[str, Any]]:
        """Records of all runs, oldest first."""
        return read_runs(self.path / "runs")

    # --- inside ------------------------------------------------------------------------------

    def _state(self) -> State:
        """What is recorded of the raw; read once it is complete, each time before."""
        if "state" in self._cache:
            return dict(self._cache["state"])
        state = metadata.read_state(self.path) if self.path.is_dir() else None
        if state is None or state.get("kind") != "image":
            raise DataError(
                f"{self.path} is no volume of fibseg. Import it first: "
                f"'fibseg import source={self.path} volume=NEW.ome.zarr'."
            )
        if state["complete"]:
            self._cache["state"] = state
        return state

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

    def _open(self, group: Path, state: State, level: int) -> zarr.Array[Any]:
        """Array of one level; whether its files are there is looked up once per product."""
        key = f"{group}/{level} {state['digest']}"
        if key not in self._cache:
            self._cache[key] = open_level(group, state, level)
        array: zarr.Array[Any] = self._cache[key]
        return array

    def _table_path(self, name: str) -> Path:
        path = self.path / "tables" / f"{name}.parquet"
        if not path.is_file():
            there = ", ".join(self.table_names()) or "none"
            raise DataError(f"{self.path} has no table {name!r}. There is: {there}.")
        return path

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


def spacing_of(values: Any) -> Spacing:
    """`values` as a spacing in nm, (z, y, x).

    Raises
    ------
    DataError
        If they are not three finite numbers above zero.
    """
    try:
        z, y, x = (float(v) for v in values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"spacing {values!r} is not three numbers. Give nm as [z,y,x], e.g. [20,10,10]."
        ) from error
    if not all(math.isfinite(s) and s > 0 for s in (z, y, x)):
        raise DataError(f"spacing {(z, y, x)} nm: each of (z, y, x) must be above zero.")
    return z, y, x


def raw_state(
    *, shape: Sequence[int], dtype: DTypeLike, spacing: Spacing, polarity: str,
    intensity_range: tuple[float, float] | None, ome_version: str, inputs: str,
) -> State:
    """Record of a raw image still to be written, its values checked."""
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(f"A volume of shape {tuple(shape)}. It needs voxels along z, y and x.")
    if np.dtype(dtype).name not in RAW_TYPES:
        raise DataError(
            f"A raw image of type {np.dtype(dtype)}. Convert it to uint8 or uint16 (intensity_range)."
        )
    if polarity not in get_args(Polarity):
        raise UsageError(f"polarity {polarity!r}. Use 'dark' or 'bright': how stain looks.")
    if ome_version not in get_args(layout.OmeVersion):
        raise UsageError(f"ome_version {ome_version!r}. Use '0.5' or '0.4'.")
    limits = None if intensity_range is None else [float(v) for v in intensity_range]
    return {
        "kind": "image", "complete": False, "inputs": inputs, "digest": "",
        "polarity": polarity, "intensity_range": limits, "ome_version": ome_version,
        "shape": [int(n) for n in shape], "dtype": np.dtype(dtype).name,
        "spacing": list(spacing_of(spacing)), "levels": [], "percentiles": {},
    }
