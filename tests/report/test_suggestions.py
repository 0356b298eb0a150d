from __future__ import annotations

import numpy as np
import pytest

from fibseg.pictures import heat
from fibseg.report import SuggestedPlane, png_bytes, suggestions_figure
from fibseg.report.suggestions import MOST_PIXELS

SPACING = (40.0, 10.0, 20.0)


def plane(number: int, shape: tuple[int, int] = (30, 40), high: float = 0.5) -> SuggestedPlane:
    rng = np.random.default_rng(number)
    unsure = np.zeros(shape, np.float32)
    unsure[:10, :10] = high
    image = rng.integers(0, 256, shape).astype(np.uint8)
    return SuggestedPlane(
        f"plane {number}", image, unsure, [(0, 0, 10, 20), (10, 20, 30, 40)], shape, SPACING
    )


def test_every_plane_has_its_image_its_heat_and_its_numbered_boxes() -> None:
    figure = suggestions_figure([plane(3), plane(7)])
    assert len(figure.axes) == 4
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["plane 3", "where the model is unsure", "plane 7",
                      "where the model is unsure"]
    for axis in figure.axes:
        boxes = [p for p in axis.patches if not p.get_fill()]
        assert [(p.get_xy(), p.get_width(), p.get_height()) for p in boxes] == [
            ((0.0, 0.0), 400.0, 100.0), ((400.0, 100.0), 400.0, 200.0)
        ]
        assert [t.get_text() for t in axis.texts if t.get_text().isdigit()] == ["1", "2"]


def test_heat_is_stretched_to_the_highest_of_all_planes() -> None:
    figure = suggestions_figure([plane(3, high=0.2), plane(7, high=0.4)])
    shown = [np.asarray(figure.axes[k].images[0].get_array())[0, 0] for k in (1, 3)]
    assert shown[0].tolist() == heat(np.array([0.5]))[0].tolist()
    assert shown[1].tolist() == heat(np.array([1.0]))[0].tolist()


def test_large_planes_are_drawn_small_with_the_means_of_their_pixels() -> None:
    large = plane(1, shape=(MOST_PIXELS + 2, 2 * MOST_PIXELS + 1))
    small = large.small
    assert small.image.shape == (-(-(MOST_PIXELS + 2) // 3), -(-(2 * MOST_PIXELS + 1) // 3))
    assert small.image[0, 0] == round(large.image[:3, :3].mean())
    assert small.image[-1, -1] == round(large.image[-(large.image.shape[0] % 3 or 3):,
                                                    -(large.image.shape[1] % 3 or 3):].mean())
    assert small.unsure[0, 0] == pytest.approx(0.5)


def test_boxes_and_scale_bar_are_where_they_are_however_small_a_plane_is_drawn() -> None:
    large = plane(1, shape=(2 * MOST_PIXELS, 3 * MOST_PIXELS))
    assert large.small.image.shape == (-(-2 * MOST_PIXELS // 3), MOST_PIXELS)
    for drawn in (large, large.small):
        axis = suggestions_figure([drawn]).axes[0]
        assert list(axis.images[0].get_extent()) == [
            0, 3 * MOST_PIXELS * 20.0, 2 * MOST_PIXELS * 10.0, 0
        ]
        assert [p.get_xy() for p in axis.patches if not p.get_fill()] == [(0, 0), (400, 100)]
        assert [t.get_text() for t in axis.texts] == ["5 µm", "1", "2"]


def test_equal_figures_are_equal_bytes_and_nothing_unsure_can_be_drawn() -> None:
    calm = plane(2, high=0.0)
    assert png_bytes(suggestions_figure([calm])) == png_bytes(suggestions_figure([calm]))
