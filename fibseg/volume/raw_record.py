"""What is recorded of the raw image of a store, read from its metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fibseg.errors import DataError
from fibseg.types import Shape, Spacing
from fibseg.volume import layout, metadata
from fibseg.volume.levels import levels_of
from fibseg.volume.metadata import State
from fibseg.volume.record import Polarity, spacing_of

NEEDED = {
    "shape", "dtype", "spacing", "polarity", "intensity_range", "percentiles", "levels", "digest",
    "ome_version",
}
"""What has to be recorded of a raw image."""


class RawRecord:
    """The part of `Volume` that only reads the record of its raw image, never voxels."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._cache: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_cache": {}}

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
    def ome_version(self) -> layout.OmeVersion:
        """Version of OME-Zarr of the whole store, ``"0.5"`` or ``"0.4"``."""
        version: layout.OmeVersion = self._state()["ome_version"]
        return version

    @property
    def block_shape(self) -> Shape:
        """Voxels of one block of work on level 0: the shape of a shard."""
        return layout.block_shape(self.shape, ome_version=self.ome_version)

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
        """Percentiles of the stored raw: ``"p0"``, ``"p0.1"``, ``"p0.5"`` … ``"p100"``."""
        return dict(self._state()["percentiles"])

    def level_spacing(self, level: int) -> Spacing:
        """Size of a voxel of pyramid level `level` in nm."""
        if level == 0:
            return self.spacing
        levels = levels_of(self._state())
        if not 0 < level < len(levels):
            raise DataError(f"{self.path} has no level {level}, only 0 to {self.n_levels - 1}.")
        return levels[level].spacing

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
        if not set(state) >= NEEDED:
            raise DataError(
                f"The record of {self.path} lacks {', '.join(sorted(NEEDED - set(state)))}: it was "
                "changed by another program. Take the store from a copy, or import it again."
            )
        if state["complete"]:
            self._cache["state"] = state
        return state
