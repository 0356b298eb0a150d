from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from fibseg.errors import DataError
from fibseg.pictures.camera import Camera, Wedge
from fibseg.pictures.column_colors import MISSING
from fibseg.pictures.lighting import Layer, composed
from fibseg.pictures.shaded import Shell, quarter, shaded_cell, trace
from fibseg.types import Spacing

FRONT = Camera(turn_deg=0, tilt_deg=0, size_px=90, supersampling=1)
BEHIND = dataclasses.replace(FRONT, turn_deg=180)
CUBIC: Spacing = (20.0, 20.0, 20.0)
RED, BLUE = (220, 30, 30), (30, 30, 220)
COLORS = np.array([RED, BLUE], np.uint8)
NUMBERS = np.array([5, 9])


def balls(*centres_um: tuple[float, ...], radius_um: float, size_um: float, spacing: Spacing):
    """Balls 5 and 9 in a cube."""
    shape = tuple(round(size_um * 1e3 / s) for s in spacing)
    at = np.stack(np.indices(shape), -1) * np.array(spacing) * 1e-3
    labels = np.zeros(shape, np.uint16)
    for number, centre in zip((5, 9), centres_um, strict=False):
        labels[np.linalg.norm(at - np.array(centre), axis=-1) <= radius_um] = number
    return labels


def in_a_row() -> NDArray[np.uint16]:
    """Ball 5 in front of ball 9, half behind it."""
    return balls((0.3, 0.5, 0.4), (0.7, 0.5, 0.6), radius_um=0.19, size_um=1.0, spacing=CUBIC)


@pytest.mark.parametrize("spacing", [CUBIC, (50.0, 20.0, 10.0)])
@pytest.mark.parametrize("angles", [(0, 0), (-32, 24), (90, 10)])
def test_a_ball_has_the_outline_of_a_ball(spacing: Spacing, angles: tuple[int, int]) -> None:
    labels = balls((0.5, 0.5, 0.5), radius_um=0.3, size_um=1.0, spacing=spacing)
    camera = Camera(*angles, size_px=120, supersampling=1)
    picture = trace(labels, camera=camera, spacing=spacing).colored(
        COLORS[:1], numbers=NUMBERS[:1]
    )
    area = np.count_nonzero(picture.objects) * picture.um_per_pixel**2
    assert area == pytest.approx(np.pi * 0.3**2, rel=0.08)
    rows, columns = np.nonzero(picture.objects)
    height = (np.ptp(rows) + 1) * picture.um_per_pixel
    width = (np.ptp(columns) + 1) * picture.um_per_pixel
    assert height == pytest.approx(0.6, abs=0.06)
    assert width == pytest.approx(0.6, abs=0.06)


def test_what_is_nearer_hides_what_is_behind() -> None:
    labels = in_a_row()
    front, back = (
        trace(labels, camera=c, spacing=CUBIC).colored(COLORS, numbers=NUMBERS)
        for c in (FRONT, BEHIND)
    )
    n_front, n_back = (
        {k: int((p.objects == k).sum()) * p.um_per_pixel**2 for k in (5, 9)} for p in (front, back)
    )
    disc = np.pi * 0.19**2
    assert n_front[5] == pytest.approx(disc, rel=0.05)
    assert n_back[9] == pytest.approx(disc, rel=0.05)
    # Both discs together, whichever hides the other: their lens is counted once.
    assert sum(n_front.values()) == pytest.approx(sum(n_back.values()), rel=0.02)
    assert n_front[9] < 0.75 * disc


def test_x_goes_to_the_right_and_y_downwards() -> None:
    labels = balls((0.5, 0.5, 0.2), (0.5, 0.8, 0.5), radius_um=0.1, size_um=1.0, spacing=CUBIC)
    picture = trace(labels, camera=FRONT, spacing=CUBIC).colored(COLORS, numbers=NUMBERS)
    places = {k: np.argwhere(picture.objects == k).mean(axis=0) for k in (5, 9)}
    assert places[5][1] < places[9][1]
    assert places[5][0] < places[9][0]
    swapped = trace(labels.transpose(0, 2, 1), camera=FRONT, spacing=CUBIC)
    turned = swapped.colored(COLORS, numbers=NUMBERS)
    assert np.mean(turned.objects == picture.objects.T) > 0.995


