"""Regions of masks that began as a prediction, and where it stands what they began with.

In runs of the store, by which they are known wherever the masks were saved; and in a file beside
the masks, by which they are known in a store that has no such run: a copy that was made before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.geometry import Box
from fibseg.volume import Volume
from fibseg.volume.files import UNSEALED, seal_holds, write_json

VERB, STARTED = "suggest", "started"
"""Runs of this verb record the regions that they filled in, under this key of their metrics."""
FILE = "started.json"
"""In a folder of planes to paint: the same regions, and the volume that they are of."""


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


def started_regions(volume: Volume, beside: Path | None = None) -> list[Started]:
    """All regions that were ever filled in for planes of a volume.

    A damaged record of a run is left out, with a warning: painting can be imported nevertheless.

    Parameters
    ----------
    volume
        The store, which has runs of its own.
    beside
        Painted masks: the file that lies with them or near to them is read, too.

    Raises
    ------
    DataError
        If that file is damaged.
    """
    found = {
        Started.of(record): None
        for run in volume.runs(skip_damaged=True)
        if run["verb"] == VERB and run["inputs"].get("raw") == volume.raw_digest
        for record in run["metrics"].get(STARTED, ())
    }
    if beside is not None:
        here = beside.absolute()
        for folder in (here, *here.parents[:2]):
            found |= dict.fromkeys(noted_regions(folder, volume))
    return list(found)


def noted_regions(folder: Path, volume: Volume) -> list[Started]:
    """Regions that the file in a folder to paint tells; none if it is not there or of another.

    Raises
    ------
    DataError
        If it is not, to the bit, what fibseg wrote.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    data = path.read_bytes()
    if not seal_holds(data):
        raise DataError(
            f"{path} was cut off, damaged, or changed by another program: it told what fibseg "
            "suggest filled in, and without it a prediction could pass for painting. Take it from "
            "a copy, or suggest again with another out=. If all is painted: look at every region "
            "of suggestions.csv, and import with unchanged=accept."
        )
    found = json.loads(data)
    if found.get("raw_digest") != volume.raw_digest:
        return []
    return [Started.of(record) for record in found[STARTED]]


def note_regions(folder: Path, volume: Volume, regions: Sequence[Started]) -> None:
    """Add regions to the file in a folder to paint, before they are filled in.

    Raises
    ------
    DataError
        If the file that stands is damaged.
    """
    every = {*noted_regions(folder, volume), *regions}
    write_json(folder / FILE, {
        "raw_digest": volume.raw_digest, "seal": UNSEALED,
        STARTED: [s.record() for s in sorted(every, key=lambda s: (s.z, s.box, s.digest))],
    })
