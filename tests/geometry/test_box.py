"""Boxes: set algebra against boolean masks, and cutting at faces."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fibseg.geometry import Box

SHAPE = (6, 7)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    start = tuple(draw(st.integers(-3, 8)) for _ in SHAPE)
    return Box(start, tuple(a + draw(st.integers(0, 8)) for a in start))


def mask(box: Box) -> np.ndarray:
    index = np.indices((30, 30)) - 10
    inside = [(i >= a) & (i < b) for i, a, b in zip(index, box.start, box.stop, strict=True)]
    return inside[0] & inside[1]


@given(a=boxes(), b=boxes())
def test_intersection_is_that_of_the_voxels(a, b):
    both = a.intersect(b)
    np.testing.assert_array_equal(mask(both), mask(a) & mask(b))
    assert both.size == (mask(a) & mask(b)).sum()


@given(box=boxes(), halo=st.tuples(st.integers(0, 3), st.integers(0, 3)))
def test_clipped_box_cuts_what_the_array_has(box, halo):
    array = np.arange(42).reshape(SHAPE)
    grown = box.grow(halo).clip(SHAPE)
    assert array[grown.slices].shape == grown.shape
    inner = box.clip(SHAPE)
    if inner.size:
        back = inner.relative_to(grown)
        np.testing.assert_array_equal(array[grown.slices][back.slices], array[inner.slices])


def test_whole_and_shift():
    assert Box.whole((2, 3)).shift((1, 1)) == Box((1, 1), (3, 4))
    assert Box((4,), (2,)).size == 0