def test_objects_have_their_colours_and_others_are_grey() -> None:
    scene = trace(in_a_row(), camera=FRONT, spacing=CUBIC)
    picture = scene.colored(COLORS[1:], numbers=NUMBERS[1:])
    blue = picture.rgb[picture.objects == 9].mean(axis=0)
    assert blue[2] > 2 * blue[0]
    grey = picture.rgb[picture.objects == 5].mean(axis=0)
    assert np.ptp(grey) < 3
    assert np.abs(grey - MISSING).max() < 60
    again = scene.colored(COLORS[::-1], numbers=NUMBERS[::-1])
    same = scene.colored(COLORS, numbers=NUMBERS)
    assert np.array_equal(again.rgb, same.rgb)
    assert np.array_equal(same.objects, picture.objects)


def test_light_comes_from_the_upper_left() -> None:
    labels = balls((0.5, 0.5, 0.5), radius_um=0.4, size_um=1.0, spacing=CUBIC)
    picture = trace(labels, camera=FRONT, spacing=CUBIC).colored(
        np.array([[128, 128, 128]], np.uint8), numbers=np.array([5])
    )
    bright = picture.rgb[..., 0].astype(float)
    inside = picture.objects == 5
    rows, columns = np.indices(inside.shape)
    row, column = rows[inside].mean(), columns[inside].mean()
    assert bright[inside & (rows < row)].mean() > bright[inside & (rows > row)].mean() + 20
    assert bright[inside & (columns < column)].mean() > bright[inside & (columns > column)].mean()
    assert np.all(picture.rgb[~inside] == 255)


