"""How figures of the report look, and how they become SVG text, PNG bytes, and files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fibseg.pictures import Color
from fibseg.volume.files import checked_name, write_bytes

Drawing = Figure
"""What drawing functions return, and `svg_text`, `png_bytes` and `write_figures` take."""
INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
ACCENT: Color = (0, 114, 178)
"""Of what has no colour of its own: the blue of Okabe and Ito."""
FONTS = "Inter, system-ui, &quot;Segoe UI&quot;, Roboto, Arial"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "fibseg",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.color": INK,
    "text.parse_math": False,  # names may hold a dollar sign
}
DPI = 200


def plane_scores(z: Sequence[int], scores: Mapping[str, Sequence[float | None]]) -> str:
    """SVG of scores of single planes over the depth of the volume; gaps where undefined.

    Parameters
    ----------
    z
        Plane numbers.
    scores
        Name to one value per plane, 0–1.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.6), layout="constrained")
        axes = figure.subplots()
        for (name, values), color in zip(
            scores.items(), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=False
        ):
            numbers = [np.nan if v is None else v for v in values]
            axes.plot(z, numbers, "o-", color=color, markersize=4.5, linewidth=1.3, label=name)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("plane z")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.legend(frameon=False, ncols=4, loc="lower left", fontsize=10)
        bare(axes)
    return svg_text(figure)


def svg_text(figure: Figure) -> str:
    """SVG of a figure, on no ground: equal for equal figures, as it holds no date and no version.

    Text stays text.
    """
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata=metadata, transparent=True, dpi=DPI)
    text = buffer.getvalue()
    # Measured with a font that comes with matplotlib, drawn with one that the reader has.
    return text[text.index("<svg") :].replace("'DejaVu Sans'", FONTS)


def png_bytes(figure: Figure, *, dpi: int = DPI) -> bytes:
    """PNG of a figure on white, without date or version."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def write_figures(
    figures: Mapping[str, Figure], folder: Path, *, svgs: Mapping[str, str] | None = None
) -> list[Path]:
    """Paths of ``NAME.svg`` and ``NAME.png`` in `folder`, one of each for every figure.

    The same figures give the same bytes; a crash leaves the old file or the new one.

    Parameters
    ----------
    figures
        By the name of their files.
    svgs
        `svg_text` of those that are known already: drawing takes a while.

    Raises
    ------
    UsageError
        If a name cannot be that of a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        checked_name(name, what="figure")
        svg = (svgs or {}).get(name) or svg_text(figure)
        drawn = {"svg": svg.encode(), "png": png_bytes(figure)}
        for kind, data in drawn.items():
            path = folder / f"{name}.{kind}"
            write_bytes(path, data)
            written.append(path)
    return written


def bare(axes: Axes, *, grid: bool = True) -> None:
    """Take away what axes do not need."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(which="both", length=3, pad=4)
    if grid:
        axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def say(axes: Axes, text: str) -> None:
    """Text in the middle of axes that have nothing to show, and nothing else."""
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, text, ha="center", va="center", color=MUTED, fontsize=10,
        transform=axes.transAxes, wrap=True,
    )


def css(color: Color) -> str:
    """Colour as matplotlib and SVG write it.

    >>> css((0, 114, 178))
    '#0072b2'
    """
    return "#{:02x}{:02x}{:02x}".format(*(int(c) for c in color))


def number(value: float) -> str:
    """A number with two digits and a true minus.

    >>> number(-0.4235), number(0.0), number(12345.0)
    ('−0.42', '0.00', '12345.00')
    """
    return f"{value:.2f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value as papers write it.

    >>> p_value(0.0421), p_value(3e-7), p_value(0.5)
    ('p = 0.042', 'p < 0.001', 'p = 0.5')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
