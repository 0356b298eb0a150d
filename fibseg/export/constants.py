"""Grey values that a travelling model has inside: those of one volume, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fibseg.errors import DataError
from fibseg.export.schema import is_number

if TYPE_CHECKING:
    from fibseg.export.spec import ModelSpec
    from fibseg.volume import Volume

KEY = "intensities"
"""Where the record of a training volume holds them."""

LARGEST = {"uint8": 255, "uint16": 65535}


@dataclass(frozen=True)
class Constants:
    """Percentiles and polarity of one volume.

    Parameters
    ----------
    low, high
        Stored raw values that become the two ends of the range a network sees.
    polarity
        ``"dark"`` or ``"bright"``: how stain looks in the stored raw.
    dtype
        Type of the stored raw, ``"uint8"`` or ``"uint16"``.
    volume, raw_digest
        Which volume it is.
    """

    low: float
    high: float
    polarity: str
    dtype: str
    volume: str
    raw_digest: str

    @property
    def largest(self) -> int:
        """Largest value of the type: what a program divides by to get 0 to 1."""
        return LARGEST[self.dtype]

    @property
    def invert(self) -> bool:
        """Whether values are turned over, so that stain is bright."""
        return self.polarity == "dark"

    def record(self) -> dict[str, Any]:
        """What the record of a training keeps of a volume's intensities."""
        return {key: getattr(self, key) for key in ("low", "high", "polarity", "dtype")}


def constants_of(volume: Volume) -> Constants:
    """Constants of a volume, from the percentiles recorded at import.

    Raises
    ------
    DataError
        If the volume has one value nearly everywhere.
    """
    from fibseg.data.normalise import Normalisation

    found = Normalisation.of(volume)
    return Constants(
        found.low, found.high, volume.polarity, volume.dtype.name, volume.name, volume.raw_digest
    )


def trained_constants(spec: ModelSpec, model: str) -> Constants:
    """Constants of the volume that a model was trained on.

    Parameters
    ----------
    spec, model
        Description of the model, and its folder for messages.

    Raises
    ------
    DataError
        If they were not recorded, or there are several volumes that differ.
    """
    sources = [s for s in spec.training.get("volumes", []) if isinstance(s, Mapping)]
    told = [_recorded(s) for s in sources if KEY in s]
    if not told or len(told) < len(sources):
        raise DataError(
            f"{model} does not tell the grey values of the volume that it was trained on, so that "
            "they cannot go into the file. Name a volume like those that the file is for: "
            "volume=cell.ome.zarr."
        )
    ranges = {(c.low, c.high, c.polarity, c.dtype) for c in told}
    if len(ranges) > 1:
        named = ", ".join(f"{c.volume} {c.low:g} to {c.high:g}, {c.polarity}" for c in told)
        raise DataError(
            f"{model} was trained on volumes of different grey values ({named}), and a file has "
            "room for those of one. Name a volume like those that the file is for: "
            "volume=cell.ome.zarr."
        )
    return told[0]


def _recorded(source: Mapping[str, Any]) -> Constants:
    """Constants of one training volume, checked."""
    found = source[KEY]
    ok = isinstance(found, Mapping) and set(found) == {"low", "high", "polarity", "dtype"}
    if not ok or not _sensible(found):
        raise DataError(
            f"model.json tells intensities {found!r} of a training volume, which cannot be meant. "
            "Copy the model folder again, or give volume=…."
        )
    return Constants(
        float(found["low"]), float(found["high"]), found["polarity"], found["dtype"],
        str(source.get("name", "unknown")), str(source.get("raw_digest", "")),
    )


def _sensible(found: Mapping[str, Any]) -> bool:
    """Whether numbers are in order and words known."""
    low, high = found["low"], found["high"]
    return (
        is_number(low) and is_number(high) and low < high
        and found["polarity"] in ("dark", "bright") and found["dtype"] in LARGEST
    )
