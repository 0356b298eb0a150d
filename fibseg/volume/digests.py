"""Digests of fixed boxes of an array, taken of the voxels where they are written.

The boxes have (64, 512, 512) voxels and depend on the shape of the array alone: neither blocks,
chunks and order of writing nor the format version change them. In Zarr 3 a box is a shard, in
Zarr 2 a few whole chunks. The digest of an array is that of its shape, its type and the digests of
its boxes in C order; those of the boxes are kept beside it, so that `fibseg verify` can name the
bad one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume.files import write_bytes
from fibseg.volume.layout import BLOCK, StoredArray, open_array

FILE = ".digests"
MAGIC = b"fibseg-digests-1\n"
RECORD = np.dtype([("digest", "u1", (32,)), ("maximum", "<u8")])

Records: TypeAlias = NDArray[np.void]
"""One `RECORD` per box of an array, in C order; a digest of zeros was never taken."""


class Facts(NamedTuple):
    """What is kept of one box: its number in C order, SHA-256 and largest value (0 if negative)."""

    number: int
    digest: bytes
    maximum: int


def n_boxes(shape: Sequence[int]) -> int:
    """Number of boxes of an array of `shape`."""
    return math.prod(-(-n // b) for n, b in zip(shape, BLOCK, strict=True))


def box_facts(voxels: NDArray[Any], block: Box, shape: Sequence[int]) -> list[Facts]:
    """Facts of all boxes that lie whole in `block`.

    Parameters
    ----------
    voxels
        What the block holds.
    block
        Where it lies in the array.
    shape
        Shape of the array.
    """
    counts = [-(-n // b) for n, b in zip(shape, BLOCK, strict=True)]
    inside = [
        range(-(-start // b), count if stop == n else stop // b)
        for start, stop, n, b, count in zip(
            block.start, block.stop, shape, BLOCK, counts, strict=True
        )
    ]
    found = []
    for position in itertools.product(*inside):
        start = tuple(p * b for p, b in zip(position, BLOCK, strict=True))
        box = Box(start, tuple(a + b for a, b in zip(start, BLOCK, strict=True))).clip(shape)
        part = np.ascontiguousarray(voxels[box.relative_to(block).slices])
        digest = hashlib.sha256(part.data).digest()
        number = int(np.ravel_multi_index(position, counts))
        # Distances may be negative and are no numbers of anything: theirs is of no use, but noted.
        found.append(Facts(number, digest, max(0, int(part.max()))))
    return found


def to_note(facts: Sequence[Sequence[Facts]]) -> str:
    """Facts of one block of every target as a word for the journal; empty without any.

    >>> to_note([[Facts(7, bytes.fromhex("c0ffee"), 255)], []])
    '7:255:c0ffee|'
    """
    if not any(facts):
        return ""
    return "|".join(
        ",".join(f"{f.number}:{f.maximum}:{f.digest.hex()}" for f in target) for target in facts
    )


def from_note(note: str, target: int) -> Iterator[Facts]:
    """Facts of one of the targets from a word of the journal; the reverse of `to_note`.

    >>> [fact.maximum for fact in from_note("7:255:c0ffee|", 0)], list(from_note("", 0))
    ([255], [])
    """
    for word in filter(None, note.split("|")[target].split(",") if note else ()):
        number, maximum, digest = word.split(":")
        yield Facts(int(number), bytes.fromhex(digest), int(maximum))


def to_records(facts: Iterable[Facts], shape: Sequence[int]) -> Records:
    """Facts in C order; boxes without any keep a digest of zeros."""
    records = np.zeros(n_boxes(shape), RECORD)
    note(records, facts)
    return records


def note(records: Records, facts: Iterable[Facts]) -> None:
    """Put facts at their places in the records of an array."""
    for fact in facts:
        records[fact.number] = (np.frombuffer(fact.digest, np.uint8), fact.maximum)


def total(shape: Sequence[int], dtype: np.dtype[Any], digests: NDArray[np.uint8]) -> str:
    """Digest (hex) of an array from those of its boxes, uint8 of shape (boxes, 32)."""
    header = json.dumps([list(shape), dtype.name]).encode()
    return hashlib.sha256(header + digests.tobytes()).hexdigest()


def write_records(group: Path, levels: Sequence[Records]) -> None:
    """Keep the records of all levels of the image at `group` in a hidden file, crash-safe."""
    body = MAGIC + b"".join(records.tobytes() for records in levels)
    write_bytes(group / FILE, body + hashlib.sha256(body).digest())


def read_records(group: Path, shapes: Sequence[Sequence[int]]) -> list[Records]:
    """Records of every level of the image at `group`, whose levels have these shapes.

    Raises
    ------
    DataError
        If they are missing, damaged, or of other levels.
    """
    found = _as_far_as_kept(_all_records(group / FILE), shapes)
    if len(found) < len(shapes):
        raise DataError(f"{group / FILE} is damaged.")
    return found


def kept_records(group: Path, shapes: Sequence[Sequence[int]]) -> list[Records]:
    """Records of the first of these levels, of as many as are kept; of none after a damage."""
    try:
        return _as_far_as_kept(_all_records(group / FILE), shapes)
    except DataError:
        return []


def _all_records(path: Path) -> Records:
    """Records of all levels one after the other."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}).") from error
    body, check = content[:-32], content[-32:]
    whole = (len(body) - len(MAGIC)) % RECORD.itemsize == 0 and body.startswith(MAGIC)
    if hashlib.sha256(body).digest() != check or not whole:
        raise DataError(f"{path} is damaged.")
    return np.frombuffer(body[len(MAGIC) :], RECORD)


