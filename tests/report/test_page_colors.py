"""Colours and choice of objects in a browser: the same in 3D, on planes and in the table."""

from __future__ import annotations

from typing import Any

import numpy as np
from report_pages import CLASSES, Ellipsoids, measured
from scene_views import lookup, middle_pixel, n_drawn, pixels, place, plane_color

from fibseg.report import color_range


def test_planes_have_the_colors_of_the_column(scene_tab: Any, mitochondria: Ellipsoids) -> None:
    table = measured(mitochondria)
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)[53]
    for column, palette in (("volume_um3", "viridis"), ("distance_nucleus_um", "cividis")):
        scene_tab.select_option("#column", column)
        scene_tab.select_option("#palette", palette)
        limits = color_range(table[column])
        assert limits is not None
        for label in np.unique(labels[labels > 0]):
            found = plane_color(scene_tab, 0, *middle_pixel(labels, label))
            expected = lookup(table[column][label - 1], limits, palette)
            assert found[3] >= 150
            # A browser keeps colours times opacity, in whole numbers.
            np.testing.assert_allclose(found[:3], expected, atol=3)


def test_classes_have_their_colors_and_missing_values_are_grey(
    scene_tab: Any, mitochondria: Ellipsoids
) -> None:
    table = measured(mitochondria)
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)
    scene_tab.select_option("#column", "spatial_class")
    plane = labels[53]
    order = tuple(CLASSES)
    for label in np.unique(plane[plane > 0]):
        expected = CLASSES[str(table["spatial_class"][label - 1])]
        found = plane_color(scene_tab, 0, *middle_pixel(plane, label))
        np.testing.assert_allclose(found[:3], expected, atol=3)
    counts = [int((table["spatial_class"] == name).sum()) for name in order]
    legend = " ".join(scene_tab.inner_text("#legend").split())
    assert legend == " ".join(f"{name} {n}" for name, n in zip(order, counts, strict=True))
    scene_tab.select_option("#column", "surface_to_volume_per_um")
    grey = np.flatnonzero(np.isnan(table["surface_to_volume_per_um"])) + 1
    views = [(0, labels[53]), (1, labels[:, 88]), (2, labels[:, :, 88])]
    seen = [
        plane_color(scene_tab, n, *middle_pixel(plane, v)) for n, plane in views for v in grey
        if (plane == v).any()
    ]
    assert seen
    for color in seen:
        np.testing.assert_allclose(color[:3], (150, 150, 150), atol=3)


def test_another_column_colors_the_3d_view_anew(scene_tab: Any) -> None:
    first = pixels(scene_tab)
    scene_tab.select_option("#column", "spatial_class")
    changed = (pixels(scene_tab) != first).any(axis=-1)
    assert 500 < changed.sum() < 0.2 * changed.size, "objects change, shells do not"
    scene_tab.select_option("#column", "surface_to_volume_per_um")
    np.testing.assert_array_equal(pixels(scene_tab), first)


def test_a_click_picks_the_object_that_lies_there(scene_tab: Any, mitochondria: Ellipsoids) -> None:
    scene_tab.click("[data-from='z']")
    scene_tab.locator("#canvas").scroll_into_view_if_needed()
    pixels(scene_tab)
    near = np.argsort(mitochondria.centers_um[:, 0])[:4]  # nearest to the reader: nothing before
    for index in near:
        scene_tab.mouse.click(*place(scene_tab, mitochondria.centers_um[index]))
        scene_tab.mouse.move(*place(scene_tab, mitochondria.centers_um[index]))
        assert scene_tab.inner_text("#chosen h3") == f"mitochondria {index + 1}"
        assert scene_tab.inner_text("#rows tr.chosen td:first-child") == str(index + 1)
        scene_tab.wait_for_selector("#card:not([hidden])")
        assert scene_tab.inner_text("#card b") == f"mitochondria {index + 1}"
        value = measured(mitochondria)["surface_to_volume_per_um"][index]
        if np.isfinite(value):
            assert f"{value:.4g}" in scene_tab.inner_text("#card")


def test_a_row_marks_its_object_in_3d_and_planes(scene_tab: Any, mitochondria: Ellipsoids) -> None:
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)[53]
    label = int(np.bincount(labels[labels > 0]).argmax())
    first = pixels(scene_tab)
    scene_tab.fill("#search", str(label))
    scene_tab.click("#rows tr[data-row]")
    scene_tab.fill("#search", "")
    assert (pixels(scene_tab) != first).any(axis=-1).sum() > 20
    at = np.argwhere(labels == label)
    assert plane_color(scene_tab, 0, *at[0].tolist()) == [255] * 4, "its rim is white"


def test_what_the_search_leaves_out_is_not_drawn(scene_tab: Any) -> None:
    for kind in (0, 1):
        scene_tab.locator(f"#panel label[for='show-{kind}']").click()
    everything = n_drawn(pixels(scene_tab))
    scene_tab.fill("#search", "spatial_class = perinuclear")
    assert 0 < n_drawn(pixels(scene_tab)) < 0.6 * everything
    scene_tab.fill("#search", "volume_um3 > 1000")
    assert n_drawn(pixels(scene_tab)) == 0


def test_a_plane_tells_and_selects_the_object_below_the_pointer(
    scene_tab: Any, mitochondria: Ellipsoids
) -> None:
    labels = mitochondria.labels((120, 200, 200), (50.0,) * 3)[53]
    label = int(np.bincount(labels[labels > 0]).argmax())
    row, column = middle_pixel(labels, label)
    frame = scene_tab.locator("[data-view='0'] .frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    at = {"x": (column + 0.5) / 200 * box["width"], "y": (row + 0.5) / 200 * box["height"]}
    frame.hover(position=at)
    assert scene_tab.inner_text("#card b") == f"mitochondria {label}"
    frame.click(position=at)
    assert scene_tab.inner_text("#chosen h3") == f"mitochondria {label}"
