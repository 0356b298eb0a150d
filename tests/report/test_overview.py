"""The figure: planes at one scale, aspect from the spacing."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from fibseg.report import Panel, figure_png


def plain(rows: int, columns: int, spacing: tuple[float, float]) -> Panel:
    color = np.broadcast_to(np.array([200, 30, 30], np.uint8), (rows, columns, 3))
    return Panel(color, "XY, z = 1", spacing)


def red_extent(png: bytes) -> tuple[int, int]:
    rgb = imagecodecs.png_decode(png)[..., :3].astype(int)
    red = (rgb[..., 0] > 150) & (rgb[..., 1] < 80)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


@pytest.mark.parametrize(
    ("rows", "columns", "spacing", "aspect"),
    [(100, 100, (20.0, 20.0), 1.0), (50, 200, (40.0, 10.0), 1.0), (100, 200, (10.0, 10.0), 2.0)],
)
def test_a_plane_is_drawn_at_its_physical_aspect(
    rows: int, columns: int, spacing: tuple[float, float], aspect: float
) -> None:
    height, width = red_extent(figure_png([plain(rows, columns, spacing)], legend={}, dpi=80))
    assert width / height == pytest.approx(aspect, rel=0.03)


def test_size_comes_from_the_spacing() -> None:
    assert plain(10, 30, (50.0, 10.0)).size_nm == (500.0, 300.0)


def test_every_kind_stands_in_the_legend_and_equal_pictures_are_equal_files() -> None:
    panels = [plain(40, 40, (10.0, 10.0))] * 3
    bare = figure_png(panels, legend={}, dpi=50)
    named = figure_png(panels, legend={"nucleus": (0, 0, 255), "mitochondria": None}, dpi=50)
    blue = imagecodecs.png_decode(named)[..., :3].astype(int)
    assert ((blue[..., 2] > 200) & (blue[..., 0] < 60)).any()
    assert bare != named
    assert bare == figure_png(panels, legend={}, dpi=50)


@pytest.mark.parametrize("n_panels", [1, 3])
def test_a_long_legend_stays_inside_of_the_figure(n_panels: int) -> None:
    kinds = dict.fromkeys(("mitochondria", "pockets", "pores", "pores_pseudo"))
    legend = {**kinds, "cell": (90, 150, 90), "nucleus": (0, 0, 255), "resin": (200, 200, 0)}
    panels = [plain(40, 40, (10.0, 10.0))] * n_panels
    rgb = imagecodecs.png_decode(figure_png(panels, legend=legend, dpi=50))[..., :3].astype(int)
    ink = (rgb.max(axis=2) < 200) & ~((rgb[..., 0] > 150) & (rgb[..., 1] < 80))
    below = ink[-int(50 * 0.75):]
    assert below.any()
    assert not below[:, :3].any()
    assert not below[:, -3:].any()
    assert ((rgb[..., 2] > 200) & (rgb[..., 0] < 60)).any()  # the nucleus is named, too
