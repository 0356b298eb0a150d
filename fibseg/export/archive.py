"""Zip files without time stamps: equal contents make equal bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell."""

_MODE = 0o100644 << 16


def stored_zip(files: Mapping[str, bytes]) -> bytes:
    """Bytes of a zip file with these files in this order, not compressed.

    >>> stored_zip({"a": b"x"}) == stored_zip({"a": b"x"})
    True
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, _MODE  # the same on every system
            archive.writestr(entry, data)
    return out.getvalue()


def stored_file(path: Path, name: str, *, most: int) -> bytes | None:
    """One file of a zip file, at most so many bytes; None where there is no such one."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(name).file_size > most:
                return None
            with archive.open(name) as file:
                return file.read(most)
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return None
