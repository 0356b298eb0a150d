"""Tables of measurements as Parquet: one row per object, with the digest of the labels measured."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.types import Table
from fibseg.volume.files import UNSEALED, finite, sealed, write_bytes

KEY = b"fibseg"


def save_table(
    path: Path, table: Table, *, labels_digest: str, overwrite: bool,
    measured: dict[str, Any] | None = None,
) -> Path:
    """Write `table` to `path`, crash-safe and without time stamps; returns `path`.

    `measured` is what else is to be known of it: plain values that JSON can hold, among them
    ``sources``, digests of what it depends on by name.

    Raises
    ------
    UsageError
        If the columns differ in length.
    ExistsError
        If another table stands there and `overwrite` is false.
    """
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"The columns of table {path.stem} differ in length: {lengths}.")
    columns = pa.table({name: pa.array(np.asarray(column)) for name, column in table.items()})
    told: dict[str, Any] = {} if measured is None else {"measured": finite(measured)}
    note = json.dumps({"labels_digest": labels_digest, **told, "seal": UNSEALED}).encode()
    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer, columns.schema, compression="zstd", store_schema=False
    ) as writer:
        writer.write_table(columns)
        writer.add_key_value_metadata({KEY: note})
    data = sealed(buffer.getvalue())
    if path.exists() and not overwrite and path.read_bytes() != data:
        raise ExistsError(
            f"tables/{path.name} stands already with other contents. "
            "Use overwrite=true to replace it, or another name."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)
    return path


def load_table(path: Path) -> Table:
    """Columns of the table at `path` as NumPy arrays; missing numbers are NaN.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error
    return {
        name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names
    }


def load_info(path: Path) -> dict[str, Any]:
    """``labels_digest``, ``n_rows``, ``columns`` and, if any, what was ``measured`` at `path`."""
    try:
        schema, n_rows = pq.read_schema(path), pq.read_metadata(path).num_rows
        note = json.loads((schema.metadata or {})[KEY])
        digest = note["labels_digest"]
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    told = {"measured": note["measured"]} if "measured" in note else {}
    return {"labels_digest": digest, "n_rows": n_rows, "columns": list(schema.names), **told}


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a table of fibseg ({error}). Make it again.")
