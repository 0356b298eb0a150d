from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.metrics import region_boxes, region_edges, region_looks, region_means
from fibseg.metrics.regions import N_LOOKS


@given(length=st.integers(1, 500), side=st.floats(0.5, 600))
def test_regions_part_an_axis_evenly(length: int, side: float) -> None:
    edges = region_edges(length, side)
    widths = np.diff(edges)
    assert (edges[0], edges[-1]) == (0, length)
    assert widths.min() >= 1
    assert widths.max() - widths.min() <= 1
    if 2 <= side <= length:
        assert 0.66 * side - 1 <= widths.mean() <= 1.5 * side + 1


@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 30)), side=st.floats(1, 12))
def test_means_are_those_of_the_boxes(shape: tuple[int, int], side: float) -> None:
    plane = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    ys, xs = (region_edges(n, side) for n in shape)
    want = [plane[y0:y1, x0:x1].mean() for y0, x0, y1, x1 in region_boxes(ys, xs)]
    np.testing.assert_allclose(region_means(plane, ys, xs), want)


@given(shape=st.tuples(st.integers(1, 20), st.integers(1, 20)), side=st.floats(1, 9))
def test_looks_are_finite_for_any_plane(shape: tuple[int, int], side: float) -> None:
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    ys, xs = (region_edges(n, side) for n in shape)
    looks = region_looks(image, ys, xs)
    assert looks.shape == (len(region_boxes(ys, xs)), N_LOOKS)
    assert np.isfinite(looks).all()


def test_looks_tell_bright_rough_and_coarse_apart() -> None:
    rng = np.random.default_rng(2)
    image = np.zeros((64, 256), np.float32)
    image[:, 64:128] = 2
    image[:, 128:192] = rng.normal(size=(64, 64))
    image[:, 192:] = np.kron(rng.normal(size=(8, 8)), np.ones((8, 8)))
    flat, bright, fine, coarse = region_looks(
        image, region_edges(64, 64), region_edges(256, 64)
    )
    assert bright[0] == pytest.approx(2)
    assert flat[0] == pytest.approx(0)
    assert fine[1] == pytest.approx(1, abs=0.1)
    # Noise of single pixels averages out on coarser grids, patches of 8 x 8 do not.
    assert fine[2] > coarse[2]
    assert fine[-1] < coarse[-1]


def test_looks_do_not_depend_on_where_in_the_plane_a_region_lies() -> None:
    tile = np.random.default_rng(3).normal(size=(32, 32)).astype(np.float32)
    tile[:, -8:], tile[-8:] = 0, 0  # steps across the border are of what lies beside it
    tile[:, :8], tile[:8] = 0, 0
    looks = region_looks(np.tile(tile, (2, 3)), region_edges(64, 32), region_edges(96, 32))
    np.testing.assert_allclose(looks, np.repeat(looks[:1], 6, axis=0), atol=1e-5)
