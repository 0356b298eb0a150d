"""What every kind of input file looks like to fibseg: a (z, y, x) array that is read box by box.

A source travels to worker processes: what is open is opened again there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.types import Shape
from fibseg.volume.sources.units import FileSpacing


class Source(ABC):
    """A readable stack: shape, dtype and spacing without reading voxels, voxels by box.

    Attributes
    ----------
    path
        File or folder.
    shape, dtype
        Voxels (z, y, x) and their type, in the byte order of this machine.
    spacing
        nm (z, y, x) as the file states it, None per axis where it does not, None without any.
    planes
        Plane numbers from file names (folders only), else None.
    plane_wise
        Whether reading a part of a plane costs as much as reading the plane.
    palette
        Whether voxels are indices of a colour table: fine for labels, not for an image.
    contradiction
        In words, where files of one stack state different spacings; empty where they agree.
    """

    def __init__(
        self, path: Path, *, shape: Shape, dtype: np.dtype[Any], spacing: FileSpacing | None = None,
        planes: list[int] | None = None, plane_wise: bool = False, palette: bool = False,
        contradiction: str = "",
    ) -> None:  # fmt: skip
        if 0 in shape:
            raise DataError(f"{path} holds no voxels: its shape is {shape}. Check the file.")
        self.path = path
        self.shape = shape
        self.dtype = dtype.newbyteorder("=")
        self.spacing = spacing
        self.planes = planes
        self.plane_wise = plane_wise
        self.palette = palette
        self.contradiction = contradiction

    @property
    def unit(self) -> Shape:
        """The least that is worth reading at once (z, y, x): a part of it costs as much as all."""
        return (1, *self.shape[1:]) if self.plane_wise else (1, 1, self.shape[2])

    @abstractmethod
    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`, shape `box.shape`, native byte order; several threads may read."""

    def __getitem__(self, cut: Sequence[slice]) -> NDArray[Any]:
        """Voxels between starts and stops, as the engine cuts boxes out of any array."""
        ends = [one.indices(n)[:2] for one, n in zip(cut, self.shape, strict=True)]
        return self.read(Box(tuple(a for a, _ in ends), tuple(b for _, b in ends)))

    def close(self) -> None:  # noqa: B027 (most sources hold no open file)
        """Let go of open files."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


class PlaneSource(Source):
    """A source that decodes whole planes."""

    @abstractmethod
    def plane(self, index: int) -> NDArray[Any]:
        """Plane `index`, shape (y, x)."""

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`, plane by plane."""
        out = np.empty(box.shape, self.dtype)
        _, rows, columns = box.slices
        for k in range(box.shape[0]):
            out[k] = self.plane(box.start[0] + k)[rows, columns]
        return out


class ArraySource(Source):
    """A source on anything that is sliced like an array (HDF5, Zarr, NumPy)."""

    def __init__(
        self, path: Path, array: Any, *, spacing: FileSpacing | None = None,
        plane_wise: bool = False,
    ) -> None:  # fmt: skip
        self._array = array
        self._kept = kept_axes(array.shape, name=str(path))
        super().__init__(
            path, shape=shape_zyx(array.shape, self._kept), dtype=np.dtype(array.dtype),
            spacing=spacing, plane_wise=plane_wise,
        )  # fmt: skip

    @property
    def unit(self) -> Shape:
        """One chunk, where voxels are stored in chunks."""
        chunks = getattr(self._array, "chunks", None)
        if chunks is None or self.plane_wise:
            return super().unit
        return shape_zyx([min(c, n) for c, n in zip(chunks, self._array.shape, strict=True)],
                         self._kept)

    def read(self, box: Box) -> NDArray[Any]:
        """Voxels of `box`."""
        index: list[Any] = [0] * len(self._array.shape)
        for axis, cut in zip(self._kept, box.slices[-len(self._kept) :], strict=True):
            index[axis] = cut
        try:
            data = np.asarray(self._array[tuple(index)])
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{self.path} cannot be read at {box.start} to {box.stop} ({error}). "
                "The file looks damaged; copy it again."
            ) from error
        return data.reshape(box.shape).astype(self.dtype, copy=False)


def kept_axes(shape: Sequence[int], *, name: str) -> tuple[int, ...]:
    """Axes of an array that are z, y, x (or y, x): axes of length 1 before and after are dropped.

    Raises
    ------
    DataError
        For channels, time points or colours, and for arrays of less than two axes.
    """
    axes = list(range(len(shape)))
    for axis in reversed(range(len(shape))):  # a trailing channel of 1, as ilastik writes, first
        if len(axes) > 3 and shape[axis] == 1 and axis not in axes[-3:-1]:
            axes.remove(axis)
    if len(axes) not in (2, 3):
        raise DataError(
            f"{name} has shape {tuple(shape)}, but a volume has three axes (z, y, x). "
            "Export one channel and one time point."
        )
    if len(axes) == 3 and shape[axes[2]] in (3, 4) and min(shape[axes[0]], shape[axes[1]]) > 16:
        raise DataError(
            f"{name} has shape {tuple(shape)}, which looks like an RGB image. "
            "Convert it to one grey channel (in Fiji: Image > Type > 8-bit)."
        )
    return tuple(axes)


def shape_zyx(shape: Sequence[int], axes: Sequence[int]) -> Shape:
    """Lengths of the kept axes, with one plane in front of a (y, x) image."""
    z, y, x = ([1, 1, 1] + [int(shape[a]) for a in axes])[-3:]
    return z, y, x
