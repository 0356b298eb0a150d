"""The figure of planes to paint next: image with regions, and where the model is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from fibseg.pictures import heat
from fibseg.report.figures import STYLE, css
from fibseg.report.overview import Panel, draw_panel

WIDTH_IN, TITLE_IN = 8.4, 0.35
MOST_PIXELS = 640
"""Along the longer side of a picture."""
BOX = (86, 180, 233)


@dataclass(frozen=True)
class SuggestedPlane:
    """A plane as it is drawn.

    Parameters
    ----------
    title
        What it is called.
    image
        Gray plane, uint8, shape (y, x), of any number of pixels.
    unsure
        Uncertainty of each pixel, 0 to 1, of the same shape.
    boxes
        y0, x0, y1, x1 of the regions, voxels, the first to be painted first.
    shape, spacing
        Voxels (y, x) of the plane, and nm (z, y, x) of a voxel, however it is drawn.
    """

    title: str
    image: NDArray[np.uint8]
    unsure: NDArray[np.float32]
    boxes: Sequence[Sequence[int]]
    shape: tuple[int, int]
    spacing: tuple[float, float, float]

    @property
    def small(self) -> SuggestedPlane:
        """The plane in no more pixels than are drawn, which are means; boxes as they were."""
        factor = max(1, -(-max(self.image.shape) // MOST_PIXELS))
        parts = [_means(a, factor) for a in (self.image, self.unsure)]
        return replace(self, image=np.rint(parts[0]).astype(np.uint8), unsure=parts[1])

    @property
    def size_nm(self) -> tuple[float, float]:
        """Height and width."""
        return self.shape[0] * self.spacing[1], self.shape[1] * self.spacing[2]


def suggestions_figure(planes: Sequence[SuggestedPlane]) -> Figure:
    """Figure with a row for each plane: the image, the heat of its uncertainty, its regions.

    Heat is stretched to the highest uncertainty of all planes; the first plane bears the scale bar.
    """
    height, width = planes[0].size_nm
    row_in = WIDTH_IN / 2 * height / width + TITLE_IN
    highest = max(float(plane.unsure.max(initial=0)) for plane in planes) or 1.0
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, row_in * len(planes)), layout="constrained")
        axes = figure.subplots(len(planes), 2, squeeze=False)
        for number, (row, plane) in enumerate(zip(axes, planes, strict=True)):
            gray = np.repeat(plane.image[..., None], 3, axis=-1)
            unsure = heat(plane.unsure / highest)
            pictures = {plane.title: gray, "where the model is unsure": unsure}
            for axis, (title, picture) in zip(row, pictures.items(), strict=True):
                side = (
                    plane.size_nm[0] / picture.shape[0], plane.size_nm[1] / picture.shape[1]
                )
                draw_panel(axis, Panel(picture, title, side), scale_bar=number == 0)
                _draw_boxes(axis, plane)
    return figure


def _draw_boxes(axis: Axes, plane: SuggestedPlane) -> None:
    """Outline and number of every region, in nm."""
    _, y_nm, x_nm = plane.spacing
    for number, (y0, x0, y1, x1) in enumerate(plane.boxes, start=1):
        corner = (x0 * x_nm, y0 * y_nm)
        axis.add_patch(Rectangle(
            corner, (x1 - x0) * x_nm, (y1 - y0) * y_nm, fill=False, ec=css(BOX), lw=1.4
        ))
        axis.annotate(
            str(number), corner, xytext=(3, -3), textcoords="offset points", va="top", fontsize=9,
            color=css(BOX), path_effects=[withStroke(linewidth=1.8, foreground="black")],
        )


def _means(plane: NDArray[np.generic], factor: int) -> NDArray[np.float32]:
    """Means of squares of pixels; what is left over at the far borders is averaged alone."""
    rows = np.arange(0, plane.shape[0], factor)
    columns = np.arange(0, plane.shape[1], factor)
    sums = np.add.reduceat(plane, rows, axis=0, dtype=np.float64)
    sums = np.add.reduceat(sums, columns, axis=1)
    heights = np.diff([*rows, plane.shape[0]])
    widths = np.diff([*columns, plane.shape[1]])
    means: NDArray[np.float32] = (sums / np.outer(heights, widths)).astype(np.float32)
    return means
