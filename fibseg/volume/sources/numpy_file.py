"""NPY and NPZ, also compressed ones that are larger than memory."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume.sources.contiguous import ContiguousFile
from fibseg.volume.sources.source import Source, kept_axes, shape_zyx


class UnpackedArray(Source):
    """An array of an NPZ, unpacked into a temporary file that goes away with the source.

    Copies of the source in other processes read the same file, and leave it there.
    """

    def __init__(self, path: Path, member: str) -> None:
        self._owner = True
        with tempfile.NamedTemporaryFile(suffix=".npy", prefix="fibseg-", delete=False) as file:
            self._unpacked = Path(file.name)
            try:
                with zipfile.ZipFile(path) as archive, archive.open(member) as packed:
                    shutil.copyfileobj(packed, file, 1 << 20)
            except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
                self.close()
                raise DataError(
                    f"{path}: {member} cannot be unpacked ({error}). The file is damaged or the "
                    "temporary folder is full (set TMPDIR to a larger one)."
                ) from error
        try:
            self._voxels = open_npy(self._unpacked, name=f"{path}: {member}")
        except BaseException:
            self.close()
            raise
        super().__init__(path, shape=self._voxels.shape, dtype=self._voxels.dtype)

    def read(self, box: Box) -> np.ndarray[Any, np.dtype[Any]]:
        """Voxels of `box`."""
        return self._voxels.read(box)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._owner:
            self._unpacked.unlink(missing_ok=True)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_owner": False}


def open_npy(path: Path, *, name: str | None = None) -> Source:
    """Source on an NPY file.

    Raises
    ------
    DataError
        For a damaged or truncated file, Fortran order, objects, and channels.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _header(file)
            offset = file.tell()
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{name} is not a readable NPY ({error}). Save it again.") from error
    if dtype.hasobject:
        raise DataError(f"{name} holds Python objects. Save an array of numbers (numpy.save).")
    if fortran and len([n for n in shape if n > 1]) > 1:
        raise DataError(
            f"{name} is in Fortran order (x slowest). Save numpy.ascontiguousarray(array), with "
            "the axes (z, y, x)."
        )
    kept = shape_zyx(shape, kept_axes(shape, name=name))
    return ContiguousFile(path, offset=offset, shape=kept, dtype=dtype)


def open_npz(path: Path, *, array: str | None) -> Source:
    """Source on one array of an NPZ file; the only one if `array` is None.

    Raises
    ------
    DataError
        For a damaged file, a missing array, and several arrays without a choice.
    """
    found: dict[str, tuple[int, ...]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as file:
                        found[member.removesuffix(".npy")] = _header(file)[0]
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is not a readable NPZ ({error}). Save it again.") from error
    stacks = [name for name, shape in found.items() if len(shape) >= 2]
    name = array or (stacks[0] if len(stacks) == 1 else None)
    if name not in found:
        listed = ", ".join(f"{n} {s}" for n, s in found.items()) or "none"
        wish = f"no array {array!r}" if array else "not exactly one array"
        raise DataError(f"{path} has {wish}. Set array= to one of: {listed}.")
    return UnpackedArray(path, f"{name}.npy")


def _header(file: BinaryIO | Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype; the file stands at its first voxel afterwards."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0 if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )  # fmt: skip
    return read(file)
