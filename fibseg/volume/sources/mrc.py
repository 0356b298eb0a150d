"""MRC, the format of IMOD and of tomography."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from fibseg.errors import DataError
from fibseg.volume.sources.contiguous import ContiguousFile
from fibseg.volume.sources.source import Source
from fibseg.volume.sources.units import FileSpacing, file_spacing

_HEADER_BYTES = 1024
_IMOD_STAMP = 1146047817  # IMOD writes "IMOD" there; only then do its flags count
_MODES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}
_ANGSTROM_NM = 0.1

_log = logging.getLogger("fibseg.volume")


def open_mrc(path: Path) -> Source:
    """Source on an uncompressed MRC file, spacing from its cell size.

    Raises
    ------
    DataError
        For a truncated file, complex voxels and axes in another order.
    """
    if path.suffix.lower() in (".gz", ".bz2"):
        raise DataError(f"{path} is compressed. Unpack it first (gunzip, bunzip2).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # size is checked below, in our words
            with mrcfile.open(path, header_only=True, permissive=True) as mrc:
                header = mrc.header
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable MRC ({error}). Export it again.") from error
    if header is None:
        raise DataError(f"{path} is not a readable MRC (no header). Export it again.")
    axes = tuple(int(header[name]) for name in ("mapc", "mapr", "maps"))
    if axes not in ((1, 2, 3), (0, 0, 0)):
        raise DataError(
            f"{path} stores its axes in the order {axes} instead of (1, 2, 3). Rewrite it with "
            "x fastest and sections slowest (IMOD: rotatevol, clip)."
        )
    shape = (int(header["nz"]), int(header["ny"]), int(header["nx"]))
    return ContiguousFile(
        path, offset=_HEADER_BYTES + int(header["nsymbt"]), shape=shape,
        dtype=_dtype(path, header), spacing=_spacing(path, header),
    )  # fmt: skip


def _dtype(path: Path, header: Any) -> np.dtype[Any]:
    """Voxel type; IMOD's bytes are unsigned unless its flag says otherwise."""
    mode = int(header["mode"])
    if mode not in _MODES:
        raise DataError(
            f"{path} has MRC mode {mode}; fibseg reads modes {sorted(_MODES)} (real numbers). "
            "Convert it, e.g. with newstack -mode 0."
        )
    extra = bytes(np.asarray(header["extra2"]).tobytes())
    little = header["mode"].dtype.byteorder in "<=|"
    # imodStamp and imodFlags are bytes 152 to 159 of the header, inside the field `extra2`
    start = 152 - header.dtype.fields["extra2"][1]
    order = "little" if little else "big"
    stamp = int.from_bytes(extra[start : start + 4], order)  # type: ignore[arg-type]
    flags = int.from_bytes(extra[start + 4 : start + 8], order)  # type: ignore[arg-type]
    if mode == 0 and stamp == _IMOD_STAMP and not flags & 1:
        return np.dtype(np.uint8)
    return np.dtype(_MODES[mode]).newbyteorder("<" if little else ">")


def _spacing(path: Path, header: Any) -> FileSpacing | None:
    """Cell size divided by sampling, in nm."""
    lengths: list[float | None] = []
    for axis in "zyx":
        n = int(header[f"m{axis}"])
        lengths.append(float(header["cella"][axis]) / n if n > 0 else None)
    if lengths == [1.0, 1.0, 1.0]:
        _log.info("%s: a voxel size of exactly 1 Å is MRC's word for unknown; not used", path)
        return None
    return file_spacing(*(v and v * _ANGSTROM_NM for v in lengths))
