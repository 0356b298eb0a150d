from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fibseg.pictures import CLASS_COLORS
from fibseg.report import column_histogram, svg_text, volume_histogram
from fibseg.report.figures import css

BAR = "#5b8db8"


def bars(svg: str) -> int:
    return svg.count(f"fill: {BAR}")


@pytest.mark.parametrize("n", [1, 2, 30, 2000])
@pytest.mark.parametrize("spread", [0.05, 2.0])
def test_histogram_is_well_formed_and_shows_every_object(n: int, spread: float) -> None:
    values = np.exp(np.random.default_rng(n).normal(0, spread, n))
    svg = volume_histogram(values, color=BAR)
    ET.fromstring(svg)
    assert 6 <= bars(svg) <= 40
    assert f"median {np.median(values):.3g}" in svg


def test_axis_is_logarithmic_only_where_volumes_span_decades() -> None:
    narrow = volume_histogram(np.linspace(1, 2, 50), color=BAR)
    wide = volume_histogram(np.geomspace(0.01, 10, 50), color=BAR)
    assert "0.1" in wide
    assert "0.01" in wide
    assert "1.0" in narrow
    assert "0.01" not in narrow


def test_empty_and_undefined_volumes_leave_an_empty_figure() -> None:
    for values in (np.zeros(0), np.array([np.nan, 0.0])):
        svg = volume_histogram(values, color=BAR)
        ET.fromstring(svg)
        assert bars(svg) == 0


def test_same_data_give_the_same_bytes_and_no_date() -> None:
    values = np.arange(1.0, 20.0)
    one, two = (volume_histogram(values, color=BAR) for _ in range(2))
    assert one == two
    assert "<dc:date>" not in one


def heights(figure) -> np.ndarray:
    """Objects in every bin, one row per class."""
    return np.array([[bar.get_height() for bar in kind] for kind in figure.axes[0].containers])


def test_every_object_is_in_one_bar_of_its_class() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 1.5, 200)
    values[:5] = np.nan
    names = np.array(["perinuclear", "intermediate", "peripheral", ""])
    classes = names[rng.integers(0, 4, 200)]
    figure = column_histogram(values, title="volume (µm³)", classes=classes)
    known = np.isfinite(values)
    counted = [int(np.sum((classes == name) & known)) for name in names]
    assert heights(figure).sum(axis=1).tolist() == counted
    svg = svg_text(figure)
    ET.fromstring(svg)
    for name, n in zip(names, counted, strict=True):
        assert f"{name or 'no class'} ({n})" in svg
        assert css(CLASS_COLORS.get(name, (150, 150, 150))) in svg
    assert "5 without a value" in svg
    assert f"median {np.median(values[known]):.3g}" in svg
    assert figure.axes[0].get_xscale() == "log"


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.linspace(0.0, 100, 50), "linear"),  # 0 has no logarithm
        (np.linspace(-3.0, 100, 50), "linear"),
        (np.linspace(1.0, 9, 50), "linear"),
        (np.geomspace(1.0, 11, 50), "log"),
        (np.array([True, False, True]), "linear"),
        (np.full(7, -2.0), "linear"),
        (np.zeros(3, int), "linear"),
    ],
)
def test_any_column_can_be_drawn(values: np.ndarray, scale: str) -> None:
    figure = column_histogram(values, title="costs ($_$ per µm)")
    assert figure.axes[0].get_xscale() == scale
    assert heights(figure).sum() == len(values)
    assert "costs ($_$ per µm)" in svg_text(figure)


@pytest.mark.parametrize("values", [np.zeros(0), np.full(3, np.nan)])
def test_a_column_without_values_says_so(values: np.ndarray) -> None:
    svg = svg_text(column_histogram(values, title="sphericity", classes=np.full(len(values), "")))
    assert "sphericity: no value is known" in svg
