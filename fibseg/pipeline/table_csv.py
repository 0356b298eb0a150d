"""A table as text: names with units at the top, a line per object, nothing where it is missing."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from fibseg.errors import ExistsError, UsageError
from fibseg.types import Table
from fibseg.volume.files import write_bytes


def csv_bytes(table: Table) -> bytes:
    r"""Contents of the file; every number can be read back exactly.

    >>> import numpy as np
    >>> csv_bytes({"label": np.array([3, 4]), "volume_um3": np.array([0.5, np.nan])}).decode()
    'label,volume_um3\n3,0.5\n4,\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*(column.tolist() for column in table.values()), strict=True):
        writer.writerow(map(_plain, row))
    return text.getvalue().encode()


def check_csv(path: Path, *, overwrite: bool) -> None:
    """Nothing, if a table may be written there.

    Raises
    ------
    UsageError
        If it is a folder, or its folder is not there.
    ExistsError
        If a file stands there and may not be replaced.
    """
    if path.is_dir():
        raise UsageError(f"csv={path} is a folder. Name a file in it: csv={path / 'table.csv'}.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"csv={path}: there is no folder {path.parent}. Make it first.")
    if path.exists() and not overwrite:
        raise ExistsError(f"csv={path} stands already. Use overwrite=true, or another name.")


def save_csv(path: Path, table: Table, *, overwrite: bool) -> None:
    """Write a table, crash-safe; the same one again changes nothing.

    Raises
    ------
    UsageError
        If no file can be there.
    ExistsError
        If a file with other contents stands there and may not be replaced.
    """
    contents = csv_bytes(table)
    if not (path.is_file() and path.read_bytes() == contents):
        check_csv(path, overwrite=overwrite)
        write_bytes(path, contents)


def _plain(value: Any) -> Any:
    """The value as it is written: nothing where it is missing."""
    return "" if isinstance(value, float) and math.isnan(value) else value
