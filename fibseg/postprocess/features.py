"""Objects chosen by what was measured of them, and numbered anew."""

from __future__ import annotations

import fastremap
import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError, UsageError
from fibseg.postprocess.numbers import first_voxels, ranks
from fibseg.types import Labels, Table


def filter_objects(
    labels: Labels,
    table: Table,
    *,
    column: str | None,
    minimum: float | None = None,
    maximum: float | None = None,
    keep_missing: bool = False,
) -> Labels:
    """The objects (uint32) whose value lies in an interval, numbered 1 … N by their first voxels.

    Parameters
    ----------
    labels
        Numbered objects, 0 = none; shape (z, y, x).
    table
        One row per object: the column ``label``, and any others, as of `fibseg.measure`.
    column
        Name of the column; a yes or no counts 1 or 0. None: all objects stay.
    minimum, maximum
        Limits, which belong to the interval; None: no limit.
    keep_missing
        Whether an object stays that has no value (NaN), as one that a face of the volume cuts has
        no surface.

    Raises
    ------
    UsageError
        If there is no such column, it holds words, or no number may lie in the interval.
    DataError
        If the table lacks an object.

    >>> table = {"label": np.array([3, 8, 9]), "volume_um3": np.array([0.2, 0.1, 0.3])}
    >>> filter_objects(np.array([[[3, 9, 9, 0, 8]]]), table, column="volume_um3", minimum=0.2)
    array([[[1, 2, 2, 0, 0]]], dtype=uint32)
    """
    stays = within_limits(
        table, column=column, minimum=minimum, maximum=maximum, keep_missing=keep_missing
    )
    there, first = first_voxels(labels)
    row = {number: i for i, number in enumerate(table["label"].tolist())}
    lacking = [number for number in there.tolist() if number not in row]
    if lacking:
        raise DataError(
            f"the table of {len(row)} objects lacks {len(lacking)} that the labels have, such as "
            f"{lacking[0]}. Measure these very labels."
        )
    kept = stays[np.array([row[number] for number in there.tolist()], dtype=np.int64)]
    new = np.zeros(len(there), dtype=np.int64)
    new[kept] = ranks(first[kept])
    lookup = dict(zip(there.tolist(), new.tolist(), strict=True)) | {0: 0}
    return np.asarray(fastremap.remap(labels, lookup), dtype=np.uint32)


def within_limits(
    table: Table, *, column: str | None, minimum: float | None, maximum: float | None,
    keep_missing: bool,
) -> NDArray[np.bool_]:
    """Whether the value of each row lies in the interval, or is missing and may be.

    Raises
    ------
    UsageError
        If there is no such column, it holds words, or no number may lie in the interval.
    """
    if minimum is not None and maximum is not None and minimum > maximum:
        raise UsageError(
            f"minimum={minimum:g} is above maximum={maximum:g}: no object could stay. Swap them."
        )
    if column is None:
        return np.ones(len(table["label"]), dtype=bool)
    if column not in table:
        raise UsageError(f"column={column} is not in the table. It has {', '.join(table)}.")
    if table[column].dtype.kind not in "biuf":
        numbers = [name for name, values in table.items() if values.dtype.kind in "biuf"]
        raise UsageError(
            f"column={column} holds words, which no limit parts. Numbers are in "
            f"{', '.join(numbers)}."
        )
    values = table[column].astype(float)
    inside = ~np.isnan(values)
    if minimum is not None:
        inside &= values >= minimum
    if maximum is not None:
        inside &= values <= maximum
    return np.asarray(inside | np.isnan(values) if keep_missing else inside)
