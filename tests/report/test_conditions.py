"""A dot for every cell, wherever it stands, and a mean with its interval for each condition."""

from __future__ import annotations

import numpy as np

from fibseg.report import conditions_figure, svg_text

VALUES = {"er: volume (µm³)": {"control": [1.0, 2.0, float("nan")], "drug": [3.0, 3.0, 4.0]}}
INTERVALS = {"er: volume (µm³)": {"control": (1.5, 0.5, 2.5), "drug": (3.3, 2.5, 4.1)}}


def dots(figure):
    return [line.get_ydata() for line in figure.axes[0].lines if line.get_marker() == "o"]


def test_every_cell_is_a_dot():
    figure = conditions_figure(VALUES, INTERVALS, chances={"er: volume (µm³)": 0.02})
    assert [list(y) for y in dots(figure)] == [[1.0, 2.0], [3.0, 3.0, 4.0]]
    x = [line.get_xdata() for line in figure.axes[0].lines if line.get_marker() == "o"][1]
    assert len(set(x)) == 3, "equal cells stand side by side"
    text = svg_text(figure)
    for word in ("n = 2", "n = 3", "p = 0.02", "volume (µm³)"):
        assert word in text
    lines = [line for line in figure.axes[0].lines if line.get_marker() != "o"]
    assert [list(line.get_ydata()) for line in lines[:2]] == [[1.5, 1.5], [0.5, 2.5]]


def test_what_is_missing_is_left_out():
    nan = float("nan")
    figure = conditions_figure(
        {"a": {"x": [nan], "y": [2.0]}}, {"a": {"x": (nan, nan, nan), "y": (2.0, nan, nan)}},
    )
    assert [list(y) for y in dots(figure)] == [[], [2.0]]
    assert len(figure.axes[0].lines) == 3, "two sets of dots and one mean"
    assert not figure.axes[0].texts


def test_many_measures_are_many_panels_and_none_says_so():
    many = {f"m{k}": {"x": [float(k)]} for k in range(4)}
    intervals = {f"m{k}": {"x": (float(k), np.nan, np.nan)} for k in range(4)}
    figure = conditions_figure(many, intervals)
    assert sum(axes.axison for axes in figure.axes) == 4
    assert "no measure is known" in svg_text(conditions_figure({}, {}))


def test_the_same_cells_give_the_same_bytes():
    one, two = (svg_text(conditions_figure(VALUES, INTERVALS)) for _ in range(2))
    assert one == two
