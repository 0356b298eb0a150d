"""Pieces of objects as files: their list, the parts that each falls into, the numbers of those."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block
from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.pipeline.bench import Array, OwnBox
from fibseg.postprocess.pieces import Piece
from fibseg.postprocess.watershed import first_voxels, ranks, split_piece
from fibseg.types import Labels, Spacing
from fibseg.volume.files import room_for

BATCH = 32
"""So many pieces are one task and one file."""


@dataclass(frozen=True)
class PieceList:
    """The rows of `fibseg.postprocess.pieces.cut_objects` in a file, for workers to look up."""

    path: Path
    shape: tuple[int, ...]

    @classmethod
    def store(cls, folder: Path, rows: NDArray[np.int64]) -> PieceList:
        """List in a file of `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        # Column by column, since blocks search the column of labels.
        with room_for(folder, rows.nbytes):
            np.save(folder / "pieces.npy", np.asfortranarray(rows))
        return cls(folder / "pieces.npy", rows.shape)

    @property
    def dtype(self) -> np.dtype[np.int64]:
        """Type of the rows."""
        return np.dtype(np.int64)

    def __getitem__(self, box: Any) -> NDArray[np.int64]:
        return np.asarray(np.load(self.path, mmap_mode="r")[box])


@dataclass(frozen=True)
class Batch:
    """What came of some pieces: how many parts each, and where in the volume each part begins."""

    counts: NDArray[np.int64]
    first: NDArray[np.int64]

    def then(self, other: Batch) -> Batch:
        """Both, one after the other."""
        return Batch(
            np.concatenate([self.counts, other.counts]), np.concatenate([self.first, other.first])
        )

    @classmethod
    def stored(cls, path: Path, found: Sequence[tuple[NDArray[np.int64], Labels]]) -> Batch:
        """Batch of the first voxels and the parts of each piece, kept in a file.

        Parts themselves are kept only where there are several.
        """
        batch = cls(
            np.array([len(first) for first, _ in found], dtype=np.int64),
            np.concatenate([first for first, _ in found]),
        )
        kept: dict[str, Any] = {
            str(place): parts.astype(np.min_scalar_type(len(first)))
            for place, (first, parts) in enumerate(found) if len(first) > 1
        }
        # No fsync: the checksums of a zip tell what a crash has left unfinished.
        partial = path.with_name(f".{path.name}")
        with room_for(path):
            np.savez_compressed(partial, counts=batch.counts, first=batch.first, **kept)
        partial.replace(path)
        return batch

    @classmethod
    def load(cls, path: Path) -> Batch | None:
        """Batch of an earlier run; None if there is none, or it is damaged."""
        try:
            with path.open("rb") as stream, np.load(stream) as file:
                return cls(file["counts"], file["first"])
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
            return None


@dataclass(frozen=True)
class SplitPieces(OwnBox):
    """Block function over the list of pieces: splits each, and keeps the parts in a file."""

    labels: Array
    folder: Path
    depth_nm: float
    spacing: Spacing

    def __call__(self, rows: NDArray[np.int64], *, block: Block) -> Batch:
        """What is known of the parts."""
        path = _batch_file(self.folder, block.index)
        return Batch.load(path) or Batch.stored(path, [self._split(row) for row in rows])

    def _split(self, row: NDArray[np.int64]) -> tuple[NDArray[np.int64], Labels]:
        piece = Piece.of_row(row)
        labels = np.asarray(self.labels[piece.read.slices])
        parts = split_piece(labels, piece, depth_nm=self.depth_nm, spacing=self.spacing)
        place = np.unravel_index(first_voxels(parts)[1], parts.shape)
        in_volume = tuple(p + a for p, a in zip(place, piece.box.start, strict=True))
        return np.ravel_multi_index(in_volume, self.labels.shape).astype(np.int64), parts


def number_parts(found: Batch | None, folder: Path, dtype: np.dtype[Any]) -> int:
    """Rank all parts by their first voxels and keep their numbers in files; returns how many.

    Raises
    ------
    DataError
        If there are more than `dtype` can number.
    """
    found = found or Batch(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    n = len(found.first)
    if n > np.iinfo(dtype).max:
        raise DataError(
            f"{n} parts cannot be numbered in {dtype} (at most {np.iinfo(dtype).max}). "
            "Raise depth_nm or clean the objects first."
        )
    offsets = np.concatenate([[0], np.cumsum(found.counts)]).astype(np.int64)
    with room_for(folder, offsets.nbytes + n * dtype.itemsize):
        np.save(folder / "offsets.npy", offsets)
        np.save(folder / "ids.npy", ranks(found.first).astype(dtype))
    return n


@dataclass(frozen=True)
class PasteParts(OwnBox):
    """Block function: the final numbers of all parts of objects in the block."""

    folder: Path

    def __call__(self, labels: NDArray[Any], *, block: Block) -> NDArray[Any]:
        """Numbers of the write box, 0 where there is no object."""
        rows, offsets, ids = (
            np.load(self.folder / f"{name}.npy", mmap_mode="r")
            for name in ("pieces", "offsets", "ids")
        )
        small, mapping = fastremap.renumber(np.ascontiguousarray(labels), in_place=False)
        here = np.array([label for label in mapping if label], dtype=np.int64)
        begin, end = np.searchsorted(rows[:, 0], [here, here + 1])
        whole = (end - begin == 1) & (offsets[end] - offsets[begin] == 1)
        final = np.zeros(len(here) + 1, dtype=ids.dtype)
        final[[mapping[label] for label in here[whole].tolist()]] = ids[offsets[begin[whole]]]
        out: NDArray[Any] = final[small]
        for label, a, b in zip(*(v[~whole].tolist() for v in (here, begin, end)), strict=True):
            for number in (a + np.flatnonzero(_meets(rows[a:b], block.write))).tolist():
                box = Piece.of_row(rows[number]).box
                region = box.intersect(block.write)
                cut = region.relative_to(block.write).slices
                inside = small[cut] == mapping[label]
                values = ids[offsets[number] : offsets[number + 1]]
                if len(values) > 1:
                    parts = self._parts(number)[region.relative_to(box).slices]
                    values = values[parts[inside] - 1]
                out[cut][inside] = values
        return out

    def _parts(self, number: int) -> Labels:
        """Parts of the piece of that number in its box."""
        batch, place = divmod(number, BATCH)
        with np.load(_batch_file(self.folder, batch)) as file:
            parts: Labels = file[str(place)]
        return parts


def _meets(rows: NDArray[np.int64], box: Box) -> NDArray[np.bool_]:
    """Which pieces reach into `box`."""
    found = (rows[:, 1:4] < box.stop) & (rows[:, 4:7] > box.start)
    return np.asarray(found.all(axis=1))


def _batch_file(folder: Path, index: int) -> Path:
    return folder / f"{index}.npz"