def _as_far_as_kept(records: Records, shapes: Sequence[Sequence[int]]) -> list[Records]:
    stops = [int(n) for n in np.cumsum([n_boxes(shape) for shape in shapes])]
    kept = [n for n in stops if n <= len(records)]
    return [records[a:b] for a, b in itertools.pairwise([0, *kept])]


class NotedArray(StoredArray):
    """A level of an unfinished image, which notes what is committed to it block by block.

    Plain writing is possible, but voids the notes: the digests are then taken of what is read.
    The notes of a level are kept behind those of the finer ones, and go with any of them: what is
    noted of a pyramid is always true of it from level 0 up.
    """

    def __setitem__(self, selection: Any, value: Any) -> None:
        """Write voxels without a note."""
        self.forget()
        super().__setitem__(selection, value)

    def commit(self, block: Box, voxels: NDArray[Any]) -> list[Facts]:
        """Write a block; returns the facts of the boxes in it, to be kept by the coordinator."""
        stored = np.asarray(voxels, dtype=self.dtype)  # in the byte order of this machine
        super().__setitem__(block.slices, stored)
        return box_facts(stored, block, self.shape)

    def keep(self, facts: Iterable[Facts]) -> None:
        """Remember the facts of all blocks until the image is finished.

        Raises
        ------
        DataError
            If nothing is known of the finer levels.
        """
        finer = self._finer()
        if finer is None:
            raise DataError(
                f"{self.store_path} cannot be noted before the levels that are finer. Build the "
                "pyramid from level 0 up."
            )
        write_records(self.folder.parent, [*finer, to_records(facts, self.shape)])

    def forget(self) -> None:
        """Void what is remembered of this level and the coarser ones."""
        if finer := self._finer():
            write_records(self.folder.parent, finer)
        else:
            (self.folder.parent / FILE).unlink(missing_ok=True)

    def _finer(self) -> list[Records] | None:
        """Notes of all finer levels; None where any lacks."""
        level = int(self.folder.name)
        shapes = [open_array(self.folder.parent / str(n)).shape for n in range(level)]
        found = kept_records(self.folder.parent, shapes)
        return found if len(found) == level else None


def open_noted(path: Path) -> NotedArray:
    """Array at `path`, a level of an unfinished image, for writing with notes of what is written.

    Raises
    ------
    DataError
        If there is none, or its metadata is damaged.
    """
    return NotedArray(open_array(path, mode="r+").async_array)
