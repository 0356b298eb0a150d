"""Small files that survive a crash: the old contents stand or the new ones, never a part."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from fibseg.errors import FULL, DataError, DiskFullError, UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PARTIAL = ".partial"
WRITER = re.compile(r"\.(.+)\.(\d+)-[0-9a-z]+\.partial")
UNSEALED = "0" * 64
SEAL = re.compile(rb'("seal": ?")[0-9a-f]{64}(")')


def fingerprint(parts: dict[str, Any]) -> str:
    """Hash, 64 hexadecimal digits, of everything that a product depends on.

    Parameters
    ----------
    parts
        Digests, settings …: nested dicts and lists of str, int, float, bool, None and paths. The
        order of keys does not matter; tuples count as lists.

    Raises
    ------
    UsageError
        If a value has no canonical JSON form.
    """
    try:
        text = json.dumps(
            parts, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain
        )
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"A fingerprint takes plain numbers, words, lists and dicts: {error}."
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """NumPy numbers as plain ones, paths as text."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} {value!r}")


def finite(value: Any) -> Any:
    """`value` as plain JSON: NumPy numbers and arrays, paths and tuples too; NaN becomes None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, list | tuple | set):
        return [finite(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | np.generic):
        number = value.item() if isinstance(value, np.generic) else value
        return None if isinstance(number, float) and not math.isfinite(number) else number
    return str(value)


@contextlib.contextmanager
def room_for(path: Path, n_bytes: int | None = None) -> Iterator[None]:
    """Context for writing to `path`, in which a full disk is told with the path and the bytes.

    Parameters
    ----------
    path
        The file or array, which need not exist.
    n_bytes
        What is written to it, before compression; None where that is a few kilobytes.

    Raises
    ------
    DiskFullError
        In place of the system's error that the disk or the quota is full.
    """
    try:
        yield
    except OSError as error:
        free = _free_bytes(path)
        # NumPy says how many items it could not write, but not why.
        nameless = error.errno is None and n_bytes is not None and free < n_bytes
        if error.errno not in FULL and not nameless:
            raise
        raise DiskFullError(
            f"There is no room for {path}: {_bytes(n_bytes)} were to be written, {free:,} bytes "
            f"are free ({error.strerror or error}). Make room on that disk; the same command "
            "continues then."
        ) from error


def _bytes(n_bytes: int | None) -> str:
    return "some kilobytes" if n_bytes is None else f"up to {n_bytes:,} bytes"


def _free_bytes(path: Path) -> int:
    """Room on the disk of `path`, as far up as there is a folder."""
    there = next((p for p in (path, *path.absolute().parents) if p.exists()), Path())
    return shutil.disk_usage(there).free


def partial_path(path: Path) -> Path:
    """Hidden name beside `path` for what is not whole yet; leftovers of killed processes go."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
        if not being_written(leftover):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{PARTIAL}")


def being_written(partial: Path) -> bool:
    """Whether the process that `partial_path` made this name for is alive."""
    writer = WRITER.fullmatch(partial.name)
    return writer is not None and psutil.pid_exists(int(writer[2]))


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a crash at any moment leaves the old file or the new one.

    Raises
    ------
    DiskFullError
        If there is no room; the old file stands.
    """
    temporary = partial_path(path)
    try:
        with room_for(path, len(data)), temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Put `document` at `path` as indented JSON, crash-safe and equal for equal contents.

    Where it holds ``"seal": UNSEALED``, that becomes the seal of the file.
    """
    write_bytes(path, sealed((json.dumps(document, indent=2, allow_nan=False) + "\n").encode()))


def sealed(data: bytes) -> bytes:
    """Contents of a file with their own SHA-256 in place of the 64 zeros of its seal, if any."""
    digest = hashlib.sha256(data).hexdigest().encode()
    return SEAL.sub(rb"\g<1>" + digest + rb"\g<2>", data)


def seal_holds(data: bytes) -> bool:
    """Whether contents with one seal are, to the bit, what was sealed."""
    blank, n_seals = SEAL.subn(rb"\g<1>" + UNSEALED.encode() + rb"\g<2>", data)
    return n_seals == 1 and sealed(blank) == data


def read_json(path: Path) -> dict[str, Any]:
    """Contents of a JSON file.

    Raises
    ------
    DataError
        If the file is cut off or is no JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). The store is damaged: take it from a copy, "
            "or make it again."
        ) from error
    if not isinstance(document, dict):
        raise DataError(f"{path} holds a {type(document).__name__}, not a JSON object.")
    return document


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` last through a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def built(folder: Path) -> Iterator[Path]:
    """Context with a hidden name for `folder`, which gets its own once everything is in it.

    Nothing is left after an error, such as a full disk.
    """
    building = partial_path(folder)
    try:
        yield building
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def remove_tree(folder: Path) -> None:
    """Delete `folder`, which first gets a hidden name so that a crash leaves no half product."""
    doomed = partial_path(folder)
    if folder.exists():
        folder.replace(doomed)
        shutil.rmtree(doomed)


def checked_name(name: str, *, what: str) -> str:
    """`name` itself, if it can be the name of a `what` on every file system.

    Raises
    ------
    UsageError
        If it is empty, begins with a dot or holds other signs than letters, digits and ``_.-``.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a {what}. Use letters, digits, '_', '-' and '.', "
            "and begin with a letter or digit."
        )
    return name
