"""Masks that began as a prediction: what is still one when it is imported is no ground truth."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box
from fibseg.volume import Volume
from fibseg.volume.sources import BlankedSource, Source

UNCHANGED = ("refuse", "drop", "accept")
VERB, STARTED = "suggest", "started"
"""Runs of this verb record the regions that they filled in, under this key of their metrics."""
SHOWN = 4
"""So many regions are named in an error."""


@dataclass(frozen=True)
class Started:
    """A region of a plane that was filled in, and the digest of what was.

    Parameters
    ----------
    z
        Number of the plane.
    box
        y0, x0, y1, x1.
    digest
        Of `region_digest`.
    """

    z: int
    box: tuple[int, int, int, int]
    digest: str

    @property
    def place(self) -> Box:
        """The region in the volume."""
        y0, x0, y1, x1 = self.box
        return Box((self.z, y0, x0), (self.z + 1, y1, x1))

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {"z": self.z, "box": list(self.box), "digest": self.digest}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Started:
        """From plain data."""
        y0, x0, y1, x1 = (int(v) for v in record["box"])
        return cls(int(record["z"]), (y0, x0, y1, x1), str(record["digest"]))

    def __str__(self) -> str:
        y0, x0, y1, x1 = self.box
        return f"plane {self.z}, y {y0}-{y1}, x {x0}-{x1}"


def region_digest(region: NDArray[Any]) -> str:
    """Digest of the values of a painted region, whatever integers they are stored as.

    >>> region_digest(np.ones((2, 3), np.uint8)) == region_digest(np.ones((2, 3), np.int64))
    True
    """
    values = np.ascontiguousarray(region, np.uint8)
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()


def started_in(mask: NDArray[np.uint8], z: int, boxes: Sequence[Sequence[int]]) -> list[Started]:
    """What a mask (y, x) that is about to be written begins with; empty regions say nothing."""
    found = []
    for y0, x0, y1, x1 in boxes:
        region = mask[y0:y1, x0:x1]
        if region.any():
            found.append(Started(z, (y0, x0, y1, x1), region_digest(region)))
    return found


def started_regions(volume: Volume) -> list[Started]:
    """All regions that were ever filled in for planes of a volume, as its runs have them.

    A damaged record is left out, with a warning: painting can be imported nevertheless.
    """
    found = {
        Started.of(record): None
        for run in volume.runs(skip_damaged=True)
        if run["verb"] == VERB and run["inputs"].get("raw") == volume.raw_digest
        for record in run["metrics"].get(STARTED, ())
    }
    return list(found)


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
        If there are such regions and they are to be refused.
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
    regions = started_regions(volume)
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
