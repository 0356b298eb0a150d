"""The voxels of an image, read again box by box and compared with the digests taken at writing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, Grid, Runner, reduce_blocks
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume.audit import Finding, Image
from fibseg.volume.digests import total
from fibseg.volume.layout import BLOCK, array_files, open_array

UNREAD = bytes(hashlib.sha256().digest_size)
CHANGED = "can be read, but holds other voxels than were written"


def voxel_findings(image: Image, *, runner: Runner | None = None) -> list[Finding]:
    """Files and boxes of all levels of a finished image that are not what was written.

    A pyramid level that does not follow from level 0 is one of them: it was digested when it was
    made of level 0, and level 0 is what it was then.
    """
    found: list[Finding] = []
    for number, level in enumerate(image.state["levels"]):
        path, shape = image.path / str(number), level["shape"]
        try:
            array = open_array(path)
        except DataError:
            continue  # its metadata is gone, which is a finding already
        if list(array.shape) != shape or array.dtype.name != image.state["dtype"]:
            continue  # so it is here
        reading = reduce_blocks(
            ReadAgain(path, array), array, Reading.__add__, block_shape=BLOCK, runner=runner,
            label=f"verify {image.name}, level {number}",
        )
        found += [image.found(file, what) for file, what in reading.damaged]
        found += [image.found(where, CHANGED) for where in _changed(image, number, reading)]
    return found


def _changed(image: Image, number: int, reading: Reading) -> list[str]:
    """Where a level could be read, but differs from what was written."""
    level = image.state["levels"][number]
    digests = np.frombuffer(reading.digests, np.uint8).reshape(-1, len(UNREAD))
    if image.levels:
        differs = (digests != image.levels[number]["digest"]).any(axis=1) & digests.any(axis=1)
        grid = Grid.over(level["shape"], BLOCK)
        return [_named(number, grid.box(int(index))) for index in np.flatnonzero(differs)]
    same = total(level["shape"], np.dtype(image.state["dtype"]), digests) == level["digest"]
    return [] if same or reading.damaged else [f"level {number}"]


def _named(number: int, box: Box) -> str:
    """Level and voxels of a box, for people."""
    ranges = ", ".join(f"{a}:{b}" for a, b in zip(box.start, box.stop, strict=True))
    return f"level {number} at [{ranges}]"


@dataclass(frozen=True)
class Reading:
    """Digests of boxes one after the other, those of unread ones zero; files that are damaged."""

    digests: bytes
    damaged: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Reading) -> Reading:
        """Both, in order."""
        return Reading(self.digests + other.digests, self.damaged + other.damaged)


@dataclass(frozen=True)
class ReadAgain:
    """Block function: the digest of a box as it reads now.

    It reads by itself: a chunk that cannot be decoded is a finding, not a failed block.
    """

    path: Path
    array: Any

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Nothing."""
        return Box(write.start, write.start)

    def __call__(self, nothing: NDArray[Any], *, block: Block) -> Reading:
        """Digest of the write box, or the files of it that are missing or cannot be decoded."""
        files = list(array_files(self.path, self.array, block.write))
        damaged = [(file, "is missing") for file, _ in files if not file.is_file()]
        voxels = None if damaged else self._read(block.write)
        if isinstance(voxels, np.ndarray):
            data = np.ascontiguousarray(voxels).data
            return Reading(hashlib.sha256(data).digest())
        for file, box in files:
            if file.is_file() and isinstance(error := self._read(box), str):
                damaged.append((file, f"cannot be decoded ({error})"))
        if not damaged:
            damaged.append((self.path, f"cannot be read at {block.write.slices} ({voxels})"))
        return Reading(
            UNREAD, tuple((str(file.relative_to(self.path.parent)), what) for file, what in damaged)
        )

    def _read(self, box: Box) -> NDArray[Any] | str:
        """Voxels of a box, or why there are none."""
        try:
            return np.asarray(self.array[box.slices])
        except Exception as error:  # whatever a decoder says to damaged bytes
            return str(error.__cause__ or error) or type(error).__name__
