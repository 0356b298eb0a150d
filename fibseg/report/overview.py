"""The figure beside the page: three planes through the volume with their objects, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from fibseg.pictures import Color, length_text, scale_bar_nm
from fibseg.report.figures import STYLE, css

HEIGHT_IN = 3.6
LETTERS_PER_IN, PATCH = 10, 7
"""Of the legend, a few fewer than there is room for; a patch takes as much as some letters."""
MANY = "#888888"
"""Stands in the legend for kinds whose objects have a colour each."""


@dataclass(frozen=True)
class Panel:
    """One plane: picture (rows, columns, 3), where it lies, nm per row and column."""

    picture: NDArray[np.uint8]
    place: str
    spacing: tuple[float, float]

    @property
    def size_nm(self) -> tuple[float, float]:
        """Height and width."""
        rows, columns = self.picture.shape[:2]
        return rows * self.spacing[0], columns * self.spacing[1]


def figure_png(
    panels: Sequence[Panel], *, legend: Mapping[str, Color | None], dpi: int = 200
) -> bytes:
    """PNG of the panels side by side at one scale, with scale bar and legend.

    Parameters
    ----------
    panels
        The planes; the first sets the height.
    legend
        Kinds of object and their colour; None where every object has its own.
    """
    widths = [p.size_nm[1] / panels[0].size_nm[0] for p in panels]
    tallest = max(p.size_nm[0] for p in panels) / panels[0].size_nm[0]
    width = HEIGHT_IN * sum(widths) + 0.1
    letters = int(width * LETTERS_PER_IN)
    handles = _handles(legend, letters=letters - PATCH)
    words = [str(h.get_label()) for h in handles]
    n_columns = _n_columns([len(word) for word in words], letters=letters)
    n_rows = sum(word.count("\n") for word in words) + -(-len(words) // n_columns)
    with mpl.rc_context(STYLE):
        size = (width, HEIGHT_IN * tallest + 0.5 + 0.25 * n_rows)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
        for axis, panel in zip(axes, panels, strict=True):
            draw_panel(axis, panel)
        if handles:
            figure.legend(
                handles=handles, loc="outside lower center", ncols=n_columns, frameon=False
            )
        buffer = io.BytesIO()
        # No date, no version: equal pictures are equal files.
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def draw_panel(axis: Axes, panel: Panel, *, letter: str = "", scale_bar: bool = True) -> None:
    """Draw a plane with its title and, if wanted, a letter before it and a scale bar."""
    height, width = panel.size_nm
    axis.imshow(panel.picture, extent=(0, width, height, 0), interpolation="lanczos")
    axis.set_title(f"{letter}  {panel.place}".strip(), fontsize=10, loc="left")
    axis.set_axis_off()
    axis.set_anchor("N")
    if scale_bar:
        _scale_bar(axis, height, width)


def _scale_bar(axis: Axes, height: float, width: float) -> None:
    bar, edge = scale_bar_nm(width), 0.03 * width
    y = height - edge
    thick = 0.012 * width
    axis.add_patch(Rectangle((width - edge - bar, y - thick), bar, thick, fc="w", ec="k", lw=0.5))
    axis.text(
        width - edge - bar / 2, y - 2 * thick, length_text(bar), color="white", fontsize=9,
        ha="center", va="bottom", path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )


def _handles(legend: Mapping[str, Color | None], *, letters: int) -> list[Patch]:
    """A patch for every colour, and one for all kinds whose objects have one each."""
    many = [name for name, color in legend.items() if color is None]
    patches = [
        Patch(facecolor=css(color), label=fill(name, letters))
        for name, color in legend.items() if color is not None
    ]
    if many:
        text = f"{', '.join(many)}: one colour each"
        patches.insert(0, Patch(facecolor=MANY, label=fill(text, letters)))
    return patches


def _n_columns(letters_each: Sequence[int], *, letters: int) -> int:
    """Most columns of a legend that fit; entries run down its columns.

    >>> _n_columns([20, 5, 5], letters=60), _n_columns([20, 5, 5], letters=40)
    (3, 2)
    """
    for n_columns in range(len(letters_each), 1, -1):
        n_rows = -(-len(letters_each) // n_columns)
        columns = [letters_each[i : i + n_rows] for i in range(0, len(letters_each), n_rows)]
        if sum(max(column) + PATCH for column in columns) <= letters:
            return n_columns
    return 1
