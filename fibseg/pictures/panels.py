"""Pictures side by side, and scale bars of round length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fibseg.errors import DataError


def tile(
    panels: Sequence[NDArray[np.uint8]], *, columns: int | None = None, gap: int = 4,
    color: tuple[int, int, int] = (255, 255, 255),
) -> NDArray[np.uint8]:
    """Pictures in rows of `columns` (all in one row if left out), shape (y, x, 3).

    Smaller pictures sit at the top left of their cell; grey ones become RGB.

    Raises
    ------
    DataError
        If there is no picture.

    >>> tile([np.zeros((2, 3), np.uint8)] * 4, columns=2, gap=1).shape
    (5, 7, 3)
    """
    if not panels:
        raise DataError("there is no picture to tile. Give at least one.")
    pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=-1) for p in panels]
    n_columns = columns or len(pictures)
    n_rows = math.ceil(len(pictures) / n_columns)
    h, w = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    size = (n_rows * (h + gap) - gap, min(n_columns, len(pictures)) * (w + gap) - gap, 3)
    canvas = np.full(size, color, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = (i // n_columns) * (h + gap), (i % n_columns) * (w + gap)
        canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return canvas


def scale_bar_nm(width_nm: float, *, part: float = 0.25) -> float:
    """Length of a scale bar: 1, 2 or 5 times a power of ten, at most `part` of the width.

    >>> scale_bar_nm(4480.0), scale_bar_nm(900.0)
    (1000.0, 200.0)
    """
    if width_nm <= 0:
        return 0.0
    most = width_nm * part
    power = 10.0 ** math.floor(math.log10(most) + 1e-12)
    return next(m * power for m in (5.0, 2.0, 1.0) if m * power <= most * (1 + 1e-9))


def length_text(length_nm: float) -> str:
    """Length with its unit, in the words of a figure legend.

    >>> length_text(500.0), length_text(2000.0)
    ('500 nm', '2 µm')
    """
    return f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"
