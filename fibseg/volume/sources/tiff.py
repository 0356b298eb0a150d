"""Multi-page TIFF, OME-TIFF and ImageJ TIFF."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.types import Shape
from fibseg.volume.sources.contiguous import ContiguousFile
from fibseg.volume.sources.source import PlaneSource, Source
from fibseg.volume.sources.tiff_metadata import check_complete, tiff_spacing

# what tifffile complains about is refused in plain words; without this it also goes to stderr
logging.getLogger("tifffile").addHandler(logging.NullHandler())

PALETTE = 3
_STACK_AXES = "ZIQT"  # T: many ImageJ stacks of sections are saved as time points


class TiffStack(PlaneSource):
    """Pages of a TIFF that are compressed or scattered, decoded one by one."""

    def __init__(self, path: Path, tif: tifffile.TiffFile, shape: Shape) -> None:
        super().__init__(
            path, shape=shape, dtype=tif.series[0].dtype, spacing=tiff_spacing(tif),
            plane_wise=True, palette=is_palette(tif),
        )  # fmt: skip
        self._hold(tif)
        if None in self._pages:
            raise DataError(
                f"{path}: plane {self._pages.index(None)} of the series is in no file. OME-TIFF "
                "spreads a stack over several files: copy all of them into one folder."
            )

    def plane(self, index: int) -> NDArray[Any]:
        """Plane `index`, shape (y, x)."""
        with self._turns:
            return decoded(self.path, self._pages[index], self.shape[1:], index)

    def close(self) -> None:
        """Close the file."""
        self._tif.close()

    def _hold(self, tif: tifffile.TiffFile) -> None:
        self._tif, self._pages = tif, list(tif.series[0].pages)
        tif.filehandle.set_lock(True)  # threads that read other planes share the place in the file
        # Further files of an OME-TIFF are opened and closed by tifffile around every page.
        several = any(page is not None and page.parent is not tif for page in self._pages)
        self._turns = threading.Lock() if several else contextlib.nullcontext()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tif": None, "_pages": None, "_turns": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._hold(tiff_file(self.path))


def open_tiff(path: Path) -> Source:
    """Source on one TIFF file.

    Raises
    ------
    DataError
        For a truncated or damaged file, RGB, channels, and planes of different shape.
    """
    tif = tiff_file(path)
    try:
        check_complete(path, tif)
        shape = _shape(path, tif)
        series = tif.series[0]
        if series.dataoffset is None or is_palette(tif):
            return TiffStack(path, tif, shape)
        source = ContiguousFile(
            path, offset=series.dataoffset, shape=shape, spacing=tiff_spacing(tif),
            dtype=series.dtype.newbyteorder(tif.byteorder),
        )  # fmt: skip
    except BaseException:
        tif.close()
        raise
    tif.close()
    return source


def tiff_file(path: Path) -> tifffile.TiffFile:
    """Open TIFF file, with one kind of error for everything that can be wrong in its header."""
    try:
        tif = tifffile.TiffFile(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist. Check the path.") from error
    except Exception as error:
        raise DataError(
            f"{path} is not a readable TIFF ({error}). Copy or export it again."
        ) from error
    if not len(tif.pages):
        tif.close()
        raise DataError(f"{path} holds no page. Copy or export it again.")
    return tif


def is_palette(tif: tifffile.TiffFile) -> bool:
    """Whether voxels index a colour table."""
    return int(tif.pages.first.photometric) == PALETTE


def decoded(path: Path, page: Any, shape: tuple[int, ...], index: int) -> NDArray[Any]:
    """Voxels of one page, shape (y, x), native byte order.

    Raises
    ------
    DataError
        If the page cannot be decoded or has another shape.
    """
    try:
        data = np.asarray(page.asarray())
    except Exception as error:
        raise DataError(
            f"{path}: plane {index} cannot be decoded ({error}). The file is damaged; copy or "
            "export it again."
        ) from error
    if data.size != math.prod(shape):
        raise DataError(
            f"{path}: plane {index} has shape {data.shape} instead of {shape}. Export planes of "
            "one size."
        )
    return data.reshape(shape).astype(data.dtype.newbyteorder("="), copy=False)


def _shape(path: Path, tif: tifffile.TiffFile) -> Shape:
    """Shape (z, y, x) of the one series of a file."""
    if len(tif.series) > 1:
        kinds = ", ".join(f"{s.shape} {s.dtype}" for s in tif.series[:4])
        raise DataError(
            f"{path} holds {len(tif.series)} series of images of different shape or type "
            f"({kinds}). Export one stack with planes of one shape and one type."
        )
    series = tif.series[0]
    lengths = {
        axis: n for axis, n in zip(series.axes, series.shape, strict=True)
        if n > 1 or axis in "YX"
    }  # fmt: skip
    stack = [axis for axis in lengths if axis in _STACK_AXES]
    if "S" in lengths:
        raise DataError(
            f"{path} is an RGB image ({lengths['S']} samples per pixel). Convert it to one grey "
            "channel (in Fiji: Image > Type > 8-bit)."
        )
    if len(stack) > 1 or set(lengths) - {*stack, "Y", "X"}:
        raise DataError(
            f"{path} has axes {series.axes} of lengths {series.shape}, but a volume has three "
            "axes (z, y, x). Export one channel and one time point."
        )
    return (lengths[stack[0]] if stack else 1), lengths["Y"], lengths["X"]
