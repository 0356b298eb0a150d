"""Colours that people with any colour vision can tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]

# Okabe and Ito (2008), https://jfly.uni-koeln.de/color/, without black; strongest on grey first.
OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167),
    (240, 228, 66), (213, 94, 0), (0, 114, 178),
)  # fmt: skip

# With Tol's "bright" and "light" schemes (https://personal.sron.nl/~pault/) for many objects.
OBJECT_COLORS: tuple[Color, ...] = (
    *OKABE_ITO,
    (68, 187, 153), (238, 136, 102), (119, 170, 221), (255, 170, 187),
    (187, 204, 51), (170, 51, 119), (153, 221, 255), (238, 221, 136), (102, 204, 238),
)  # fmt: skip

CORRECT: Color = (0, 158, 115)
INVENTED: Color = (213, 94, 0)
MISSED: Color = (86, 180, 233)

_HEAT = np.array(  # magma of matplotlib (CC0), every 32nd colour
    [(0, 0, 4), (29, 17, 71), (81, 18, 124), (130, 38, 129), (183, 55, 121), (230, 81, 98),
     (252, 137, 97), (254, 194, 135), (252, 253, 191)], float,
)  # fmt: skip


def class_color(index: int) -> Color:
    """Colour of the class with this place in the list of classes, counted from 0.

    >>> class_color(0)
    (230, 159, 0)
    """
    return OKABE_ITO[index % len(OKABE_ITO)]


def object_colors(labels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Colours of object labels, shape (..., 3); the same label has the same colour everywhere.

    Labels are scattered over the palette, since neighbours often have consecutive numbers.

    >>> object_colors(np.array([1, 1, 2])).tolist()
    [[187, 204, 51], [187, 204, 51], [68, 187, 153]]
    """
    scattered = (np.asarray(labels).astype(np.uint64) * np.uint64(2654435761)) >> np.uint64(13)
    palette: NDArray[np.uint8] = np.array(OBJECT_COLORS, np.uint8)
    return np.take(palette, scattered % np.uint64(len(OBJECT_COLORS)), axis=0)


def heat(fraction: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours of values 0 to 1, dark to light, shape (..., 3); evenly rising lightness.

    >>> heat(np.array([0.0, 1.0])).tolist()
    [[0, 0, 4], [252, 253, 191]]
    """
    at = np.clip(np.nan_to_num(np.asarray(fraction, float)), 0, 1)
    anchors = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(at, anchors, _HEAT[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
