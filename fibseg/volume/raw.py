"""The raw image of a store: created, filled, finished once, then read and trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.types import Spacing
from fibseg.volume import layout, metadata
from fibseg.volume.digests import open_noted
from fibseg.volume.files import remove_tree
from fibseg.volume.index import names_of_kind
from fibseg.volume.intensity import percentiles
from fibseg.volume.levels import Pyramid, levels_of, open_level
from fibseg.volume.lifecycle import new_group
from fibseg.volume.lock import refuse_used
from fibseg.volume.metadata import State
from fibseg.volume.raw_record import RawRecord
from fibseg.volume.record import Polarity, raw_state, spacing_of


class RawStore(RawRecord):
    """The half of `Volume` about the raw image, which makes a store a store: made, filled, read."""

    @classmethod
    def open(cls, path: str | Path) -> Self:
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
    ) -> Self:
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
        BusyError
            If a volume is to be replaced in which another run works.
        """
        state = raw_state(
            shape=shape, dtype=dtype, spacing=spacing, polarity=polarity,
            intensity_range=intensity_range, ome_version=ome_version, inputs=inputs,
        )
        volume = cls(path)
        if volume._make_room(state, overwrite=overwrite):
            z, y, x = state["shape"]
            new_group(volume.path, state, shape=(z, y, x), dtype=np.dtype(state["dtype"]))
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
            painted = names_of_kind(self.path / "labels", "annotation")
            if painted or not overwrite:
                why = f" and holds the painting {painted}" if painted else ""
                way = "" if painted else ", or use overwrite=true to replace it with all its labels"
                raise ExistsError(
                    f"{self.path} stands already, imported from other data or settings{why}. "
                    f"Choose another path for volume={way}."
                )
        refuse_used(self.path)
        remove_tree(self.path)
        self._cache.clear()
        return True

    @property
    def journal_path(self) -> Path:
        """Where an import may keep its journal of finished blocks."""
        return self.path / ".raw.journal"

    def raw(self, level: int = 0) -> zarr.Array[Any]:
        """Raw image; writable until `finish_raw`, read-only from then on.

        Raises
        ------
        DataError
            If there is no such level, or files of it are missing or cut off.
        """
        state = self._state()
        if not state["complete"]:
            return open_noted(self.path / "0")
        return self._open(self.path, state, level)

    @property
    def pyramid(self) -> Pyramid:
        """Levels of the raw image as they are planned, to be filled before `finish_raw`."""
        return Pyramid.planned(self.path, self._state())

    def finish_raw(self, *, histogram: NDArray[np.int64]) -> None:
        """Record levels, percentiles and digest, mark complete; again, it changes nothing.

        `fibseg.pipeline.pyramid.finish_raw` fills the coarser levels first.

        Parameters
        ----------
        histogram
            Number of voxels of every value of the type.

        Raises
        ------
        DataError
            If blocks were never written, or levels are missing.
        UsageError
            If the histogram is of more or fewer voxels.
        """
        state = self._state()
        if state["complete"]:
            return
        n_voxels = int(np.prod(state["shape"], dtype=np.int64))
        if histogram.sum() != n_voxels:
            raise UsageError(
                f"The histogram has {histogram.sum()} voxels, but the image has {n_voxels}. Count "
                "every voxel once, or leave the histogram out."
            )
        pyramid = Pyramid.planned(self.path, state)
        levels = pyramid.recorded()
        values = percentiles(histogram)
        state = {
            **state, "complete": True, "digest": levels[0]["digest"], "levels": levels,
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
        pyramid.clear()
        self._cache.clear()

    def _open(self, group: Path, state: State, level: int) -> zarr.Array[Any]:
        """Array of one level; whether its files are there is looked up once per product."""
        key = f"{group}/{level} {state['digest']}"
        if key not in self._cache:
            self._cache[key] = open_level(group, state, level)
        array: zarr.Array[Any] = self._cache[key]
        return array
