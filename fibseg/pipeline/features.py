"""The segment feature filter: objects are measured, and some of them stay.

What the steps before have made is measured in a pass over all blocks, exactly as a table of the
finished label image is; so any column of `fibseg.measure.shape` can be asked for. What lies beyond
the objects, such as their distances to a membrane, stands in a table that ``fibseg measure`` has
made; it may be named where the steps before make the very objects that were measured.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.blocks import Block, reduce_blocks
from fibseg.errors import DataError
from fibseg.measure import regions, shape
from fibseg.pipeline.bench import Array, OwnBox, Sheet, Work, word
from fibseg.pipeline.numbering import first_places, write_numbered
from fibseg.pipeline.region_sums import region_sums
from fibseg.pipeline.shape_sums import shape_table
from fibseg.postprocess.features import within_limits
from fibseg.types import Spacing, Table

INTENSITY = "intensity_"
"""Columns that begin like that need the image."""


@dataclass(frozen=True)
class StoredTable:
    """A table of a store, by its name there, and the labels that it was measured on."""

    name: str
    rows: Table
    labels: Array

    @property
    def dtype(self) -> Any:
        """Type of the labels."""
        return self.labels.dtype

    def no_rows(self) -> Table:
        """The same columns, empty."""
        return {name: values[:0] for name, values in self.rows.items()}


@dataclass(frozen=True)
class Differing(OwnBox):
    """Block function: how many voxels of two label images are not of the same number."""

    def __call__(self, one: NDArray[Any], other: NDArray[Any], *, block: Block) -> int:
        """Number of voxels."""
        return int(np.count_nonzero(one != other))


def no_objects(spacing: Spacing) -> Table:
    """The table of no objects, with every column that can be measured in a chain."""
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    return shape.measure(nothing, nothing, spacing=spacing)


def filter_objects(
    labels: Array, target: Sheet, name: str, inputs: str, work: Work, *,
    table: StoredTable | None = None, image: Array | None = None, column: str,
    minimum: float | None, maximum: float | None, keep_missing: bool,
) -> int:
    """Write the objects within the limits into `target`; returns how many stay.

    The numbers are those of `fibseg.postprocess.filter_objects` on the whole volume.

    Raises
    ------
    DataError
        If the named table was measured on other objects.
    """
    over: dict[str, Any] = {"block_shape": work.block_shape, "runner": work.runner}
    if table is None:
        rows = _measured(labels, image, column, name, work)
    else:
        _require_same(labels, table, name, work)
        rows = table.rows
    stays = within_limits(
        rows, column=column, minimum=minimum, maximum=maximum, keep_missing=keep_missing
    )
    places = first_places(labels, label=f"{word(name)}: places", **over)
    # Rows and places are both sorted by number, and hold every object.
    return write_numbered(
        labels, places, target, stays=stays, inputs=inputs, label=word(name), **over
    )


def _measured(
    labels: Array, image: Array | None, column: str, name: str, work: Work
) -> Table:
    """A table of all objects that has the column, with as little work as that takes."""
    over: dict[str, Any] = {"block_shape": work.block_shape, "runner": work.runner}
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    if column not in regions.measure(nothing, nothing, spacing=work.spacing):
        return shape_table(labels, image, spacing=work.spacing, **over)
    sums = region_sums(
        labels, image, moments=column.startswith("axis_"), label=f"{word(name)}: measure", **over
    )
    z, y, x = labels.shape
    return regions.finish(sums, shape=(z, y, x), spacing=work.spacing)


def _require_same(labels: Array, table: StoredTable, name: str, work: Work) -> None:
    """The objects that the steps before have made are those that the table tells of."""
    n_differing: int | None = reduce_blocks(
        Differing(), [labels, table.labels], operator.add,
        block_shape=work.block_shape, runner=work.runner, label=f"{word(name)}: compare",
    )
    if n_differing:
        raise DataError(
            f"{table.name} was measured on other objects than the steps before {word(name)} make: "
            f"{n_differing} voxels differ. Make and measure objects with just these steps first, "
            f"or leave table out for what can be measured here."
        )
