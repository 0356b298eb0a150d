from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold
from strategies import masks, probability_volumes

from fibseg.errors import UsageError
from fibseg.postprocess import components, hysteresis_threshold, keep_largest, threshold

CONNECTIVITY = st.sampled_from([6, 18, 26])
LEVELS = st.sampled_from([(0.2, 0.8), (0.5, 0.5), (0.4, 0.99), (0.55, 0.6)])


def structure(connectivity):
    return ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])


@settings(deadline=None, max_examples=60)
@given(probability_volumes(), LEVELS, CONNECTIVITY)
def test_hysteresis_is_that_of_scipy_components(probs, levels, connectivity):
    low, high = levels
    other, _ = ndimage.label(threshold(probs, level=low), structure=structure(connectivity))
    kept = np.unique(other[threshold(probs, level=high)])
    np.testing.assert_array_equal(
        hysteresis_threshold(probs, low=low, high=high, connectivity=connectivity),
        np.isin(other, kept[kept > 0]),
    )


@settings(deadline=None, max_examples=40)
@given(masks(), st.integers(0, 2**32 - 1), LEVELS)
def test_hysteresis_is_that_of_skimage(mask, seed, levels):
    noise = np.random.default_rng(seed).random(mask.shape)
    probs = np.where(mask, 0.4 + 0.6 * noise, 0.7 * noise)
    low, high = levels
    np.testing.assert_array_equal(
        hysteresis_threshold(probs, low=low, high=high, connectivity=6),
        apply_hysteresis_threshold(probs, low, high),
    )


@settings(deadline=None, max_examples=60)
@given(masks(), st.integers(1, 4), CONNECTIVITY)
def test_the_largest_come_first_and_of_equals_the_earlier(mask, n, connectivity):
    other, n_all = ndimage.label(mask, structure=structure(connectivity))
    flat = other.ravel()
    facts = [(-(flat == i).sum(), np.argmax(flat == i), i) for i in range(1, n_all + 1)]
    expected = np.isin(other, [i for *_, i in sorted(facts)[:n]])
    np.testing.assert_array_equal(keep_largest(mask, n=n, connectivity=connectivity), expected)


def test_a_faint_end_stays_and_a_faint_speck_goes():
    probs = np.zeros((3, 3, 9), dtype=np.uint8)
    probs[1, 1, 1:5] = 140
    probs[1, 1, 1] = 250
    probs[1, 1, 7] = 140
    found = hysteresis_threshold(probs, low=0.5, high=0.9)
    assert found.sum() == 4
    assert not found[1, 1, 7]


def test_of_two_equal_ones_the_first_stays():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 3, 3] = mask[3, 0, 0] = True
    assert np.argwhere(keep_largest(mask)).tolist() == [[0, 3, 3]]
    np.testing.assert_array_equal(keep_largest(mask, n=5), mask)


@pytest.mark.parametrize("shape", [(0, 2, 2), (1, 1, 1)])
@pytest.mark.parametrize("value", [0, 255])
def test_tiny_arrays(shape, value):
    probs = np.full(shape, value, dtype=np.uint8)
    np.testing.assert_array_equal(hysteresis_threshold(probs, low=0.1, high=0.9), probs > 0)
    np.testing.assert_array_equal(keep_largest(probs), probs > 0)
    assert components(keep_largest(probs), spacing=(1, 1, 1)).max(initial=0) == (probs > 0).any()


@pytest.mark.parametrize(
    ("levels", "words"),
    [((0.7, 0.3), "low=0.7 is above high=0.3"), ((0, 0.5), "level=0 is no probability"),
     ((0.5, 1.5), "level=1.5 is no probability")],
)
def test_levels_that_cannot_be_meant(levels, words):
    with pytest.raises(UsageError, match=words):
        hysteresis_threshold(np.zeros((1, 1, 1), np.uint8), low=levels[0], high=levels[1])


def test_none_of_the_largest_is_refused():
    with pytest.raises(UsageError, match="would leave nothing"):
        keep_largest(np.ones((1, 1, 1)), n=0)
