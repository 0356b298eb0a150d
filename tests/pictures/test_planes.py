from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fibseg.errors import DataError
from fibseg.pictures import (
    CORRECT,
    INVENTED,
    MISSED,
    annotation_overlay,
    blend,
    class_color,
    error_map,
    gray,
    hatch,
    label_layer,
    object_colors,
    outlines,
    overlay,
    probability,
)


def squares() -> np.ndarray:
    labels = np.zeros((20, 30), np.uint32)
    labels[3:10, 3:10] = 1
    labels[3:10, 10:18] = 2  # touches 1
    return labels


def test_gray_stretches_inverts_and_survives_constants() -> None:
    plane = np.linspace(0, 1000, 256).reshape(16, 16)
    assert np.array_equal(gray(plane, low=0, high=1000).ravel(), np.arange(256))
    assert np.array_equal(
        gray(plane, low=0, high=1000, invert=True), 255 - gray(plane, low=0, high=1000)
    )
    assert gray(plane)[0, 0] == 0
    assert gray(plane)[-1, -1] == 255
    assert gray(np.full((3, 3), 7)).shape == (3, 3)
    assert gray(np.zeros((0, 4))).shape == (0, 4)
    assert gray(np.array([[1e6]], float), low=0, high=255).tolist() == [[255]]


def test_outlines_separate_touching_objects() -> None:
    labels = squares()
    edge = outlines(labels)
    want = np.zeros_like(edge)
    for i in (1, 2):
        want |= (labels == i) & ~ndimage.binary_erosion(labels == i)
    np.testing.assert_array_equal(edge, want)
    assert outlines(labels, width=2).sum() > edge.sum()
    assert not outlines(np.ones((4, 4))).any()


def test_overlay_leaves_raw_alone_outside_and_draws_outlines_in_full_color() -> None:
    labels = squares()
    raw = np.full(labels.shape, 100, np.uint8)
    rgb = overlay(raw, labels)
    assert rgb.dtype == np.uint8
    assert (rgb[labels == 0] == 100).all()
    assert (rgb[3, 3] == object_colors(np.array(1))).all()
    inside = 100 * 0.65 + object_colors(np.array(1)).astype(float) * 0.35
    assert np.abs(rgb[6, 6] - inside).max() < 1.1
    assert (overlay(raw, labels > 0, color=(1, 2, 3))[3, 3] == (1, 2, 3)).all()


def test_layer_over_raw_is_the_overlay() -> None:
    labels, raw = squares(), np.full((20, 30), 60, np.uint8)
    layer = label_layer(labels)
    assert layer.shape == (20, 30, 4)
    assert set(np.unique(layer[..., 3])) == {0, 89, 255}
    np.testing.assert_array_equal(blend(raw, layer), overlay(raw, labels))


def test_unlabelled_is_hatched_and_background_is_not() -> None:
    annotation = np.ones((40, 40), np.uint8)
    annotation[:, 20:] = 0
    annotation[5:10, 5:10] = 2
    annotation[25:30, 5:10] = 3
    raw = np.full(annotation.shape, 120, np.uint8)
    rgb = annotation_overlay(raw, annotation)
    assert (rgb[annotation == 1] == 120).all()
    assert len(np.unique(rgb[:, 20:].reshape(-1, 3), axis=0)) == 2  # lines and dimmed ground
    assert (rgb[5, 5] == class_color(0)).all()
    assert (rgb[25, 5] == class_color(1)).all()
    other = annotation_overlay(raw, annotation, colors={3: (9, 9, 9)})
    assert (other[25, 5] == 9).all()


def test_error_map_has_one_color_for_each_kind_of_voxel() -> None:
    p, t = np.zeros((2, 4, 4), bool)
    p[0, :2] = t[0, 1:3] = True
    raw = np.zeros((4, 4), np.uint8)
    rgb = error_map(raw, p, t).astype(float)
    assert np.abs(rgb[0, 0] - 0.75 * np.array(INVENTED)).max() < 2
    assert np.abs(rgb[0, 1] - 0.4 * np.array(CORRECT)).max() < 2
    assert np.abs(rgb[0, 2] - 0.75 * np.array(MISSED)).max() < 2
    assert (rgb[1:] == 0).all()
    nothing = np.zeros((4, 4), bool)
    np.testing.assert_array_equal(
        error_map(raw, p, t, scored=nothing), hatch(raw, ~nothing)
    )


def test_probability_of_bytes_and_of_floats_is_one_picture() -> None:
    byte = np.arange(0, 256, 5, dtype=np.uint8)[None]
    np.testing.assert_array_equal(probability(byte), probability(byte / 255))


def test_inputs_stay_as_they_were_and_odd_sizes_work() -> None:
    raw, labels = np.full((20, 30), 60, np.uint8), squares()
    before = raw.copy(), labels.copy()
    hatch(raw, labels > 0)
    error_map(raw, labels, labels, scored=labels > 0)
    np.testing.assert_array_equal(raw, before[0])
    np.testing.assert_array_equal(labels, before[1])
    for shape in ((0, 5), (1, 1)):
        assert overlay(np.zeros(shape, np.uint16), np.ones(shape, int)).shape == (*shape, 3)


def test_other_shapes_are_refused() -> None:
    for draw in (overlay, annotation_overlay):
        with pytest.raises(DataError, match=r"\(4, 5\).*\(5, 4\)"):
            draw(np.zeros((4, 5)), np.zeros((5, 4)))
    with pytest.raises(DataError, match="one grid"):
        error_map(np.zeros((4, 5)), np.zeros((4, 5)), np.zeros((5, 5)))
