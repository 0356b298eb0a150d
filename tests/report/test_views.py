from __future__ import annotations

import base64
import zlib

import imagecodecs
import numpy as np
import pytest

from fibseg.pictures import CORRECT, INVENTED, MISSED
from fibseg.report import (
    ObjectLayer,
    error_view,
    jpeg_uri,
    object_ids,
    plane_view,
    png_uri,
    svg_uri,
)

KIND = {"title": "XZ", "place": "y = 3", "low": 0.0, "high": 255.0}


def decoded(uri: str) -> np.ndarray:
    return imagecodecs.imread(base64.b64decode(uri.partition("base64,")[2]))


def test_pictures_survive_encoding() -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 255, (7, 9, 4), np.uint8)
    np.testing.assert_array_equal(decoded(png_uri(rgba)), rgba)
    smooth = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    assert np.abs(decoded(jpeg_uri(smooth)).astype(int) - smooth).max() < 8
    assert decoded(jpeg_uri(smooth[::2, ::2])).shape == (32, 32)
    assert base64.b64decode(svg_uri("<svg>µ</svg>").partition(",")[2]).decode() == "<svg>µ</svg>"


@pytest.mark.parametrize("spacing", [(20.0, 20.0), (50.0, 8.0)])
def test_aspect_and_scale_bar_are_physical(spacing: tuple[float, float]) -> None:
    view = plane_view(np.zeros((30, 200)), [], spacing=spacing, **KIND)
    width, height = 200 * spacing[1], 30 * spacing[0]
    assert view.aspect == pytest.approx(width / height, rel=1e-3)
    number, unit = view.bar_text.split()
    nm = float(number) * {"nm": 1, "µm": 1000}[unit]
    assert view.bar_percent == pytest.approx(100 * nm / width, abs=0.01)
    assert 9 <= view.bar_percent <= 25


def test_layers_are_numbered_and_empty_where_there_is_no_object() -> None:
    labels = np.zeros((20, 20), int)
    labels[5:9, 5:9] = 4
    view = plane_view(
        np.full((20, 20), 9), [ObjectLayer(labels), ObjectLayer(labels > 0, (1, 2, 3))],
        spacing=(1.0, 1.0), **KIND,
    )
    assert [n for n, _ in view.layers] == [0, 1]
    for _, uri in view.layers:
        np.testing.assert_array_equal(decoded(uri)[..., 3] > 0, labels > 0)
    assert tuple(decoded(view.layers[1][1])[5, 5, :3]) == (1, 2, 3)


def test_of_what_is_not_filled_only_the_outline_is_drawn() -> None:
    labels = np.zeros((20, 20), int)
    labels[5:9, 5:9] = 1
    uri = ObjectLayer(labels, (1, 2, 3), filled=False).picture()
    rim = labels.copy()
    rim[6:8, 6:8] = 0
    np.testing.assert_array_equal(decoded(uri)[..., 3], 255 * rim)


def test_stain_is_inverted_only_on_request() -> None:
    raw = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    plain = decoded(plane_view(raw, [], spacing=(1.0, 1.0), **KIND).base).astype(int)
    turned = decoded(plane_view(raw, [], spacing=(1.0, 1.0), invert=True, **KIND).base)
    assert np.abs(plain - raw).max() < 8
    assert np.abs(255 - plain - turned).max() < 10


def test_errors_are_in_the_colors_of_the_legend() -> None:
    p, t = np.zeros((2, 8, 8), bool)
    p[:4], t[2:6] = True, True
    ((name, layer),) = error_view(np.zeros((8, 8)), p, t, spacing=(1.0, 1.0), **KIND).layers
    assert name == "errors"
    rgba = decoded(layer)
    for row, color in ((0, INVENTED), (3, CORRECT), (5, MISSED)):
        assert tuple(rgba[row, 0, :3]) == color
        assert rgba[row, 0, 3] > 100
    assert (rgba[7] == 0).all()


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("n", [6, 70_000])
def test_every_pixel_tells_its_object(n: int, background: bool) -> None:
    rng = np.random.default_rng(n)
    labels = rng.permutation(n).reshape(2, -1) * 5 + (0 if background else 7)
    if n == 6:
        labels = np.array([[9, 9, 4], [4, 2**32 - 1, 0 if background else 4]])
    ids = object_ids(labels, kind=2)
    named = np.frombuffer(zlib.decompress(base64.b64decode(ids.labels)), "<u4")
    dtype = "<u2" if n == 6 else "<u4"
    places = np.frombuffer(zlib.decompress(base64.b64decode(ids.places)), dtype)
    assert (ids.kind, ids.shape) == (2, labels.shape)
    np.testing.assert_array_equal(np.append(0, named)[places].reshape(ids.shape), labels)
