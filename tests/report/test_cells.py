from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from fibseg.pictures import CLASS_COLORS, Camera, Scene, Shell, column_colors, shaded_cell, trace
from fibseg.report import cell_figure, picture_figure, png_bytes, svg_text
from fibseg.report.figures import css

SPACING = (20.0, 20.0, 20.0)
CAMERA = Camera(turn_deg=0, tilt_deg=0, size_px=60, supersampling=1)
LABELS = np.zeros((12, 30, 60), np.uint16)
LABELS[4:8, 10:20, 5:15] = 3
LABELS[4:8, 10:20, 25:35] = 8
LABELS[4:8, 10:20, 45:55] = 9
NUMBERS = np.array([3, 8, 9])


@pytest.fixture(scope="module")
def scene() -> Scene:
    shell = Shell(np.ones_like(LABELS), opacity=0.05)
    return trace(LABELS, shells=[shell], camera=CAMERA, spacing=SPACING)


def texts(figure) -> str:
    tree = ET.fromstring(svg_text(figure))
    return " | ".join("".join(t.itertext()) for t in tree.iter() if "text" in t.tag)


def test_pictures_have_the_colours_of_the_columns(scene: Scene) -> None:
    columns = {
        "surface to volume (1/µm)": np.array([1.0, 2.0, 3.0]),
        "distance to the nucleus (µm)": np.array([9.0, np.nan, 4.0]),
        "spatial class": np.array(["peripheral", "perinuclear", ""]),
    }
    figure = cell_figure(scene, numbers=NUMBERS, columns=columns)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 3
    for picture, values in zip(shown, columns.values(), strict=True):
        wanted = scene.colored(column_colors(values).rgb, numbers=NUMBERS)
        assert np.array_equal(picture, wanted.rgb)
    said = texts(figure)
    assert "surface to volume (1/µm)" in said
    assert "distance to the nucleus (µm); grey: 1 without a value" in said
    assert "perinuclear (1)" in said
    assert "none (1)" in said
    assert "intermediate" not in said
    assert css(CLASS_COLORS["perinuclear"]) in svg_text(figure)


def test_the_bar_spans_the_range_of_colours_and_scale_bars_the_right_length(scene: Scene) -> None:
    values = np.array([1.0, 2.0, 3.0])
    figure = cell_figure(scene, numbers=NUMBERS, columns={"x (µm)": values})
    colors = column_colors(values)
    bars = figure.axes[1].child_axes
    assert bars[0].get_xlim() == pytest.approx((colors.low, colors.high))
    pictured = next(axes for axes in figure.axes if axes.images)
    width_um = pictured.images[0].get_extent()[1]
    assert width_um == pytest.approx(60 * 0.02 * 1.04, rel=0.03)
    bar_um = pictured.patches[0].get_width()
    assert f"{bar_um * 1e3:g} nm" in texts(figure)
    assert bar_um < 0.4 * width_um


def test_columns_without_values_or_with_one_are_drawn(scene: Scene) -> None:
    columns = {"nothing (µm)": np.full(3, np.nan), "same (µm)": np.full(3, 2.0)}
    said = texts(cell_figure(scene, numbers=NUMBERS, columns=columns))
    assert "nothing (µm): no value is known" in said
    assert "same (µm)" in said
    assert "no column to colour by" in texts(cell_figure(scene, numbers=NUMBERS, columns={}))


def test_the_same_figure_is_the_same_bytes(scene: Scene) -> None:
    def draw() -> tuple[str, bytes]:
        figure = cell_figure(scene, numbers=NUMBERS, columns={"x": np.arange(3.0)})
        return svg_text(figure), png_bytes(figure, dpi=60)

    assert draw() == draw()


def test_a_cell_cut_open_has_a_scale_bar() -> None:
    picture = shaded_cell(
        LABELS.astype(np.uint8), LABELS > -1, camera=CAMERA, background=(0, 0, 0), spacing=SPACING
    )
    figure = picture_figure(picture, title="raw")
    assert "raw" in texts(figure)
    assert " nm" in texts(figure)
    shown = np.asarray(Image.open(io.BytesIO(png_bytes(figure, dpi=100))).convert("RGB"))
    assert shown.shape[1] == 350
