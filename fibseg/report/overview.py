"""The figure beside the page: three planes through the volume with their objects, as PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from fibseg.pictures import Color, length_text, scale_bar_nm
from fibseg.report.figures import STYLE

HEIGHT_IN = 3.6
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
    with mpl.rc_context(STYLE):
        size = (HEIGHT_IN * sum(widths) + 0.1, HEIGHT_IN * tallest + 0.75)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
        for axis, panel in zip(axes, panels, strict=True):
            draw_panel(axis, panel)
        if legend:
            figure.legend(
                handles=_handles(legend), loc="outside lower center", ncols=len(legend),
                frameon=False,
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


def _handles(legend: Mapping[str, Color | None]) -> list[Patch]:
    return [
        Patch(
            facecolor=MANY if color is None else "#{:02x}{:02x}{:02x}".format(*color),
            label=name if color else f"{name}, one colour each",
        )
        for name, color in legend.items()
    ]
