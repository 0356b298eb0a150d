"""HDF5 as Fiji, ilastik and PlantSeg write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fibseg.errors import DataError
from fibseg.volume.sources.source import ArraySource, Source
from fibseg.volume.sources.units import FileSpacing, file_spacing

_UM = 1000.0


class Hdf5Source(ArraySource):
    """One dataset of an HDF5 file."""

    def __init__(self, path: Path, file: h5py.File, dataset: h5py.Dataset) -> None:
        self._file = file
        self._name = str(dataset.name)
        chunks = dataset.chunks
        whole_planes = chunks is not None and all(
            c >= n for c, n in zip(chunks[-2:], dataset.shape[-2:], strict=False)
        )
        super().__init__(
            path, dataset, spacing=hdf5_spacing(dataset.attrs), plane_wise=whole_planes
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_array": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._file = h5py.File(self.path, "r")
        self._array = self._file[self._name]


def open_hdf5(path: Path, *, dataset: str | None) -> Source:
    """Source on a dataset of an HDF5 file; the only one if `dataset` is None.

    Raises
    ------
    DataError
        For a damaged file, a missing dataset, and several datasets without a choice.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(
            f"{path} is not a readable HDF5 file ({error}). Copy or export it again."
        ) from error
    try:
        return Hdf5Source(path, file, _chosen(path, file, dataset))
    except BaseException:
        file.close()
        raise


def _chosen(path: Path, file: h5py.File, dataset: str | None) -> h5py.Dataset:
    found: dict[str, tuple[int, ...]] = {}

    def visit(name: str, item: Any) -> None:
        """Note what may be a volume."""
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) >= 2:
            found[name] = item.shape

    file.visititems(visit)
    name = dataset.strip("/") if dataset else next(iter(found), "") if len(found) == 1 else ""
    if name in found:
        return file[name]
    listed = ", ".join(f"{n} {s}" for n, s in found.items()) or "none with two axes or more"
    wish = f"no dataset {dataset!r}" if dataset else "not exactly one dataset"
    raise DataError(f"{path} has {wish}. Set dataset= to one of: {listed}.")


def hdf5_spacing(attributes: Any) -> FileSpacing | None:
    """Voxel size in nm: `element_size_um` (Fiji, PlantSeg), or `resolution` in nm (CREMI)."""
    for key, nm in (("element_size_um", _UM), ("resolution", 1.0)):
        values = np.ravel(attributes.get(key, ()))
        if len(values) == 3 and values.dtype.kind in "iuf":
            z, y, x = (float(v) * nm for v in values)
            return file_spacing(z, y, x)
    return None
