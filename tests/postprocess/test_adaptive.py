from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import threshold_local
from strategies import block_shapes, probability_volumes, spacings

from fibseg.blocks import map_blocks
from fibseg.errors import UsageError
from fibseg.postprocess import adaptive_threshold, threshold

CUBE = (10.0, 10.0, 10.0)
METHODS = st.sampled_from(["mean", "median"])
TYPES = st.sampled_from([np.uint8, np.uint16, np.float32])


def windows(image, window_nm, spacing):
    """Values of the box around each voxel, in a last axis; from the words of the docstring."""
    half = [int(window_nm / 2 / s + 1e-9) for s in spacing]
    around = np.pad(image, [(h, h) for h in half], mode="symmetric")
    view = np.lib.stride_tricks.sliding_window_view(around, [2 * h + 1 for h in half])
    return view.reshape(*image.shape, -1)


def of_type(probs, dtype):
    if dtype == np.float32:
        return (probs / np.float32(255)).astype(dtype)
    return probs.astype(dtype) * (257 if dtype == np.uint16 else 1)


@settings(deadline=None, max_examples=60)
@given(
    probability_volumes(), spacings(), METHODS, st.sampled_from([0.0, 16.0, 30.0, 61.0]),
    st.sampled_from([0.0, 0.1, -0.1]), st.sampled_from([np.uint8, np.uint16]),
)
def test_integers_are_compared_exactly(probs, spacing, method, window_nm, offset, dtype):
    image = of_type(probs, dtype)
    near = windows(image.astype(np.int64), window_nm, spacing)
    n, most = near.shape[-1], int(np.iinfo(dtype).max)
    if method == "mean":
        expected = image.astype(np.int64) * n > near.sum(axis=-1) + offset * most * n
    else:
        expected = image > np.median(near, axis=-1) + offset * most
    found = adaptive_threshold(
        image, window_nm=window_nm, offset=offset, method=method, spacing=spacing
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["mean", "median"])
def test_skimage_finds_the_same(method):
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 20)).astype(np.uint8)
    local = threshold_local(image, (3, 5, 5), method=method, offset=-12.75, mode="reflect")
    found = adaptive_threshold(
        image, window_nm=55, offset=0.05, method=method, spacing=(20.0, 10.0, 10.0)
    )
    assert 0.2 < found.mean() < 0.6
    np.testing.assert_array_equal(found, image > local)


@settings(deadline=None, max_examples=60)
@given(
    probability_volumes(), spacings(), block_shapes(), METHODS, TYPES,
    st.sampled_from([9.0, 33.3, 80.0]),
)
def test_blockwise_equals_whole(probs, spacing, block_shape, method, dtype, window_nm):
    image = of_type(probs, dtype)
    fn = functools.partial(
        adaptive_threshold, window_nm=window_nm, method=method, offset=0.02, spacing=spacing
    )
    target = np.zeros(image.shape, dtype=bool)
    map_blocks(fn, image, target, block_shape=block_shape)
    np.testing.assert_array_equal(target, fn(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_even_ground_is_not_brighter_than_itself(dtype):
    image = np.full((4, 9, 9), 0.3 if dtype == np.float32 else 77, dtype=dtype)
    for method in ("mean", "median"):
        assert not adaptive_threshold(
            image, window_nm=50, offset=0.01, method=method, spacing=CUBE
        ).any()


@pytest.mark.parametrize("method", ["mean", "median"])
def test_it_finds_what_one_threshold_cannot(method):
    """Spots 40 grey values above a ground that rises by 150."""
    ground = np.broadcast_to(np.linspace(20, 170, 60), (10, 30, 60))
    spots = np.zeros(ground.shape, dtype=bool)
    spots[4:6, 5::10, 4::10] = True
    image = (ground + 40 * spots).astype(np.uint8)
    found = adaptive_threshold(image, window_nm=90, offset=0.1, method=method, spacing=CUBE)
    np.testing.assert_array_equal(found, spots)
    assert not any(
        np.array_equal(threshold(image, level=v / 255), spots) for v in range(1, 256)
    )


def test_the_window_is_in_nm():
    """The bright voxel lies 60 nm from the dim one: half a window of 120 nm just reaches it."""
    image = np.array([[[0, 0, 0, 0, 255, 0, 0, 40, 0]]], dtype=np.uint8)
    for window_nm, found in ((119, True), (120, False)):
        mask = adaptive_threshold(image, window_nm=window_nm, spacing=(10.0, 10.0, 20.0))
        assert mask[0, 0, 7] == found


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("method", ["mean", "median"])
def test_tiny_arrays(shape, dtype, method):
    found = adaptive_threshold(
        np.ones(shape, dtype=dtype), window_nm=100, method=method, spacing=CUBE
    )
    np.testing.assert_array_equal(found, np.zeros(shape, dtype=bool))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"window_nm": -1}, "window_nm=-1 is no side"), ({"window_nm": np.inf}, "window_nm=inf"),
     ({"window_nm": 9, "method": "mode"}, "method=mode is unknown. Use one of mean, median")],
)
def test_what_cannot_be_meant_is_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        adaptive_threshold(np.zeros((2, 2, 2), np.uint8), **settings, spacing=CUBE)
