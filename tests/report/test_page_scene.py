"""The 3D view and the planes, in a browser: what turns, cuts, colours and picks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from report_pages import CLASSES, Ellipsoids, cell, cell_page, measured, until

from fibseg.report import Page, color_range
from fibseg.report.lut import PALETTES

SIZE_UM = (6.0, 10.0, 10.0)
GROUND = (12, 19, 26)
N = 40
HIDDEN = ".colors, .card, #axes, #bar3d, .hint3d { visibility: hidden !important; }"


@pytest.fixture(scope="module")
def page() -> Page:
    return cell_page(n_mitochondria=N)


@pytest.fixture(scope="module")
def mitochondria() -> Ellipsoids:
    return cell(N)["mitochondria"]


@pytest.fixture(scope="module")
def shared(open_page: Callable[..., Any], page: Page) -> Any:
    return open_page(page)


@pytest.fixture
def tab(shared: Any) -> Any:
    """The page as it opens."""
    shared.reload()
    shared.wait_for_selector("html.alive")
    return shared


def pixels(tab: Any) -> NDArray[np.int64]:
    """What the 3D view shows now, without what lies over it and the frame of what has the focus."""
    tab.mouse.move(2, 2)
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    picture = tab.locator("#canvas").screenshot(style=HIDDEN)
    return imagecodecs.png_decode(picture)[12:-12, 12:-12, :3].astype(int)


def n_drawn(picture: NDArray[np.int64]) -> int:
    """Pixels of objects: neither ground nor edge of the volume."""
    return int(np.count_nonzero(np.ptp(picture, axis=-1) > 32))


def place(tab: Any, point_um: NDArray[np.float64]) -> tuple[float, float]:
    """Where a point (z, y, x) lies on the screen if seen along z: x right, y down."""
    box = tab.locator("#canvas").bounding_box()
    half_height = 1.06 * max(SIZE_UM[1] / 2, SIZE_UM[2] / 2 * box["height"] / box["width"])
    um = 2 * half_height / box["height"]
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return (
        middle_x + (point_um[2] - SIZE_UM[2] / 2) / um,
        middle_y + (point_um[1] - SIZE_UM[1] / 2) / um,
    )


def drag(tab: Any, dx: int, dy: int) -> None:
    box = tab.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + dx, y + dy, steps=3)
    tab.mouse.up()


def plane_color(tab: Any, view: int, row: int, column: int) -> list[int]:
    """Colour and opacity of a pixel of the mitochondria in a plane."""
    return tab.evaluate(
        "([view, row, column]) => Array.from(document.querySelector(`[data-view='${view}'] "
        "canvas.layer-2`).getContext('2d').getImageData(column, row, 1, 1).data)",
        [view, row, column],
    )


def lookup(value: float, limits: tuple[float, float], name: str) -> NDArray[np.float64]:
    stops = np.array(PALETTES[name], float)
    at = np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1) * (len(stops) - 1)
    return np.array([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)])


def middle_pixel(labels: NDArray[np.uint32], label: int) -> tuple[int, int]:
    """A pixel of an object in a plane, far from its rim."""
    at = np.argwhere(labels == label)
    return tuple(at[np.argmin(np.abs(at - at.mean(axis=0)).sum(axis=1))].tolist())


def test_a_drag_turns_and_reset_turns_back(tab: Any) -> None:
    first = pixels(tab)
    assert n_drawn(first) > 8_000
    drag(tab, 120, 40)
    turned = pixels(tab)
    assert (turned != first).any(axis=-1).mean() > 0.05
    tab.click("[data-from='']")
    np.testing.assert_array_equal(pixels(tab), first)


def test_keys_turn_move_and_zoom(tab: Any) -> None:
    first = pixels(tab)
    tab.focus("#canvas")
    for key in ("ArrowLeft", "Shift+ArrowUp", "+"):
        tab.keyboard.press(key)
        assert (pixels(tab) != first).any(axis=-1).mean() > 0.02, key
        tab.keyboard.press("0")
    np.testing.assert_array_equal(pixels(tab), first)


def test_wheel_scrolls_the_page_until_the_view_is_clicked(tab: Any) -> None:
    tab.locator("#canvas").scroll_into_view_if_needed()
    bar = tab.locator("#bar3d")
    before, top = bar.get_attribute("style"), tab.evaluate("scrollY")
    tab.locator("#canvas").hover()
    tab.mouse.wheel(0, 30)
    until(tab, f"scrollY !== {top}")
    assert bar.get_attribute("style") == before
    tab.locator("#canvas").click()
    top = tab.evaluate("scrollY")
    tab.mouse.wheel(0, -200)
    until(tab, f"document.getElementById('bar3d').style.width !== '{before[7:-1]}'")
    assert tab.evaluate("scrollY") == top


def test_scale_bar_has_the_length_that_it_says(tab: Any) -> None:
    tab.click("[data-from='z']")
    pixels(tab)
    (_, top), (_, bottom) = place(tab, np.zeros(3)), place(tab, np.array([0, 10.0, 0]))
    bar = tab.locator("#bar3d").bounding_box()
    number, unit = tab.locator("#bar3d").inner_text().split()
    assert unit == "µm"
    assert bar["width"] == pytest.approx((bottom - top) / 10 * float(number), abs=0.6)


def test_a_cut_hides_one_side_and_then_the_other(tab: Any) -> None:
    for kind in (0, 1):
        tab.locator(f"#panel label[for='show-{kind}']").click()
    tab.click("[data-from='z']")
    whole = n_drawn(pixels(tab))
    for axis in range(3):
        tab.locator(f"[name=axis][value='{axis}'] + span").click()
        assert tab.inner_text("#cut-at") == f"{'xyz'[axis]} = {(5, 5, 3)[axis]:.2f} µm"
        below = n_drawn(pixels(tab))
        tab.check("#flip")
        above = n_drawn(pixels(tab))
        tab.uncheck("#flip")
        for part in (below, above):
            assert 0.15 * whole < part < 0.85 * whole
        if axis < 2:  # seen along z what is cut along z can hide what is left
            assert below + above == pytest.approx(whole, rel=0.02)


def test_a_kind_can_be_hidden_in_3d_and_planes_and_made_transparent(tab: Any) -> None:
    shown = n_drawn(pixels(tab))
    tab.locator("#panel label[for='show-0']").click()
    assert n_drawn(pixels(tab)) < 0.8 * shown
    assert not tab.locator("[data-view='0'] .layer-0").is_visible()
    assert tab.locator("[data-view='0'] .layer-2").is_visible()
    before = pixels(tab)
    tab.locator("[data-opacity='2']").fill("0.3")
    assert (pixels(tab) != before).any(axis=-1).mean() > 0.01


def test_planes_have_the_colors_of_the_column(tab: Any, mitochondria: Ellipsoids) -> None:
    table = measured(mitochondria)
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)[53]
    for column, palette in (("volume_um3", "viridis"), ("distance_nucleus_um", "cividis")):
        tab.select_option("#column", column)
        tab.select_option("#palette", palette)
        limits = color_range(table[column])
        assert limits is not None
        for label in np.unique(labels[labels > 0]):
            found = plane_color(tab, 0, *middle_pixel(labels, label))
            expected = lookup(table[column][label - 1], limits, palette)
            assert found[3] >= 150
            # A browser keeps colours times opacity, in whole numbers.
            np.testing.assert_allclose(found[:3], expected, atol=3)


def test_classes_have_their_colors_and_missing_values_are_grey(
    tab: Any, mitochondria: Ellipsoids
) -> None:
    table = measured(mitochondria)
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)
    tab.select_option("#column", "spatial_class")
    plane = labels[53]
    order = tuple(CLASSES)
    for label in np.unique(plane[plane > 0]):
        expected = CLASSES[str(table["spatial_class"][label - 1])]
        found = plane_color(tab, 0, *middle_pixel(plane, label))
        np.testing.assert_allclose(found[:3], expected, atol=3)
    counts = [int((table["spatial_class"] == name).sum()) for name in order]
    legend = " ".join(tab.inner_text("#legend").split())
    assert legend == " ".join(f"{name} {n}" for name, n in zip(order, counts, strict=True))
    tab.select_option("#column", "surface_to_volume_per_um")
    grey = np.flatnonzero(np.isnan(table["surface_to_volume_per_um"])) + 1
    views = [(0, labels[53]), (1, labels[:, 88]), (2, labels[:, :, 88])]
    seen = [
        plane_color(tab, n, *middle_pixel(plane, v)) for n, plane in views for v in grey
        if (plane == v).any()
    ]
    assert seen
    for color in seen:
        np.testing.assert_allclose(color[:3], (150, 150, 150), atol=3)


def test_another_column_colors_the_3d_view_anew(tab: Any) -> None:
    first = pixels(tab)
    tab.select_option("#column", "spatial_class")
    changed = (pixels(tab) != first).any(axis=-1)
    assert 500 < changed.sum() < 0.2 * changed.size, "objects change, shells do not"
    tab.select_option("#column", "surface_to_volume_per_um")
    np.testing.assert_array_equal(pixels(tab), first)


def test_a_click_picks_the_object_that_lies_there(tab: Any, mitochondria: Ellipsoids) -> None:
    tab.click("[data-from='z']")
    tab.locator("#canvas").scroll_into_view_if_needed()
    pixels(tab)
    near = np.argsort(mitochondria.centers_um[:, 0])[:4]  # nearest to the reader: nothing before
    for index in near:
        tab.mouse.click(*place(tab, mitochondria.centers_um[index]))
        tab.mouse.move(*place(tab, mitochondria.centers_um[index]))
        assert tab.inner_text("#chosen h3") == f"mitochondria {index + 1}"
        assert tab.inner_text("#rows tr.chosen td:first-child") == str(index + 1)
        tab.wait_for_selector("#card:not([hidden])")
        assert tab.inner_text("#card b") == f"mitochondria {index + 1}"
        value = measured(mitochondria)["surface_to_volume_per_um"][index]
        if np.isfinite(value):
            assert f"{value:.4g}" in tab.inner_text("#card")


def test_a_row_marks_its_object_in_3d_and_planes(tab: Any, mitochondria: Ellipsoids) -> None:
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)[53]
    label = int(np.bincount(labels[labels > 0]).argmax())
    first = pixels(tab)
    tab.fill("#search", str(label))
    tab.click("#rows tr[data-row]")
    tab.fill("#search", "")
    assert (pixels(tab) != first).any(axis=-1).sum() > 20
    at = np.argwhere(labels == label)
    assert plane_color(tab, 0, *at[0].tolist()) == [255] * 4, "its rim is white"


def test_what_the_search_leaves_out_is_not_drawn(tab: Any) -> None:
    for kind in (0, 1):
        tab.locator(f"#panel label[for='show-{kind}']").click()
    everything = n_drawn(pixels(tab))
    tab.fill("#search", "spatial_class = perinuclear")
    assert 0 < n_drawn(pixels(tab)) < 0.6 * everything
    tab.fill("#search", "volume_um3 > 1000")
    assert n_drawn(pixels(tab)) == 0


def test_a_plane_tells_and_selects_the_object_below_the_pointer(
    tab: Any, mitochondria: Ellipsoids
) -> None:
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)[53]
    label = int(np.bincount(labels[labels > 0]).argmax())
    row, column = middle_pixel(labels, label)
    frame = tab.locator("[data-view='0'] .frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    at = {"x": (column + 0.5) / 200 * box["width"], "y": (row + 0.5) / 200 * box["height"]}
    frame.hover(position=at)
    assert tab.inner_text("#card b") == f"mitochondria {label}"
    frame.click(position=at)
    assert tab.inner_text("#chosen h3") == f"mitochondria {label}"


def test_the_picture_can_be_saved(tab: Any, tmp_path: Path) -> None:
    with tab.expect_download() as waiting:
        tab.click("#save")
    assert waiting.value.suggested_filename == "cell_4-3d.png"
    waiting.value.save_as(tmp_path / "saved.png")
    saved = imagecodecs.png_decode((tmp_path / "saved.png").read_bytes())[..., :3].astype(int)
    assert n_drawn(saved[90:]) == pytest.approx(n_drawn(pixels(tab)[78:]), rel=0.03)
    assert (saved[:30, :190].min(axis=-1) > 200).any(), "the column is named"
    assert (np.ptp(saved[42, 20:175], axis=-1) > 32).all(), "the scale is there"


def test_a_lost_graphics_card_comes_back(tab: Any) -> None:
    first = pixels(tab)
    tab.evaluate(
        "() => { window.lost = document.getElementById('canvas').getContext('webgl2')"
        ".getExtension('WEBGL_lose_context'); window.lost.loseContext(); }"
    )
    tab.wait_for_timeout(100)
    tab.evaluate("() => window.lost.restoreContext()")
    tab.wait_for_timeout(200)
    np.testing.assert_array_equal(pixels(tab), first)


def test_the_ground_can_be_white(tab: Any) -> None:
    assert tuple(pixels(tab)[2, 2]) == GROUND
    tab.check("#light")
    assert tuple(pixels(tab)[2, 2]) == (255, 255, 255)


def test_two_fingers_zoom(open_page: Callable[..., Any], page: Page) -> None:
    tab = open_page(page, width=390, has_touch=True, is_mobile=True)
    before = tab.locator("#bar3d").get_attribute("style")
    client = tab.context.new_cdp_session(tab)
    tab.locator("#canvas").scroll_into_view_if_needed()
    box = tab.locator("#canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(tab, f"document.getElementById('bar3d').style.width !== '{before[7:-1]}'")


def test_faces_of_the_test_meshes_turn_outwards() -> None:
    mesh = Ellipsoids(np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 1.0, 2.0]])).mesh(n=40)
    a, b, c = (mesh.vertices_um[mesh.faces[:, k], ::-1].astype(float) for k in range(3))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi, rel=0.01)