def test_a_shell_lies_over_what_it_holds_and_is_densest_at_its_rim() -> None:
    labels = balls((0.5, 0.5, 0.5), radius_um=0.15, size_um=1.0, spacing=CUBIC)
    body = balls((0.5, 0.5, 0.5), radius_um=0.45, size_um=1.0, spacing=CUBIC) > 0
    shell = Shell(body, color=(0, 0, 0), opacity=0.6)
    camera = dataclasses.replace(FRONT, supersampling=2)
    bare = trace(labels, camera=camera, spacing=CUBIC)
    dressed = trace(labels, shells=[shell], camera=camera, spacing=CUBIC)
    picture = dressed.colored(COLORS[:1], numbers=NUMBERS[:1])
    assert picture.um_per_pixel > bare.colored(COLORS[:1], numbers=NUMBERS[:1]).um_per_pixel
    n = picture.rgb.shape[0]
    line = picture.rgb[n // 2, :, 1].astype(int)
    white = np.flatnonzero(line < 255)
    rim, beside = line[white[0] + 2], line[n // 4]
    assert rim < beside - 30  # black at the rim
    assert 200 < beside < 250
    red = picture.rgb[picture.objects == 5].mean(axis=0)
    assert red[0] > 100 > red[2]


def test_layers_are_laid_by_depth_whatever_their_order() -> None:
    def layer(value: float, alpha: float, depth: float) -> Layer:
        return Layer(np.full((1, 3), value), np.array([alpha]), np.array([depth]))

    solid, near, far = layer(100, 1, 5), layer(0, 0.5, 1), layer(200, 0.5, 9)
    for layers in ([solid, near, far], [far, near, solid], [near, far, solid]):
        assert composed(layers, background=(255, 255, 255)) == pytest.approx(np.full((1, 3), 50))
    assert composed([far, near], background=(100, 100, 100))[0, 0] == pytest.approx(75)
    nothing = layer(0, 0, np.inf)
    assert composed([nothing], background=(9, 8, 7)).tolist() == [[9, 8, 7]]


def test_the_same_scene_gives_the_same_bytes() -> None:
    one, two = (
        trace(in_a_row(), shells=[Shell(in_a_row() > 0)], spacing=CUBIC, camera=FRONT).colored(
            COLORS, numbers=NUMBERS
        )
        for _ in range(2)
    )
    assert one.rgb.tobytes() == two.rgb.tobytes()


def test_an_empty_volume_is_background() -> None:
    picture = trace(
        np.zeros((3, 4, 5), np.uint8), camera=FRONT, background=(1, 2, 3), spacing=CUBIC
    ).colored(np.zeros((0, 3), np.uint8), numbers=np.zeros(0, int))
    assert np.all(picture.rgb == (1, 2, 3))
    assert not picture.objects.any()


def test_a_cell_cut_open_shows_the_image_where_it_is_cut() -> None:
    cell = balls((0.5, 0.5, 0.5), radius_um=0.4, size_um=1.0, spacing=CUBIC) > 0
    image = np.full(cell.shape, 120, np.uint8)
    image[:, :, 25:] = 200
    image[0, 0, 0] = 255  # outside: takes no part in the contrast
    plane = Wedge((0.51, 0.0, 0.0), ((-1.0, 0.0, 0.0),))
    picture = shaded_cell(image, cell, wedge=plane, camera=FRONT, spacing=CUBIC)
    cut = picture.objects == 2
    area = np.count_nonzero(cut) * picture.um_per_pixel**2
    assert area == pytest.approx(np.pi * 0.4**2, rel=0.06)
    left, right = np.array_split(np.flatnonzero(cut[cut.shape[0] // 2]), 2)
    row = picture.rgb[cut.shape[0] // 2].astype(int)
    assert np.all(row[left[5:-3]] < 20)
    assert np.all(row[right[3:-5]] > 200)
    assert np.ptp(row[right[3:-5]], axis=1).max() <= 1  # grey
    other = shaded_cell(image, cell, wedge=plane, camera=FRONT, invert=True, spacing=CUBIC)
    assert np.all(other.rgb[cut.shape[0] // 2][left[5:-3]] > 200)


def test_the_quarter_towards_the_viewer_is_taken_out() -> None:
    cell = balls((0.5, 0.5, 0.5), radius_um=0.4, size_um=1.0, spacing=CUBIC) > 0
    camera = Camera(size_px=90, supersampling=1)
    wedge = quarter(cell, camera=camera, spacing=CUBIC)
    assert wedge.point_um == pytest.approx((0.5, 0.5, 0.5), abs=0.011)
    for normal in wedge.units:
        assert normal @ camera.axes[2] < 0
    image = np.full(cell.shape, 99, np.uint8)
    picture = shaded_cell(image, cell, camera=camera, spacing=CUBIC)
    assert np.count_nonzero(picture.objects == 2) > 0.2 * np.count_nonzero(picture.objects)
    assert np.count_nonzero(picture.objects == 1) > 0.3 * np.count_nonzero(picture.objects)


def test_a_block_without_a_cell_shows_its_faces() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3) * 9
    far = Wedge((9.0, 0.0, 0.0), ((1.0, 0.0, 0.0),))
    picture = shaded_cell(image, np.ones_like(image), wedge=far, camera=FRONT, spacing=CUBIC)
    assert set(np.unique(picture.objects)) == {0, 2}


def test_what_does_not_fit_is_refused() -> None:
    labels = in_a_row()
    with pytest.raises(DataError, match="2 labels and colours of shape"):
        trace(labels, camera=FRONT, spacing=CUBIC).colored(COLORS[:1], numbers=NUMBERS)
    with pytest.raises(DataError, match=r"a shell has shape \(2, 2, 2\)"):
        trace(labels, shells=[Shell(np.ones((2, 2, 2)))], spacing=CUBIC)
    with pytest.raises(DataError, match=r"labels have shape \(3, 3\)"):
        trace(np.ones((3, 3), np.uint8), spacing=CUBIC)
    with pytest.raises(DataError, match="the image has shape"):
        shaded_cell(np.ones((2, 2, 2)), labels, spacing=CUBIC)
    with pytest.raises(DataError, match="mask of the cell is empty"):
        shaded_cell(labels, labels == 4, spacing=CUBIC)
