"""Pictures of one place beside each other, with letters, titles and one scale bar."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from fibseg.report.figures import STYLE
from fibseg.report.overview import Panel, draw_panel

COLUMNS = 3
WIDTH_IN, TITLE_IN = 8.4, 0.3


def panels_figure(panels: Sequence[Panel]) -> Figure:
    """Figure of pictures of one place, in rows of three, lettered from A on.

    Parameters
    ----------
    panels
        All of one size; ``place`` is what each shows.
    """
    n_rows = -(-len(panels) // COLUMNS)
    height, width = panels[0].size_nm
    row_in = WIDTH_IN / COLUMNS * height / width + TITLE_IN
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, row_in * n_rows), layout="constrained")
        axes = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for number, (axis, panel) in enumerate(zip(axes, panels, strict=False)):
            draw_panel(axis, panel, letter=chr(ord("A") + number), scale_bar=number == 0)
    return figure
