"""Colours of objects by a column of their table: the same in figures, on the page and in viewers.

Numbers are drawn in viridis, which people with any colour vision read in the same order (van der
Walt and Smith, 2015), over the range of all but the outermost of them; classes in colours of Okabe
and Ito; what is missing in grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures.palettes import OKABE_ITO, Color

CLASS_COLORS: Mapping[str, Color] = {
    "perinuclear": (213, 94, 0), "intermediate": (0, 158, 115), "peripheral": (86, 180, 233),
}
"""Of the spatial classes, wherever they are drawn."""
MISSING: Color = (150, 150, 150)
"""Of an object without a value."""
PERCENT = (2.0, 98.0)
"""Of the values that are drawn: the ends of the range of colours."""

_VIRIDIS = np.array(  # of matplotlib (CC0), every 8th colour
    [(68, 1, 84), (71, 13, 96), (72, 24, 106), (72, 35, 116), (71, 45, 123), (69, 54, 129),
     (66, 64, 134), (63, 73, 137), (59, 82, 139), (55, 90, 141), (51, 99, 141), (47, 106, 142),
     (44, 114, 142), (41, 122, 142), (38, 129, 142), (35, 137, 142), (33, 144, 140), (31, 152, 139),
     (31, 159, 136), (33, 166, 133), (40, 174, 128), (49, 181, 123), (62, 188, 116), (76, 194, 108),
     (93, 201, 99), (110, 206, 88), (130, 211, 76), (150, 216, 63), (171, 220, 50), (192, 223, 36),
     (213, 226, 26), (234, 229, 26), (253, 231, 37)], float,
)  # fmt: skip
_OTHERS = tuple(color for color in OKABE_ITO if color not in CLASS_COLORS.values())


@dataclass(frozen=True)
class ColumnColors:
    """Colours of a column and what a legend has to say of them.

    Attributes
    ----------
    rgb
        (n, 3), 0 to 255, one for each value.
    low, high
        Values with the first and the last colour of `sequential`; beyond them colours do not
        change. NaN for classes and where no value is known.
    classes
        Colour of each class that occurs; empty for numbers.
    n_missing
        How many values are missing, and grey.
    """

    rgb: NDArray[np.uint8]
    low: float = np.nan
    high: float = np.nan
    classes: Mapping[str, Color] = field(default_factory=dict)
    n_missing: int = 0


def column_colors(
    values: NDArray[np.generic], *, limits: tuple[float, float] | None = None
) -> ColumnColors:
    """Colours of numbers (from dark to light) or of classes (strings).

    Parameters
    ----------
    values
        A column, one value per object; NaN, infinite and the empty string are missing.
    limits
        Values with the first and the last colour, for columns that are to be compared; otherwise
        the percentiles `PERCENT` of the values.

    >>> column_colors(np.array(["peripheral", ""])).rgb.tolist()
    [[86, 180, 233], [150, 150, 150]]
    >>> column_colors(np.array([1.0, 3.0, np.nan]), limits=(1, 3)).rgb.tolist()
    [[68, 1, 84], [253, 231, 37], [150, 150, 150]]
    """
    column = np.asarray(values)
    if column.dtype.kind in "USO":
        return _of_classes(column.astype(str))
    numbers = column.astype(float)
    known = np.isfinite(numbers)
    rgb = np.full((numbers.size, 3), MISSING, np.uint8)
    n_missing = int(np.count_nonzero(~known))
    if not known.any():
        return ColumnColors(rgb, n_missing=n_missing)
    low, high = (float(v) for v in limits or np.percentile(numbers[known], PERCENT))
    rgb[known] = sequential(fractions(numbers[known], low, high))
    return ColumnColors(rgb, low, high, n_missing=n_missing)


def fractions(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.float64]:
    """Places of values between `low` and `high`, 0 to 1; in the middle where both are the same.

    >>> fractions(np.array([1.0, 2.0, 9.0]), 1.0, 5.0).tolist()
    [0.0, 0.25, 1.0]
    """
    if not high > low:
        return np.full(np.shape(values), 0.5)
    return np.clip((np.asarray(values, float) - low) / (high - low), 0, 1)


def sequential(fraction: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours of values 0 to 1, dark to light, shape (..., 3).

    >>> sequential(np.array([0.0, 0.5, 1.0])).tolist()
    [[68, 1, 84], [33, 144, 140], [253, 231, 37]]
    """
    at = np.clip(np.asarray(fraction, float), 0, 1)
    stops = np.linspace(0, 1, len(_VIRIDIS))
    channels = [np.interp(at, stops, _VIRIDIS[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def _of_classes(names: NDArray[np.str_]) -> ColumnColors:
    present = [str(name) for name in np.unique(names) if name and name != "nan"]
    others = [name for name in present if name not in CLASS_COLORS]
    colors = {name: CLASS_COLORS[name] for name in CLASS_COLORS if name in present}
    colors |= {name: _OTHERS[i % len(_OTHERS)] for i, name in enumerate(others)}
    rgb = np.full((names.size, 3), MISSING, np.uint8)
    for name, color in colors.items():
        rgb[names == name] = color
    n_missing = int(np.count_nonzero(~np.isin(names, present)))
    return ColumnColors(rgb, classes=colors, n_missing=n_missing)
