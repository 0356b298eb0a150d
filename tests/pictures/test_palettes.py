from __future__ import annotations

import numpy as np
import pytest

from fibseg.pictures import OKABE_ITO, class_color, heat, object_colors
from fibseg.pictures.palettes import OBJECT_COLORS

# Viénot, Brettel & Mollon (1999): what a deuteranope sees of linear RGB.
DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def as_deuteranope(color: tuple[int, int, int]) -> np.ndarray:
    return ((np.array(color) / 255) ** 2.2 @ DEUTERANOPE.T).clip(0, 1) ** (1 / 2.2) * 255


def test_class_colors_stay_apart_without_green_cones() -> None:
    seen = [as_deuteranope(c) for c in OKABE_ITO[:4]]
    for i, a in enumerate(seen):
        for b in seen[:i]:
            assert np.linalg.norm(a - b) > 35


def test_colors_are_distinct_and_repeat_after_the_last() -> None:
    assert len(set(OBJECT_COLORS)) == len(OBJECT_COLORS)
    assert class_color(len(OKABE_ITO)) == class_color(0)


def test_label_has_one_color_and_neighbours_mostly_differ() -> None:
    colors = object_colors(np.arange(1, 1001))
    assert colors.shape == (1000, 3)
    same = (colors[1:] == colors[:-1]).all(axis=1).mean()
    assert same < 0.15
    used, n = np.unique(colors, axis=0, return_counts=True)
    assert len(used) == len(OBJECT_COLORS)
    assert n.max() < 2.5 * n.min()
    np.testing.assert_array_equal(object_colors(np.uint32(7)), object_colors(np.int64(7)))


def test_heat_rises_in_lightness_and_agrees_with_matplotlib() -> None:
    cm = pytest.importorskip("matplotlib").colormaps["magma"]
    at = np.linspace(0, 1, 50)
    got = heat(at)
    lightness = got @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) >= 0).all()
    assert np.abs(got - cm(at)[:, :3] * 255).max() < 12
    assert heat(np.array([np.nan, -3.0, 7.0])).tolist() == [[0, 0, 4], [0, 0, 4], [252, 253, 191]]
