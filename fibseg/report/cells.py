"""A figure of the cell in 3D, seen several times with its objects coloured by one column each."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from fibseg.pictures import MISSING, ColumnColors, Scene, column_colors, length_text, scale_bar_nm
from fibseg.pictures.column_colors import sequential
from fibseg.pictures.shaded import Shaded
from fibseg.report.figures import INK, STYLE, css, say

_WIDTH_IN = 3.5
_N_COLORS = 256


def cell_figure(
    scene: Scene, *, numbers: NDArray[np.integer],
    columns: Mapping[str, NDArray[np.generic]],
) -> Figure:
    """Figure with a picture of the cell for each column, its colours explained below it.

    Numbers have a colour bar over the range of colours, whose pointed ends say that values beyond
    share the last colour; classes have a legend with counts. The scale bar holds for lengths in the
    plane of the picture.

    Parameters
    ----------
    scene
        From `fibseg.pictures.trace`.
    numbers
        Label of every row of the columns.
    columns
        Values by what they are, in words and with their unit; as many as are to be drawn.
    """
    with mpl.rc_context(STYLE):
        n = max(len(columns), 1)
        rows, across = scene.shape
        height = _WIDTH_IN * rows / across
        figure = Figure(figsize=(_WIDTH_IN * n, height + 0.95), layout="constrained")
        axes = figure.subplots(2, n, squeeze=False, height_ratios=(height, 0.62))
        if not columns:
            say(axes[0][0], "no column to colour by was measured")
            axes[1][0].set_axis_off()
        for place, (title, values) in enumerate(columns.items()):
            colors = column_colors(values)
            picture = scene.colored(colors.rgb, numbers=numbers)
            _draw_picture(axes[0][place], picture)
            _draw_legend(axes[1][place], title, colors, np.asarray(values))
    return figure


def picture_figure(picture: Shaded, *, title: str = "") -> Figure:
    """Figure of one picture in 3D with a scale bar."""
    with mpl.rc_context(STYLE):
        rows, across = picture.rgb.shape[:2]
        figure = Figure(figsize=(_WIDTH_IN, _WIDTH_IN * rows / across + 0.3), layout="constrained")
        axes = figure.subplots()
        _draw_picture(axes, picture)
        axes.set_title(title, fontsize=10, loc="left", color=INK)
    return figure


def _draw_picture(axes: Axes, picture: Shaded) -> None:
    rows, across = picture.rgb.shape[:2]
    um = picture.um_per_pixel
    axes.imshow(
        picture.rgb, extent=(0, across * um, rows * um, 0), interpolation="antialiased"
    )
    axes.set_axis_off()
    length = scale_bar_nm(across * um * 1e3) * 1e-3
    left, low, thick = 0.02 * across * um, 0.985 * rows * um, 0.008 * across * um
    ink = INK if picture.rgb[0, 0].mean() > 127 else "white"
    axes.add_patch(Rectangle((left, low - thick), length, thick, fc=ink, ec="none"))
    axes.text(
        left + length / 2, low - 1.6 * thick, length_text(length * 1e3), fontsize=9, ha="center",
        va="bottom", color=ink,
    )


def _draw_legend(
    axes: Axes, title: str, colors: ColumnColors, values: NDArray[np.generic]
) -> None:
    if colors.classes:
        counts = {name: int(np.count_nonzero(values == name)) for name in colors.classes}
        handles = [
            Patch(facecolor=css(color), label=f"{name} ({counts[name]:,})")
            for name, color in colors.classes.items()
        ]
        if colors.n_missing:
            handles.append(Patch(facecolor=css(MISSING), label=f"none ({colors.n_missing:,})"))
        axes.legend(
            handles=handles, loc="upper center", ncols=2, frameon=False, fontsize=9, title=title,
            title_fontsize=10, columnspacing=1.2, handlelength=1.2,
        )
        axes.set_axis_off()
        return
    if not np.isfinite(colors.low):
        say(axes, f"{title}: no value is known")
        return
    _draw_bar(axes, title, colors)


def _draw_bar(axes: Axes, title: str, colors: ColumnColors) -> None:
    axes.set_axis_off()
    inner = axes.inset_axes((0.1, 0.72, 0.8, 0.24))
    ramp = ListedColormap(sequential(np.linspace(0, 1, _N_COLORS)) / 255.0)
    low, high = colors.low, colors.high
    if high > low:
        shown = ScalarMappable(Normalize(low, high), ramp)
    else:  # one colour for one value
        half = max(abs(low), 1.0) * 0.5
        shown = ScalarMappable(
            Normalize(low - half, high + half), ListedColormap(ramp([0.5])[:, :3])
        )
    bar = axes.figure.colorbar(shown, cax=inner, orientation="horizontal", extend="both")
    bar.outline.set_visible(False)
    if not high > low:
        bar.set_ticks([low], labels=[f"{low:.3g}"])
    bar.ax.tick_params(labelsize=9, length=3)
    grey = f"; grey: {colors.n_missing:,} without a value" if colors.n_missing else ""
    bar.set_label(f"{title}{grey}", fontsize=9.5, color=INK)
