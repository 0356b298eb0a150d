"""The 3D view in a browser: what turns, cuts, hides, and is saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from report_pages import Ellipsoids, until
from scene_views import drag, n_drawn, pixels, place

from fibseg.report import Page

GROUND = (12, 19, 26)


def test_a_drag_turns_and_reset_turns_back(scene_tab: Any) -> None:
    first = pixels(scene_tab)
    assert n_drawn(first) > 8_000
    drag(scene_tab, 120, 40)
    turned = pixels(scene_tab)
    assert (turned != first).any(axis=-1).mean() > 0.05
    scene_tab.click("[data-from='']")
    np.testing.assert_array_equal(pixels(scene_tab), first)


def test_keys_turn_move_and_zoom(scene_tab: Any) -> None:
    first = pixels(scene_tab)
    scene_tab.focus("#canvas")
    for key in ("ArrowLeft", "Shift+ArrowUp", "+"):
        scene_tab.keyboard.press(key)
        assert (pixels(scene_tab) != first).any(axis=-1).mean() > 0.02, key
        scene_tab.keyboard.press("0")
    np.testing.assert_array_equal(pixels(scene_tab), first)


def test_wheel_scrolls_the_page_until_the_view_is_clicked(scene_tab: Any) -> None:
    scene_tab.locator("#canvas").scroll_into_view_if_needed()
    bar = scene_tab.locator("#bar3d")
    before, top = bar.get_attribute("style"), scene_tab.evaluate("scrollY")
    scene_tab.locator("#canvas").hover()
    scene_tab.mouse.wheel(0, 30)
    until(scene_tab, f"scrollY !== {top}")
    assert bar.get_attribute("style") == before
    scene_tab.locator("#canvas").click()
    top = scene_tab.evaluate("scrollY")
    scene_tab.mouse.wheel(0, -200)
    until(scene_tab, f"document.getElementById('bar3d').style.width !== '{before[7:-1]}'")
    assert scene_tab.evaluate("scrollY") == top


def test_scale_bar_has_the_length_that_it_says(scene_tab: Any) -> None:
    scene_tab.click("[data-from='z']")
    pixels(scene_tab)
    (_, top), (_, bottom) = place(scene_tab, np.zeros(3)), place(scene_tab, np.array([0, 10.0, 0]))
    bar = scene_tab.locator("#bar3d").bounding_box()
    number, unit = scene_tab.locator("#bar3d").inner_text().split()
    assert unit == "µm"
    assert bar["width"] == pytest.approx((bottom - top) / 10 * float(number), abs=0.6)


def test_a_cut_hides_one_side_and_then_the_other(scene_tab: Any) -> None:
    for kind in (0, 1):
        scene_tab.locator(f"#panel label[for='show-{kind}']").click()
    scene_tab.click("[data-from='z']")
    whole = n_drawn(pixels(scene_tab))
    for axis in range(3):
        scene_tab.locator(f"[name=axis][value='{axis}'] + span").click()
        assert scene_tab.inner_text("#cut-at") == f"{'xyz'[axis]} = {(5, 5, 3)[axis]:.2f} µm"
        below = n_drawn(pixels(scene_tab))
        scene_tab.check("#flip")
        above = n_drawn(pixels(scene_tab))
        scene_tab.uncheck("#flip")
        for part in (below, above):
            assert 0.15 * whole < part < 0.85 * whole
        if axis < 2:  # seen along z what is cut along z can hide what is left
            assert below + above == pytest.approx(whole, rel=0.02)


def test_a_kind_can_be_hidden_in_3d_and_planes_and_made_transparent(scene_tab: Any) -> None:
    shown = n_drawn(pixels(scene_tab))
    scene_tab.locator("#panel label[for='show-0']").click()
    assert n_drawn(pixels(scene_tab)) < 0.8 * shown
    assert not scene_tab.locator("[data-view='0'] .layer-0").is_visible()
    assert scene_tab.locator("[data-view='0'] .layer-2").is_visible()
    before = pixels(scene_tab)
    scene_tab.locator("[data-opacity='2']").fill("0.3")
    assert (pixels(scene_tab) != before).any(axis=-1).mean() > 0.01


def test_the_picture_can_be_saved(scene_tab: Any, tmp_path: Path) -> None:
    with scene_tab.expect_download() as waiting:
        scene_tab.click("#save")
    assert waiting.value.suggested_filename == "cell_4-3d.png"
    waiting.value.save_as(tmp_path / "saved.png")
    saved = imagecodecs.png_decode((tmp_path / "saved.png").read_bytes())[..., :3].astype(int)
    assert n_drawn(saved[90:]) == pytest.approx(n_drawn(pixels(scene_tab)[78:]), rel=0.03)
    assert (saved[:30, :190].min(axis=-1) > 200).any(), "the column is named"
    assert (np.ptp(saved[42, 20:175], axis=-1) > 32).all(), "the scale is there"


def test_a_lost_graphics_card_comes_back(scene_tab: Any) -> None:
    first = pixels(scene_tab)
    scene_tab.evaluate(
        "() => { window.lost = document.getElementById('canvas').getContext('webgl2')"
        ".getExtension('WEBGL_lose_context'); window.lost.loseContext(); }"
    )
    scene_tab.wait_for_timeout(100)
    scene_tab.evaluate("() => window.lost.restoreContext()")
    scene_tab.wait_for_timeout(200)
    np.testing.assert_array_equal(pixels(scene_tab), first)


def test_the_ground_can_be_white(scene_tab: Any) -> None:
    assert tuple(pixels(scene_tab)[2, 2]) == GROUND
    scene_tab.check("#light")
    assert tuple(pixels(scene_tab)[2, 2]) == (255, 255, 255)


def test_two_fingers_zoom(open_page: Callable[..., Any], scene_page: Page) -> None:
    tab = open_page(scene_page, width=390, has_touch=True, is_mobile=True)
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
