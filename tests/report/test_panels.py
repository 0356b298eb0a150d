"""Panels of one place: letters, titles, one scale bar."""

from __future__ import annotations

import numpy as np
import pytest

from fibseg.report import Panel, panels_figure


def panels(n):
    return [Panel(np.full((30, 40, 3), 9 * i, np.uint8), f"step {i}", (10.0, 10.0))
            for i in range(n)]


@pytest.mark.parametrize(("n", "rows"), [(1, 1), (3, 1), (4, 2), (6, 2)])
def test_panels_are_lettered_in_rows_of_three(n, rows):
    figure = panels_figure(panels(n))
    assert len(figure.axes) == 3 * rows
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.images]
    assert titles == [f"{'ABCDEF'[i]}  step {i}" for i in range(n)]


def test_the_first_panel_alone_has_a_scale_bar():
    figure = panels_figure(panels(3))
    texts = [[t.get_text() for t in ax.texts] for ax in figure.axes]
    assert texts == [["100 nm"], [], []]
