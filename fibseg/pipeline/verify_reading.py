"""What a worker does for `fibseg verify`: read a box again, and look at the level made of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.geometry import Box
from fibseg.pipeline.pyramid import Reduced
from fibseg.volume.layout import array_files
from fibseg.volume.pyramid import KERNELS

UNREAD = bytes(hashlib.sha256().digest_size)


@dataclass(frozen=True)
class Reading:
    """What was found in boxes, one after the other.

    Attributes
    ----------
    digests
        Their digests, those of unread ones zero.
    leads
        One byte each: 0 if the coarser level is not what its kernel makes of the box.
    damaged
        Files that are damaged, and how.
    """

    digests: bytes
    leads: bytes = b"\1"
    damaged: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Reading) -> Reading:
        """Both, in order."""
        return Reading(
            self.digests + other.digests, self.leads + other.leads, self.damaged + other.damaged
        )


@dataclass(frozen=True)
class Coarser:
    """The next level of a pyramid, its kind, and its factors against the finer one."""

    array: Any
    kind: str
    factors: tuple[int, int, int]

    def follows(self, voxels: NDArray[Any], box: Box) -> bool:
        """Whether it is what its kernel makes of the voxels in a box of the finer level."""
        start = tuple(a // f for a, f in zip(box.start, self.factors, strict=True))
        shape = tuple(-(-n // f) for n, f in zip(box.shape, self.factors, strict=True))
        here = Box.whole(shape)
        there = read_or_why(self.array, here.shift(start))
        if isinstance(there, str):
            return True  # a finding of its own
        reduced = Reduced(voxels, KERNELS[self.kind], self.factors)
        return np.array_equal(there, reduced(block=Block(0, here, here)))


@dataclass(frozen=True)
class ReadAgain:
    """Block function: the digest of a box as it reads now, and whether the coarser level follows.

    It reads by itself: a chunk that cannot be decoded is a finding, not a failed block.
    """

    path: Path
    array: Any
    coarser: Coarser | None

    def read_box(self, write: Box, shape: tuple[int, ...]) -> Box:
        """Nothing."""
        return Box(write.start, write.start)

    def own_bytes(self, write: Box) -> int:
        """Bytes of the voxels of a box."""
        return write.size * int(self.array.dtype.itemsize)

    def __call__(self, nothing: NDArray[Any], *, block: Block) -> Reading:
        """Digest of the write box, or the files of it that are missing or cannot be decoded."""
        files = list(array_files(self.path, self.array, block.write))
        damaged = [(file, "is missing") for file, _ in files if not file.is_file()]
        voxels = None if damaged else read_or_why(self.array, block.write)
        if isinstance(voxels, np.ndarray):
            digest = hashlib.sha256(np.ascontiguousarray(voxels).data).digest()
            leads = self.coarser is None or self.coarser.follows(voxels, block.write)
            return Reading(digest, bytes([leads]))
        for file, box in files:
            if file.is_file() and isinstance(error := read_or_why(self.array, box), str):
                damaged.append((file, f"cannot be decoded ({error})"))
        if not damaged:
            damaged.append((self.path, f"cannot be read at {block.write.slices} ({voxels})"))
        names = ((str(file.relative_to(self.path.parent)), what) for file, what in damaged)
        return Reading(UNREAD, damaged=tuple(names))


def read_or_why(array: Any, box: Box) -> NDArray[Any] | str:
    """Voxels of a box, or why there are none."""
    try:
        return np.asarray(array[box.slices])
    except Exception as error:  # whatever a decoder says to damaged bytes
        return str(error.__cause__ or error) or type(error).__name__
