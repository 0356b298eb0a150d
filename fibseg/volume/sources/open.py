"""The one door to every input format."""

from __future__ import annotations

from pathlib import Path

from fibseg.errors import DataError
from fibseg.volume.sources.folder import TIFF_SUFFIXES, PlaneFolder, open_folder
from fibseg.volume.sources.hdf5 import open_hdf5
from fibseg.volume.sources.mrc import open_mrc
from fibseg.volume.sources.numpy_file import open_npy, open_npz
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.tiff import open_tiff
from fibseg.volume.sources.zarr_group import is_zarr, open_zarr

_HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
_MRC = (".mrc", ".rec", ".st", ".map", ".ali", ".gz", ".bz2")


def open_source(
    path: str | Path, *, dataset: str | None = None, array: str | None = None
) -> Source:
    """Source on a stack, whatever its format; close it (or use `with`) when done.

    Parameters
    ----------
    path
        Folder of TIFF or PNG planes; TIFF, OME-TIFF or ImageJ TIFF; one PNG; MRC; HDF5; NPY;
        NPZ; Zarr or OME-Zarr (version 2 or 3).
    dataset
        Which dataset of an HDF5 or Zarr.
    array
        Which array of an NPZ.

    Raises
    ------
    DataError
        If the path is missing, unreadable, truncated, ambiguous, or not one grey volume.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path} does not exist. Check source=.")
    if dataset and not (path.is_dir() or suffix in _HDF5):
        raise DataError(f"{path} has no datasets; leave dataset= out (it is for HDF5 and Zarr).")
    if array and suffix != ".npz":
        raise DataError(f"{path} has no named arrays; leave array= out (it is for NPZ).")
    if path.is_dir():
        return open_zarr(path, dataset=dataset) if is_zarr(path) else open_folder(path)
    if suffix in TIFF_SUFFIXES:
        return open_tiff(path)
    if suffix == ".png":
        return PlaneFolder(path, [path], None)
    if suffix in _HDF5:
        return open_hdf5(path, dataset=dataset)
    if suffix == ".npy":
        return open_npy(path)
    if suffix == ".npz":
        return open_npz(path, array=array)
    if suffix in _MRC:
        return open_mrc(path)
    raise DataError(
        f"{path} has the suffix {suffix or 'nothing'!r}, which fibseg does not read. It reads "
        ".tif, .tiff, .png, .mrc, .rec, .h5, .hdf5, .npy, .npz, a folder of planes, and Zarr."
    )
