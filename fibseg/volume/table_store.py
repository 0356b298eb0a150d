"""The part of a store about what was measured: tables, and what labels tell of their objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.types import Table
from fibseg.volume.described import describe
from fibseg.volume.files import checked_name
from fibseg.volume.tables import load_info, load_table, save_table


class TableStore:
    """The part of `Volume` about tables of measurements."""

    path: Path

    def table_names(self) -> list[str]:
        """Sorted names of the tables."""
        return sorted(p.stem for p in (self.path / "tables").glob("*.parquet") if p.name[0] != ".")

    def table(self, name: str) -> Table:
        """Columns of the table `name`; `DataError` names what is there."""
        return load_table(self._table_path(name))

    def table_info(self, name: str) -> dict[str, Any]:
        """``labels_digest`` (of the labels it was measured on), ``n_rows`` … (see `load_info`)."""
        return load_info(self._table_path(name))

    def write_table(
        self, name: str, table: Table, *, labels_digest: str, overwrite: bool = True,
        measured: dict[str, Any] | None = None,
    ) -> Path:
        """Write ``tables/NAME.parquet`` as `save_table` does; returns its path."""
        path = self.path / "tables" / f"{checked_name(name, what='table')}.parquet"
        return save_table(
            path, table, labels_digest=labels_digest, overwrite=overwrite, measured=measured
        )

    def describe_labels(
        self, name: str, numbers: NDArray[np.integer], *, colors: NDArray[np.uint8] | None = None,
        properties: Table | None = None,
    ) -> int:
        """Give objects of the label image `name` colours and properties, for viewers.

        Voxels and digest stay as they are; the same again changes nothing. See
        `fibseg.volume.described.describe` for parameters and errors.

        Returns
        -------
        int
            How many are described: all, or none where there are more than 5000.
        """
        path = self.path / "labels" / checked_name(name, what="label image")
        return describe(path, numbers, colors=colors, properties=properties)

    def _table_path(self, name: str) -> Path:
        path = self.path / "tables" / f"{name}.parquet"
        if not path.is_file():
            there = ", ".join(self.table_names()) or "none"
            raise DataError(f"{self.path} has no table {name!r}. There is: {there}.")
        return path
