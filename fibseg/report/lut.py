"""Colour scales of the page: evenly rising lightness, safe for any colour vision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np

from fibseg.pictures import Color

N_STOPS = 33
"""Colours between are mixed: with 33 stops no channel is off by more than 2 of 255."""


def stops(name: str) -> tuple[Color, ...]:
    """`N_STOPS` colours of a colour map of matplotlib, from low to high.

    >>> stops("cividis")[0], stops("viridis")[-1]
    ((0, 34, 78), (253, 231, 37))
    """
    rgba = np.rint(255 * mpl.colormaps[name](np.linspace(0, 1, N_STOPS))).astype(int)
    return tuple((r, g, b) for r, g, b, _ in rgba.tolist())


PALETTES: Mapping[str, Sequence[Color]] = {"viridis": stops("viridis"), "cividis": stops("cividis")}
"""Nuñez et al. (2018), https://doi.org/10.1371/journal.pone.0199239, for cividis."""
