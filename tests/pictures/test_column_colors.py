from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pytest

from fibseg.measure.classes import NAMES
from fibseg.pictures import CLASS_COLORS, MISSING, column_colors, sequential
from fibseg.pictures.column_colors import fractions


def lightness(rgb: np.ndarray) -> np.ndarray:
    """Relative luminance (WCAG 2)."""
    share = np.asarray(rgb, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def test_the_scale_is_that_of_matplotlib_and_rises_in_lightness() -> None:
    at = np.linspace(0, 1, 256)
    theirs = np.array(mpl.colormaps["viridis"](at))[:, :3] * 255
    assert np.abs(sequential(at) - theirs).max() < 2.5
    assert np.all(np.diff(lightness(sequential(at))) > -0.001)


def test_the_outermost_values_do_not_stretch_the_scale() -> None:
    values = np.append(np.linspace(0, 1, 200), 1e6)
    colors = column_colors(values)
    assert colors.low == pytest.approx(np.percentile(values, 2))
    assert colors.high == pytest.approx(np.percentile(values, 98))
    assert colors.high < 1.01
    assert np.array_equal(colors.rgb[-1], sequential(np.array(1.0)))
    assert len(np.unique(colors.rgb, axis=0)) > 150


def test_missing_values_are_grey_and_change_no_other_colour() -> None:
    values = np.array([3.0, 1.0, 2.0])
    holes = np.array([3.0, np.nan, 1.0, np.inf, 2.0])
    colors = column_colors(holes)
    assert np.array_equal(colors.rgb[[0, 2, 4]], column_colors(values).rgb)
    assert np.all(colors.rgb[[1, 3]] == MISSING)
    assert colors.n_missing == 2


@pytest.mark.parametrize("values", [np.zeros(0), np.array([np.nan, np.nan])])
def test_without_a_value_there_is_no_range(values: np.ndarray) -> None:
    colors = column_colors(values)
    assert colors.rgb.shape == (len(values), 3)
    assert np.isnan([colors.low, colors.high]).all()
    assert colors.n_missing == len(values)


def test_equal_values_have_the_colour_of_the_middle() -> None:
    colors = column_colors(np.full(4, 7))
    assert np.array_equal(colors.rgb, np.repeat(sequential(np.array([0.5])), 4, axis=0))
    assert (colors.low, colors.high) == (7, 7)


def test_limits_make_columns_comparable() -> None:
    one = column_colors(np.array([1.0, 2.0]), limits=(0, 4))
    two = column_colors(np.array([2.0, 4.0]), limits=(0, 4))
    assert np.array_equal(one.rgb[1], two.rgb[0])
    assert (one.low, one.high) == (0, 4)
    assert fractions(np.array([-1.0, 2.0]), 0, 4).tolist() == [0, 0.5]


def test_classes_have_fixed_colours_whichever_of_them_occur() -> None:
    assert tuple(CLASS_COLORS) == NAMES
    colors = column_colors(np.array(["peripheral", "", "perinuclear", "peripheral"]))
    assert colors.rgb.tolist() == [
        [86, 180, 233], list(MISSING), [213, 94, 0], [86, 180, 233],
    ]  # fmt: skip
    assert list(colors.classes) == ["perinuclear", "peripheral"]
    assert colors.n_missing == 1
    assert np.isnan(colors.low)


def test_other_classes_have_other_colours() -> None:
    names = np.array(["b", "a", "intermediate", "c"], object)
    colors = column_colors(names)
    assert set(colors.classes) == {"a", "b", "c", "intermediate"}
    assert len(set(colors.classes.values())) == 4


@pytest.mark.parametrize("blind", ["protan", "deutan"])
def test_class_colours_differ_for_the_colour_blind(blind: str) -> None:
    # Simulation by Viénot, Brettel and Mollon (1999): one matrix on linear RGB for each.
    matrix = {
        "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }[blind]
    colors = np.array([*CLASS_COLORS.values(), MISSING]) / 255
    seen = (np.clip(colors**2.2 @ np.array(matrix).T, 0, 1) ** (1 / 2.2)) * 255
    for first, second in itertools.combinations(seen, 2):
        assert np.linalg.norm(first - second) > 35
