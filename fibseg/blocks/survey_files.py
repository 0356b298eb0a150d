"""What `label_blocks` knows of each block between its steps, as files that outlive a crash."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.grid import Grid
from fibseg.blocks.seams import Faces, cut_faces
from fibseg.errors import DataError
from fibseg.volume.files import room_for

PER_FOLDER = 1000
"""So many files lie in one folder: file systems slow down when there are many more."""


class Known(NamedTuple):
    """Components of one block: first voxels and voxel counts, int64 of shape (2, n), and faces."""

    table: NDArray[np.int64]
    faces: Faces


def block_file(folder: Path, index: int) -> Path:
    """Path of the file that tells about the block with that index."""
    return folder / "blocks" / str(index // PER_FOLDER) / str(index)


def store(folder: Path, index: int, known: Known) -> None:
    """Write what is known of a block, whole or not at all."""
    path = block_file(folder, index)
    planes = [face.astype(np.uint32).tobytes() for face in known.faces.values()]
    size = np.int64(known.table.shape[1]).tobytes()
    content = b"".join([size, known.table.tobytes(), *planes])
    # No fsync: the journal that says it is there is not synced either, and zlib's checksum tells.
    # The worker's own name: one of a killed run may be at this very block for a moment yet.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with room_for(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(zlib.compress(content, 1))
        partial.replace(path)


@functools.lru_cache(maxsize=32)
def load(folder: Path, grid: Grid, index: int, key: str) -> Known:
    """What is known of a block; the latest are kept in memory, since blocks share neighbours.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    # The key is part of what is cached: the same folder may be filled again for other inputs.
    path = block_file(folder, index)
    try:
        content = zlib.decompress(path.read_bytes())
    except (OSError, zlib.error) as error:
        raise DataError(
            f"what an earlier run left of block {index} is damaged ({error}). "
            f"Remove {folder} and run again."
        ) from error
    head = np.dtype(np.int64).itemsize
    (n,) = np.frombuffer(content, np.int64, count=1)
    table = np.frombuffer(content, np.int64, count=2 * n, offset=head).reshape(2, n)
    planes = np.frombuffer(content, np.uint32, offset=head + table.nbytes)
    template = cut_faces(np.broadcast_to(np.uint32(0), grid.box(index).shape))
    parts = np.split(planes, np.cumsum([face.size for face in template.values()])[:-1])
    return Known(table, {
        side: part.reshape(face.shape)
        for (side, face), part in zip(template.items(), parts, strict=True)
    })


def matches(result: Path, key: str) -> bool:
    """Whether the result in that file is of this very task."""
    return result.is_file() and json.loads(result.read_bytes())["key"] == key


@contextlib.contextmanager
def opened(scratch: Path | None) -> Iterator[Path]:
    """The folder to work in: `scratch`, which stays, or a temporary one."""
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        yield scratch
    else:
        with tempfile.TemporaryDirectory(prefix="fibseg-") as folder:
            yield Path(folder)
