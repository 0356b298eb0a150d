"""How a volume lies on disk: chunks are what is compressed, shards are files, blocks are tasks.

A shard of (64, 512, 512) is 16 MB of uint8 and 64 MB of uint32: large enough that a volume of
10⁹ voxels is some 60 files, small enough that a worker holds several.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.storage import LocalStore

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.types import Shape
from fibseg.volume.files import PARTIAL, room_for

if TYPE_CHECKING:
    from zarr.core.array_spec import ArrayConfigParams

OmeVersion = Literal["0.5", "0.4"]
BLOCK: Shape = (64, 512, 512)
CHUNK = 64
THIN_CHUNK = 256
CHUNK_04: Shape = (64, 128, 128)
ARRAY_METADATA = (".zarray", ".zattrs", "zarr.json")
WRITE: ArrayConfigParams = {"write_empty_chunks": True}


def chunk_shape(shape: Sequence[int], *, ome_version: str) -> Shape:
    """Voxels that are compressed together: cubes of 64, or wide tiles where there are few planes.

    >>> chunk_shape((730, 2000, 2000), ome_version="0.5")
    (64, 64, 64)
    >>> chunk_shape((1, 700, 90), ome_version="0.5")
    (1, 256, 90)
    """
    wide = CHUNK if shape[0] >= CHUNK // 2 else THIN_CHUNK
    wanted = (CHUNK, wide, wide) if ome_version == "0.5" else CHUNK_04
    z, y, x = (min(n, c) for n, c in zip(shape, wanted, strict=True))
    return z, y, x


def block_shape(shape: Sequence[int], *, ome_version: str) -> Shape:
    """Voxels of one task, which is also the shape of one shard (one file).

    >>> block_shape((100, 200, 2000), ome_version="0.5")
    (64, 256, 512)
    """
    chunks = chunk_shape(shape, ome_version=ome_version)
    z, y, x = (
        min(b // c * c, math.ceil(n / c) * c)
        for n, c, b in zip(shape, chunks, BLOCK, strict=True)
    )
    return z, y, x


def create_array(
    path: Path, *, shape: Sequence[int], dtype: np.dtype[Any], ome_version: str
) -> zarr.Array[Any]:
    """New array at `path`, with checksums, every chunk to be written even when it is all zero."""
    chunks = chunk_shape(shape, ome_version=ome_version)
    common: dict[str, Any] = {
        "store": path, "shape": tuple(shape), "dtype": dtype, "chunks": chunks, "fill_value": 0,
        "config": WRITE,
    }
    if ome_version == "0.4":
        common |= {
            "zarr_format": 2,
            "compressors": numcodecs.Zstd(level=1, checksum=True),
            "chunk_key_encoding": {"name": "v2", "separator": "/"},
        }
    else:
        common |= {
            "zarr_format": 3,
            "shards": block_shape(shape, ome_version=ome_version),
            "compressors": ZstdCodec(level=1, checksum=True),
            "dimension_names": ["z", "y", "x"],
        }
    with room_for(path):
        return StoredArray(zarr.create_array(**common).async_array)


class StoredArray(zarr.Array[Any]):
    """A Zarr array that says which file of which store is damaged or finds no room."""

    def __getitem__(self, selection: Any) -> Any:
        """Voxels of `selection`.

        Raises
        ------
        DataError
            If a chunk cannot be decoded or its checksum is wrong.
        """
        try:
            return super().__getitem__(selection)
        except (RuntimeError, ValueError, OSError) as error:
            raise DataError(
                f"{self._damage(selection)} ({error}). Take the store from a copy, or make what is "
                "damaged again; 'fibseg verify' names all of it."
            ) from error

    def __setitem__(self, selection: Any, value: Any) -> None:
        """Write voxels.

        Raises
        ------
        DiskFullError
            If there is no room for them; a shard that stood there stands as it was.
        """
        with room_for(self.folder, np.asarray(value).nbytes):
            super().__setitem__(selection, value)

    def _damage(self, selection: Any) -> str:
        """Where the first chunk lies that cannot be read, as far as can be told."""
        wanted = _box_of(selection, self.shape)
        if wanted is not None:
            for tile in _tiles(wanted, self.chunks):
                try:
                    super().__getitem__(tile.intersect(wanted).slices)
                except (RuntimeError, ValueError, OSError):
                    chunk = tile.clip(self.shape)
                    file = file_of(self.folder, self, chunk)
                    return f"{file} is damaged: voxels {chunk.start} to {chunk.stop} cannot be read"
        return f"{self.folder} cannot be read at {selection}"

    @property
    def folder(self) -> Path:
        """Where the array lies."""
        return cast(LocalStore, self.store).root / self.path


def open_array(path: Path, *, mode: Literal["r", "r+"] = "r") -> zarr.Array[Any]:
    """Array at `path`, whose reading raises `DataError` where a chunk is damaged.

    Raises
    ------
    DataError
        If there is none, or its metadata is damaged.
    """
    try:
        # open_array drops its `config` for arrays that exist (zarr 3.1.6).
        array = zarr.open_array(path, mode=mode).with_config(WRITE)
        return StoredArray(array.async_array)
    except Exception as error:
        raise DataError(
            f"{path} is not a readable Zarr array ({error}). The store is damaged: take it from a "
            "copy, or make it again."
        ) from error


def boxes(shape: Sequence[int], block: Sequence[int]) -> Iterator[Box]:
    """Boxes of `block` that tile an array of `shape`, in (z, y, x) order."""
    grid = (math.ceil(n / b) for n, b in zip(shape, block, strict=True))
    for index in np.ndindex(*grid):
        start = tuple(i * b for i, b in zip(index, block, strict=True))
        stop = tuple(min(a + b, n) for a, b, n in zip(start, block, shape, strict=True))
        yield Box(start, stop)


def _tiles(box: Box, block: Sequence[int]) -> Iterator[Box]:
    """Boxes of the grid of `block` that `box` touches."""
    corner = tuple(a // b * b for a, b in zip(box.start, block, strict=True))
    for tile in boxes(Box(corner, box.stop).shape, block):
        whole = Box(tile.start, tuple(a + b for a, b in zip(tile.start, block, strict=True)))
        yield whole.shift(corner)


def _box_of(selection: Any, shape: Sequence[int]) -> Box | None:
    """The box that plain slices stand for; None for any other selection."""
    cuts = selection if isinstance(selection, tuple) else (selection,)
    if not all(isinstance(cut, slice) and cut.step in (None, 1) for cut in cuts):
        return None
    cuts += (slice(None),) * (len(shape) - len(cuts))
    ends = [cut.indices(n) for cut, n in zip(cuts, shape, strict=True)]
    return Box(tuple(start for start, _, _ in ends), tuple(stop for _, stop, _ in ends))


def array_files(
    path: Path, array: zarr.Array[Any], box: Box | None = None
) -> Iterator[tuple[Path, Box]]:
    """Files (shards, or chunks in Zarr 2) of a complete array, and what lies in each.

    Of all the array, or of a `box` whose corner is that of a file.
    """
    whole = Box.whole(array.shape) if box is None else box
    for tile in boxes(whole.shape, array.shards or array.chunks):
        inside = tile.shift(whole.start)
        yield file_of(path, array, inside), inside


def file_of(path: Path, array: zarr.Array[Any], box: Box) -> Path:
    """File that the first voxel of `box` lies in."""
    folder = path / "c" if array.metadata.zarr_format == 3 else path
    pieces = array.shards or array.chunks
    return folder.joinpath(*(str(a // p) for a, p in zip(box.start, pieces, strict=True)))


def stored_bytes(path: Path, array: zarr.Array[Any]) -> int:
    """Size of all files of an array together.

    Raises
    ------
    DataError
        If a file is missing: Zarr would read its voxels as zeros without a word.
    """
    total, missing = 0, []
    for file, _ in array_files(path, array):
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            missing.append(file)
    if missing:
        raise DataError(
            f"{path} lacks {len(missing)} of its files, the first is {missing[0].name!r} in "
            f"{missing[0].parent}. Copy the store again, or make this product again."
        )
    return total


def metadata_digest(path: Path) -> str:
    """Hash (SHA-256, hex) of the files that say what the array at `path` is."""
    found = hashlib.sha256()
    for name in ARRAY_METADATA:
        if (path / name).is_file():
            found.update(name.encode() + b"\0" + (path / name).read_bytes())
    return found.hexdigest()


def sweep(path: Path) -> None:
    """Remove what killed writers of the array at `path` left: files that Zarr never renamed."""
    for leftover in path.rglob(f"*{PARTIAL}"):
        leftover.unlink()
