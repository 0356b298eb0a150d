"""Surfaces as files that Blender, Amira, Imaris and Fiji open: binary STL and PLY, streamed.

Objects are added one by one; a file has its name only when it is whole. Coordinates are (x, y, z),
triangles run counter-clockwise seen from outside. Equal surfaces make equal bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.volume.files import partial_path, room_for, sync_folder

MOST_VERTICES = 2**31 - 1
"""Of a PLY file, whose readers take numbers of vertices for signed ones."""
MOST_TRIANGLES = 2**32 - 1
"""Of an STL file, which counts them with 32 bits."""
_AT_ONCE = 2**18
_STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_PLY_VERTEX = np.dtype([("place", "<f4", 3), ("color", "u1", 3), ("label", "<u4")])
_PLY_FACE = np.dtype([("n", "u1"), ("corners", "<i4", 3)])
Color = tuple[int, int, int]


class StlFile:
    """Binary STL: triangles of all objects, without colours and numbers.

    Parameters
    ----------
    path
        What it is called once it is whole; what stands there is replaced.
    title
        What the header says, up to 80 letters of ASCII.
    """

    def __init__(self, path: Path, *, title: str) -> None:
        self._path, self._partial = path, partial_path(path)
        # A header that begins with "solid" would be taken for that of a text file.
        self._title = f"binary STL {title}".encode("ascii", "replace")[:80].ljust(80)
        self._n = 0
        self._file: IO[bytes]

    def __enter__(self) -> Self:
        self._file = self._partial.open("wb")  # closed in __exit__
        self._file.write(self._title + bytes(4))
        return self

    def add(
        self, vertices: NDArray[np.float64], faces: NDArray[np.integer], *, label: int,
        color: Color,
    ) -> None:
        """Append the triangles of one object.

        Parameters
        ----------
        vertices
            (n, 3), (z, y, x), in the unit of the file.
        faces
            (m, 3), places of vertices.
        label, color
            Its number and colour, for which this format has no place.

        Raises
        ------
        DataError
            If there are more triangles than the format can count.
        """
        self._n += len(faces)
        if self._n > MOST_TRIANGLES:
            raise DataError(f"{self._path} cannot count {self._n:,} triangles. {_FEWER}")
        places = np.asarray(vertices, np.float64)[:, ::-1]
        with room_for(self._path, len(faces) * _STL.itemsize):
            for begin in range(0, len(faces), _AT_ONCE):
                corners = places[faces[begin : begin + _AT_ONCE]]
                a, b, c = np.moveaxis(corners, 1, 0)
                normal = np.cross(b - a, c - a)
                length = np.linalg.norm(normal, axis=1, keepdims=True)
                rows = np.zeros(len(corners), _STL)
                rows["normal"] = normal / np.where(length > 0, length, 1)
                rows["corners"] = corners
                self._file.write(rows.tobytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file as file:
            if error is None:
                file.seek(80)
                file.write(self._n.to_bytes(4, "little"))
                _synced(file)
        _published(self._partial, self._path, whole=error is None)


class PlyFile:
    """Binary PLY: vertices with colour and ``label``, the number of their object.

    Parameters
    ----------
    path
        What it is called once it is whole; what stands there is replaced.
    title
        A comment in the header.
    """

    def __init__(self, path: Path, *, title: str) -> None:
        self._path, self._title, self._partial = path, title, partial_path(path)
        self._own = [partial_path(path) for _ in range(2)]
        self._n_vertices = self._n_faces = 0
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        self._files = [path.open("w+b") for path in self._own]  # closed in __exit__
        return self

    def add(
        self, vertices: NDArray[np.float64], faces: NDArray[np.integer], *, label: int,
        color: Color,
    ) -> None:
        """Append one object.

        Parameters
        ----------
        vertices
            (n, 3), (z, y, x), in the unit of the file.
        faces
            (m, 3), places of vertices.
        label, color
            Its number, and red, green and blue, 0 to 255.

        Raises
        ------
        DataError
            If there are more vertices than the format can count.
        """
        if self._n_vertices + len(vertices) > MOST_VERTICES:
            raise DataError(
                f"{self._path} cannot have {self._n_vertices + len(vertices):,} vertices. {_FEWER}"
            )
        points = np.empty(len(vertices), _PLY_VERTEX)
        points["place"] = np.asarray(vertices)[:, ::-1]
        points["color"], points["label"] = color, label
        n_bytes = points.nbytes + len(faces) * _PLY_FACE.itemsize
        with room_for(self._path, 2 * n_bytes):
            self._files[0].write(points.tobytes())
            for begin in range(0, len(faces), _AT_ONCE):
                some = faces[begin : begin + _AT_ONCE]
                rows = np.empty(len(some), _PLY_FACE)
                rows["n"], rows["corners"] = 3, some + self._n_vertices
                self._files[1].write(rows.tobytes())
        self._n_vertices += len(vertices)
        self._n_faces += len(faces)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        whole = False
        try:
            if error is None:
                self._put_together()
                whole = True
        finally:
            for file, path in zip(self._files, self._own, strict=True):
                file.close()
                path.unlink()
            _published(self._partial, self._path, whole=whole)

    def _put_together(self) -> None:
        n_bytes = sum(file.tell() for file in self._files)
        with room_for(self._path, n_bytes), self._partial.open("wb") as whole:
            whole.write("\n".join(self._header()).encode("ascii", "replace"))
            for file in self._files:
                file.seek(0)
                shutil.copyfileobj(file, whole, 2**22)
            _synced(whole)

    def _header(self) -> Iterator[str]:
        yield from ("ply", "format binary_little_endian 1.0", f"comment {self._title}")
        yield f"element vertex {self._n_vertices}"
        yield from (f"property float {axis}" for axis in "xyz")
        yield from (f"property uchar {color}" for color in ("red", "green", "blue"))
        yield from ("property uint label", f"element face {self._n_faces}")
        yield from ("property list uchar int vertex_indices", "end_header\n")


MeshFile = StlFile | PlyFile
_FEWER = "Use max_faces=, a coarser level=, or a folder with a file for each object."


def _synced(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _published(partial: Path, path: Path, *, whole: bool) -> None:
    """Give a whole file its name; nothing is left of another."""
    if whole:
        partial.replace(path)
        sync_folder(path.parent)
    else:
        partial.unlink(missing_ok=True)
