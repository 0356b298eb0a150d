"""How much of a cell is what: one bar of the cell, and organelles beside what is known of them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fibseg.pictures import NUCLEUS, OKABE_ITO, Color
from fibseg.report.figures import INK, MUTED, STYLE, bare, css, say

REST: Color = (222, 226, 231)
_WHITE_ON = 140
_NARROW = 0.045
"""Share of a bar that has no room for words inside."""

Profile = Mapping[str, Mapping[str, Any]]


def cell_parts(profile: Profile, *, cell: str, nucleus: str | None) -> dict[str, float]:
    """Share of the cell of the nucleus, of what was measured in the cytoplasm, and of the rest.

    Without a nucleus, organelles count with their share of the cell.

    Parameters
    ----------
    profile
        ``measured["profile"]`` of a table, see `fibseg.measure.profile.finish`.
    cell, nucleus
        Names in it.

    Returns
    -------
    dict
        Empty where there is no cell. Shares that overlap may add to more than 1; then there is no
        rest.

    >>> parts = cell_parts({
    ...     "cell": {"volume_um3": 10.0}, "nucleus": {"share_of_cell": 0.2},
    ...     "cytoplasm": {"share_of_cell": 0.8}, "m": {"share_of_cytoplasm": 0.1},
    ... }, cell="cell", nucleus="nucleus")
    >>> {name: round(share, 3) for name, share in parts.items()}
    {'nucleus': 0.2, 'm': 0.08, 'rest': 0.72}
    """
    if cell not in profile:
        return {}
    parts: dict[str, float] = {}
    inside = _share(profile, nucleus, "share_of_cell") if nucleus else None
    cytoplasm = _share(profile, "cytoplasm", "share_of_cell")
    if nucleus and inside is not None:
        parts[nucleus] = inside
    for name in _organelles(profile, cell, nucleus):
        share = _share(profile, name, "share_of_cytoplasm")
        if share is not None and cytoplasm is not None:
            parts[name] = share * cytoplasm
        elif (whole := _share(profile, name, "share_of_cell")) is not None and inside is None:
            parts[name] = whole
    rest = 1 - sum(parts.values())
    return {**parts, "rest": rest} if parts and rest > 0 else parts


def shares_figure(
    profile: Profile, *, cell: str = "cell", nucleus: str | None = "nucleus"
) -> Figure:
    """Figure of what a cell consists of, and of each organelle's share of the cytoplasm.

    A mark says what is known from literature of an organelle (mitochondria are about 10 % of the
    cytoplasm of HeLa cells: Posakony et al., J Cell Biol 74:468, 1977).

    Parameters
    ----------
    profile
        ``measured["profile"]`` of a table.
    cell, nucleus
        Names in it.
    """
    parts = cell_parts(profile, cell=cell, nucleus=nucleus)
    known = {
        name: share for name in _organelles(profile, cell, nucleus)
        if (share := _share(profile, name, "share_of_cytoplasm")) is not None
    }
    colors = _colors(profile, cell, nucleus)
    with mpl.rc_context(STYLE):
        lower = max(len(known), 1)
        figure = Figure(figsize=(5.2, 2.1 + 0.55 * lower + 0.8), layout="constrained")
        above, below = figure.subplots(2, 1, height_ratios=(1.3, 0.5 * lower + 0.35))
        if parts:
            _draw_cell(above, parts, colors, _volume(profile, cell))
        else:
            say(above, "the shares of the cell are not measured")
        if known:
            _draw_organelles(below, known, profile, colors)
        else:
            say(below, "no share of the cytoplasm is measured")
    return figure


def _draw_cell(
    axes: Axes, parts: Mapping[str, float], colors: Mapping[str, Color], volume: str
) -> None:
    left, small = 0.0, []
    for name, share in parts.items():
        color = colors.get(name, REST)
        axes.barh(0, share, left=left, height=0.8, color=css(color), edgecolor="white")
        words = f"{_words(name)}\n{share:.1%}"
        dark = sum(color) / 3 < _WHITE_ON
        if share >= max(_NARROW, 0.019 * len(_words(name))):
            axes.text(
                left + share / 2, 0, words, ha="center", va="center", fontsize=9,
                color="white" if dark else INK,
            )
        else:
            small.append((left + share / 2, words.replace("\n", " ")))
        left += share
    # The leftmost stands highest, so that no line goes through the words of another.
    for place, (at, words) in enumerate(reversed(small)):
        height = 0.6 + 0.36 * place
        axes.plot([at, at], [0.4, height + 0.1], color=MUTED, linewidth=0.7)
        axes.text(at + 0.006, height, words, fontsize=9, va="bottom", ha="left")
    axes.set_xlim(0, max(left, 1.0))
    axes.set_ylim(-0.45, 0.55 + 0.4 * len(small))
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title(f"Share of the cell{volume}", fontsize=10, loc="left", color=INK)
    bare(axes, grid=False)
    axes.spines["left"].set_visible(False)


def _draw_organelles(
    axes: Axes, known: Mapping[str, float], profile: Profile, colors: Mapping[str, Color]
) -> None:
    longest, sources = max(known.values()), []
    for row, (name, share) in enumerate(known.items()):
        axes.barh(row, share, height=0.55, color=css(colors[name]))
        literature = _share(profile, name, "literature")
        # A mark just behind the end of the bar would cross the words.
        end = literature if literature and share <= literature < 1.25 * share else share
        axes.annotate(
            f"{share:.1%}", (end, row), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=9,
        )
        if literature is not None:
            axes.plot([literature] * 2, [row - 0.42, row + 0.42], color=INK, linewidth=1.6)
            longest = max(longest, literature)
            sources.append(f"{_words(name)}: {profile[name].get('literature_source', '')}")
    axes.set_yticks(range(len(known)), [_words(name) for name in known])
    axes.set_ylim(len(known) - 0.5, -0.5)
    axes.set_xlim(0, longest * 1.15 or 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if longest > 0.04 else 1))
    axes.set_title("Share of the cytoplasm", fontsize=10, loc="left", color=INK)
    if sources:
        words = textwrap.fill("mark: " + "; ".join(sources), 70)
        axes.set_xlabel(words, fontsize=8.5, color=MUTED)
    bare(axes, grid=False)


def _organelles(profile: Profile, cell: str, nucleus: str | None) -> list[str]:
    return [name for name in profile if name not in (cell, nucleus, "cytoplasm")]


def _colors(profile: Profile, cell: str, nucleus: str | None) -> dict[str, Color]:
    names = _organelles(profile, cell, nucleus)
    colors = {name: OKABE_ITO[i % len(OKABE_ITO)] for i, name in enumerate(names)}
    return {**colors, **({nucleus: NUCLEUS} if nucleus else {})}


def _share(profile: Profile, name: str | None, part: str) -> float | None:
    value = profile.get(name or "", {}).get(part)
    return None if value is None or not math.isfinite(value) else float(value)


def _volume(profile: Profile, cell: str) -> str:
    value = _share(profile, cell, "volume_um3")
    return "" if value is None else f" ({value:,.4g} µm³)"


def _words(name: str) -> str:
    return name.replace("_", " ")
