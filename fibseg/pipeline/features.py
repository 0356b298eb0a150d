"""The segment feature filter: objects are measured, and some of them stay.

What the steps before have made is measured in a pass over all blocks, exactly as the table of the
finished label image is; so any column of that table can be asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fibseg.measure import regions
from fibseg.pipeline.bench import Array, Sheet, Work, word
from fibseg.pipeline.numbering import first_places, write_numbered
from fibseg.pipeline.region_sums import region_sums
from fibseg.postprocess.features import within_limits
from fibseg.types import Spacing, Table

INTENSITY = "intensity_"
"""Columns that begin like that need the image."""


def no_objects(spacing: Spacing) -> Table:
    """The table of no objects, with every column that can be asked for."""
    nothing = np.zeros((0, 0, 0), dtype=np.uint8)
    return regions.measure(nothing, nothing, spacing=spacing)


def filter_objects(
    labels: Array, target: Sheet, name: str, inputs: str, work: Work, *,
    image: Array | None = None, column: str, minimum: float | None, maximum: float | None,
) -> int:
    """Write the objects within the limits into `target`; returns how many stay.

    The numbers are those of `fibseg.postprocess.filter_objects` on the whole volume.
    """
    over: dict[str, Any] = {"block_shape": work.block_shape, "runner": work.runner}
    sums = region_sums(
        labels, image, moments=column.startswith("axis_"), label=f"{word(name)}: measure", **over
    )
    z, y, x = labels.shape
    table = regions.finish(sums, shape=(z, y, x), spacing=work.spacing)
    stays = within_limits(table, column=column, minimum=minimum, maximum=maximum)
    places = first_places(labels, label=f"{word(name)}: places", **over)
    # Rows and places are both sorted by number, and hold every object.
    return write_numbered(
        labels, places, target, stays=stays, inputs=inputs, label=word(name), **over
    )
