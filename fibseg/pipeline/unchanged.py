"""What of a painting is still the prediction that it began with is no ground truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError, UsageError
from fibseg.pipeline.started import Started, region_digest, started_regions
from fibseg.volume import Volume
from fibseg.volume.sources import BlankedSource, Source

UNCHANGED = ("refuse", "drop", "accept")
SHOWN = 4
"""So many regions are named in an error."""


def without_predictions(
    source: Source, volume: Volume, full: str, unchanged: str
) -> Source:
    """The painting, after those regions were dealt with that nobody touched.

    Parameters
    ----------
    source
        Planes at their place in the volume.
    volume, full
        Where it is imported to, and the full name of the painting there. What stands in that was
        accepted before.
    unchanged
        ``"refuse"``, ``"drop"`` (they become unlabelled) or ``"accept"``.

    Raises
    ------
    UsageError
        If `unchanged` is none of these words.
    DataError
        If there are such regions and they are to be refused, or the file that tells them is
        damaged.
    """
    if unchanged not in UNCHANGED:
        raise UsageError(f"unchanged={unchanged} is none of {', '.join(UNCHANGED)}.")
    found = [] if unchanged == "accept" else untouched(source, volume, full)
    if not found:
        return source
    if unchanged == "drop":
        return BlankedSource(source, [started.place for started in found])
    listed = "; ".join(str(started) for started in found[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    n = len(found)
    raise DataError(
        f"{n} region{'s' * (n != 1)} of {source.path} {'is' if n == 1 else 'are'} still the "
        f"prediction that fibseg suggest filled in ({listed}{more}), which is no ground truth. "
        "Paint there, or leave such regions unlabelled with unchanged=drop. If you looked and "
        "found nothing to change: unchanged=accept."
    )


def untouched(source: Source, volume: Volume, full: str) -> list[Started]:
    """Regions that still are what they began as, and do not stand so in the store."""
    regions = started_regions(volume, source.path)
    if not regions:
        return []
    standing = volume.labels(full) if full in volume.label_names() else None
    return [
        started for started in regions
        if _is(started, source.read(started.place)) and not (
            standing is not None and _is(started, np.asarray(standing[started.place.slices]))
        )
    ]


def _is(started: Started, voxels: NDArray[Any]) -> bool:
    """Whether these voxels, shape (1, y, x), are what the region began with."""
    if int(voxels.max(initial=0)) > 255 or int(voxels.min(initial=0)) < 0:
        return False
    return region_digest(voxels[0]) == started.digest
