"""Which blocks are done: an append-only file of checksummed lines beside the target.

The first line holds a key: a hash of everything that the blocks depend on. Only the coordinator
writes, after a worker has committed its block; a line that a crash tore is cut off again. A line
may carry a note: the digests of what the worker wrote.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

from fibseg.volume.files import room_for

_log = logging.getLogger("fibseg.blocks")


def layout_key(**parts: Any) -> str:
    """Hash (sha256, hex) of the layout and the inputs of a run over blocks."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Done blocks of one run, kept in the file `path`; without a path only in memory.

    Parameters
    ----------
    path
        The file; absent means a fresh start.
    key
        Hash of layout, configuration and inputs. A file with another key is started afresh.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.key = key
        self.done: set[int] = set()
        self.notes: dict[int, str] = {}
        self._file: int | None = None
        self._path = Path()
        if path is not None:
            self._open(Path(path))

    def mark(self, index: int, note: str = "") -> None:
        """Mark block `index` as committed, with a note (a line of text) to be kept with it."""
        self._count(index, note)
        self._append(f"done {index} {note}" if note else f"done {index}")

    def mark_failed(self, index: int) -> None:
        """Mark block `index` as failed; the next run tries it again."""
        self._append(f"failed {index}")

    def close(self) -> None:
        """Close the file; the journal stays on disk."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        old = path.read_bytes() if path.exists() else b""
        valid = self._replay(old)
        if old and not valid:
            _log.warning(
                "%s was written for other inputs or another block layout: all blocks start afresh",
                path.name,
            )
        with room_for(path):
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(self._file, valid)
        if not valid:
            self._append("fibseg-journal-1")

    def _replay(self, content: bytes) -> int:
        """Number of bytes up to the last whole line of this key; fills `done` on the way."""
        valid = 0
        for number, line in enumerate(content.splitlines(keepends=True)):
            text = line.rpartition(b" ")[0].decode(errors="replace")
            if line != self._line(text) or (number == 0) != text.startswith("fibseg-journal"):
                break
            valid += len(line)
            word, _, rest = text.partition(" ")
            if word == "done":
                index, _, note = rest.partition(" ")
                self._count(int(index), note)
        return valid

    def _count(self, index: int, note: str) -> None:
        self.done.add(index)
        if note:
            self.notes[index] = note

    def _line(self, text: str) -> bytes:
        # The key is part of every checksum, so that a line of another run never counts.
        return f"{text} {zlib.crc32(f'{self.key} {text}'.encode()):08x}\n".encode()

    def _append(self, text: str) -> None:
        if self._file is None:
            return
        line = self._line(text)
        with room_for(self._path, len(line)):
            if os.write(self._file, line) < len(line):  # what is left is cut off as torn
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
