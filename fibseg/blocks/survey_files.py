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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks.grid import Grid
from fibseg.blocks.seams import Faces, cut_faces
from fibseg.errors import DataError
from fibseg.volume.files import room_for


def block_file(folder: Path, index: int, kind: str) -> Path:
    """Path of the file of one kind that tells about the block with that index."""
    return folder / "blocks" / f"{index}.{kind}"


def store(path: Path, array: NDArray[Any]) -> None:
    """Write an array whole or not at all."""
    # No fsync: the journal that says it is there is not synced either, and zlib's checksum tells.
    # The worker's own name: one of a killed run may be at this very block for a moment yet.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with room_for(path, array.nbytes):
        partial.write_bytes(zlib.compress(array.tobytes(), 1))
        partial.replace(path)


def _load(path: Path, dtype: Any) -> NDArray[Any]:
    try:
        content = zlib.decompress(path.read_bytes())
    except (OSError, zlib.error) as error:
        raise DataError(
            f"what an earlier run left of {path.name} is damaged ({error}). "
            f"Remove {path.parent.parent} and run again."
        ) from error
    return np.frombuffer(content, dtype=dtype)


def load_table(folder: Path, index: int) -> NDArray[np.int64]:
    """First voxels and voxel counts of the components of a block, int64 of shape (2, n).

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    return _load(block_file(folder, index, "table"), np.int64).reshape(2, -1)


@functools.lru_cache(maxsize=32)
def load_faces(folder: Path, grid: Grid, index: int, key: str) -> Faces:
    """Outermost planes of the labels of a block.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    # The key is part of what is cached: the same folder may be filled again for other inputs.
    planes = _load(block_file(folder, index, "faces"), np.uint32)
    template = cut_faces(np.broadcast_to(np.uint32(0), grid.box(index).shape))
    ends = np.cumsum([face.size for face in template.values()])
    parts = np.split(planes, ends[:-1])
    return {
        side: part.reshape(face.shape)
        for (side, face), part in zip(template.items(), parts, strict=True)
    }


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
