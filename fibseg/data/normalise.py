"""Intensities as a network sees them: by percentiles of the whole volume, stain bright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.geometry import Box

if TYPE_CHECKING:
    from fibseg.volume import Volume

RULE: dict[str, Any] = {"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"}
"""What a model folder records: the percentiles of a volume that map to the ends of the range."""

LOW, HIGH = (f"p{RULE[key]:g}" for key in ("low_percentile", "high_percentile"))
"""The same percentiles as a `fibseg.volume.Volume` names them."""

WIDTH = 5.0
"""Length of the normalised range: a Gaussian histogram gets a standard deviation near 1."""

OUTSIDE = 0.1
"""How far beyond the range values are kept, as a share of it; brighter is clipped."""


@dataclass(frozen=True)
class Normalisation:
    """Raw values that become the two ends of the range -2.5 to 2.5.

    Parameters
    ----------
    low, high
        Stored raw values (0.5 and 99.5 percentile of the volume).
    invert
        True where stain is dark in the stored raw: it comes out bright.
    """

    low: float
    high: float
    invert: bool

    @classmethod
    def of(cls, volume: Volume) -> Normalisation:
        """Normalisation of a whole volume, from the percentiles recorded at import.

        Raises
        ------
        DataError
            If the volume has one value nearly everywhere.
        """
        low, high = volume.percentiles[LOW], volume.percentiles[HIGH]
        if not high > low:
            raise DataError(
                f"{volume.name} has the intensity {low:g} nearly everywhere ({LOW} {low:g}, "
                f"{HIGH} {high:g}), so there is nothing to see. Check the import."
            )
        return cls(float(low), float(high), volume.polarity == "dark")


def normalise(image: NDArray[Any], spec: Normalisation) -> NDArray[np.float32]:
    """Return the image as a network sees it, float32, same shape, within -3 to 3.

    >>> normalise(np.array([0, 100, 200]), Normalisation(0, 200, invert=True)).tolist()
    [2.5, 0.0, -2.5]
    """
    share = (image.astype(np.float32) - np.float32(spec.low)) * np.float32(
        1 / (spec.high - spec.low)
    )
    if spec.invert:
        share = np.float32(1) - share
    np.clip(share, -OUTSIDE, 1 + OUTSIDE, out=share)
    out: NDArray[np.float32] = (share - np.float32(0.5)) * np.float32(WIDTH)
    return out


def refuse_not_finite(raw: NDArray[Any], box: Box) -> None:
    """Nothing, if all voxels are numbers; NaN would spread and look like background.

    Parameters
    ----------
    raw
        Voxels of `box`.

    Raises
    ------
    DataError
        If one is NaN or infinite; it names the first.
    """
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        bad = np.argwhere(~np.isfinite(raw))
        first = tuple(int(a + b) for a, b in zip(bad[0], box.start, strict=True))
        raise DataError(
            f"the raw has {len(bad)} NaN or infinite voxels in {box}, the first at {first}. "
            "Mend the source and import it again."
        )
