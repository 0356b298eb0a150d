"""A zip of a stranger: looked at before anything is unpacked, read entry by entry, never written.

What is checked first are the bytes of the table of contents themselves, since `zipfile` would build
an object for each of its entries, and takes the last table of several.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from fibseg.errors import DataError
from fibseg.export.foreign.limits import (
    DIRECTORY_BYTES,
    ENTRIES,
    FILE_BYTES,
    NAME_LENGTH,
    RATIO,
    SMALL_BYTES,
    TOTAL_BYTES,
)

_END = struct.Struct("<4s4H2LH")
_CHUNK = 2**20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_REMEDY = "Ask where the file comes from, or have it packed again as a plain zip."


class Archive:
    """The entries of a zip, each read only when asked for, and only up to a limit.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DataError
        If it is no whole zip, or any entry, wanted or not, is more or other than a plain file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                _check_end(file, path)
                with zipfile.ZipFile(file) as archive:
                    self._entries = {e.filename: e for e in _checked(archive.infolist(), path)}
        except (zipfile.BadZipFile, ValueError, struct.error) as error:
            raise DataError(f"{path} is not a whole zip ({error}). Copy it again.") from error

    @property
    def names(self) -> list[str]:
        """Names of the files in it, sorted."""
        return sorted(n for n, e in self._entries.items() if not e.is_dir())

    def read(self, name: str, *, most: int) -> bytes:
        """Content of one entry, unpacked piece by piece.

        Parameters
        ----------
        most
            Bytes that it may have.

        Raises
        ------
        DataError
            If there is none, it is damaged, or it turns out to be larger than it may.
        """
        if name not in self._entries:
            raise DataError(f"{self.path} holds {self.names[:10]}, but not {name!r}. {_REMEDY}")
        entry = self._entries[name]
        if entry.file_size > most:
            raise DataError(
                f"{name} of {self.path} would unpack to {entry.file_size} bytes, at most {most} "
                f"are taken. {_REMEDY}"
            )
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(entry) as file:
                return _up_to(file, most, f"{name} of {self.path}")
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise DataError(
                f"{name} of {self.path} is damaged or not what the archive says ({error}). "
                "Copy the file again."
            ) from error


def _up_to(file: IO[bytes], most: int, what: str) -> bytes:
    """All of a stream, given up as soon as it is too much."""
    pieces, size = [], 0
    while piece := file.read(_CHUNK):
        size += len(piece)
        if size > most:
            raise DataError(f"{what} unpacks to more than {most} bytes. {_REMEDY}")
        pieces.append(piece)
    return b"".join(pieces)


def _check_end(file: IO[bytes], path: Path) -> None:
    """Refuse all but one archive from the first byte to the last, its table of contents small."""
    size = file.seek(0, 2)
    if size > FILE_BYTES:
        raise DataError(f"{path} has {size} bytes, at most {FILE_BYTES} are read. {_REMEDY}")
    file.seek(max(size - _END.size, 0))
    tail = file.read()
    if len(tail) < _END.size or not tail.startswith(b"PK\x05\x06"):
        raise DataError(
            f"{path} is cut short, or has something behind its end: no zip as it should be. "
            "Copy it again, or have it packed again."
        )
    _, disk, first_disk, here, count, length, start, comment = _END.unpack(tail)
    if 0xFFFF in (here, count) or 0xFFFFFFFF in (length, start):
        raise DataError(f"{path} is a zip64, made for more than models need. {_REMEDY}")
    if (disk, first_disk, comment, here) != (0, 0, 0, count):
        raise DataError(f"{path} is one part of several, or has a comment. {_REMEDY}")
    if count > ENTRIES or length > DIRECTORY_BYTES:
        raise DataError(
            f"{path} lists {count} entries in {length} bytes; at most {ENTRIES} in "
            f"{DIRECTORY_BYTES} are read. {_REMEDY}"
        )
    if start + length + _END.size != size:
        raise DataError(f"{path} has data before or between its archive's parts. {_REMEDY}")
    file.seek(0)
    if count and file.read(4) != b"PK\x03\x04":
        raise DataError(f"{path} has data before its first entry. {_REMEDY}")


def _checked(entries: Sequence[zipfile.ZipInfo], path: Path) -> Sequence[zipfile.ZipInfo]:
    """The entries, if each is a plain file or folder and none hides another."""
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry.orig_filename, path)
        _check_kind(entry, path)
        key = unicodedata.normalize("NFC", entry.filename).casefold().rstrip("/")
        if key in seen:
            raise DataError(f"{path} has {entry.filename!r} twice. {_REMEDY}")
        seen.add(key)
    total = sum(entry.file_size for entry in entries)
    if total > TOTAL_BYTES:
        raise DataError(
            f"{path} would unpack to {total} bytes, at most {TOTAL_BYTES} are taken. {_REMEDY}"
        )
    _check_apart(entries, path)
    return entries


def _check_name(name: str, path: Path) -> None:
    """Refuse what no file inside a folder of its own is called."""
    parts = name.removesuffix("/").split("/")
    bad = (
        len(name) > NAME_LENGTH or not name.isprintable() or "\\" in name or ":" in name
        or any(part in ("", ".", "..") for part in parts)
    )
    if bad:
        raise DataError(
            f"{path} has an entry called {name[:NAME_LENGTH]!r}, which leads out of its folder or "
            f"is no name on every system. {_REMEDY}"
        )


def _check_kind(entry: zipfile.ZipInfo, path: Path) -> None:
    """Refuse links, devices, encrypted entries, rare compression, and bombs by their ratio."""
    what = f"{entry.filename} of {path}"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{what} is a link or a device, not a file. {_REMEDY}")
    if entry.flag_bits & 0x1:
        raise DataError(f"{what} is encrypted. Have it packed again without a password.")
    if entry.compress_type not in _METHODS:
        raise DataError(
            f"{what} is compressed by method {entry.compress_type}; stored (0) and deflated (8) "
            f"are read. {_REMEDY}"
        )
    if entry.file_size > max(SMALL_BYTES, RATIO * entry.compress_size):
        raise DataError(
            f"{what} would grow from {entry.compress_size} to {entry.file_size} bytes, more than "
            f"{RATIO} times: that is no model. {_REMEDY}"
        )


def _check_apart(entries: Sequence[zipfile.ZipInfo], path: Path) -> None:
    """Refuse entries that share bytes: a small file could unpack to any size."""
    end = 0
    for entry in sorted(entries, key=lambda e: e.header_offset):
        if entry.header_offset < end:
            raise DataError(f"{path} has entries that overlap. {_REMEDY}")
        end = entry.header_offset + 30 + entry.compress_size
