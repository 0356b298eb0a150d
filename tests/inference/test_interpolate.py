"""Interpolation against scipy, on boxes and at voxels, the same however it is cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import shapes

from fibseg.geometry import Box
from fibseg.inference.interpolate import at_voxels, between, enlarged
from fibseg.inference.pixel_plan import around, finer

FACTORS = st.tuples(*[st.sampled_from([1, 2, 4, 8])] * 3)


def case(shape, factors, seed):
    """Values of a coarser grid, and the shape of the finer one, whose last voxels may be cut."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(2, *shape)).astype(np.float32)
    fine = tuple(n * f - rng.integers(0, f) for n, f in zip(shape, factors, strict=True))
    return values, fine


def by_scipy(values, voxels, factors):
    """Voxel centres in units of the coarser grid, linear, the border going on."""
    places = [(v + 0.5) / f - 0.5 for v, f in zip(voxels.T, factors, strict=True)]
    return np.stack([
        ndimage.map_coordinates(v.astype(float), places, order=1, mode="nearest") for v in values
    ])


@given(shapes(high=6), FACTORS, st.integers(0, 99))
def test_boxes_and_voxels_are_what_scipy_makes_of_them(shape, factors, seed):
    values, fine = case(shape, factors, seed)
    voxels = np.argwhere(np.ones(fine, bool))
    wanted = by_scipy(values, voxels, factors)
    whole = Box.whole(fine)
    found = enlarged(values, Box.whole(shape), whole, factors=factors, shape=shape)
    np.testing.assert_allclose(found.reshape(2, -1), wanted, atol=1e-5)
    single = at_voxels(values, Box.whole(shape), voxels, factors=factors, shape=shape)
    np.testing.assert_allclose(single, wanted, atol=1e-5)


@given(shapes(high=6), FACTORS, st.integers(0, 99), st.data())
def test_a_part_is_the_very_part_of_the_whole(shape, factors, seed, data):
    values, fine = case(shape, factors, seed)
    start = tuple(data.draw(st.integers(0, n - 1)) for n in fine)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, fine, strict=True))
    box = Box(start, stop)
    near = around(box, factors, shape)
    whole = enlarged(values, Box.whole(shape), Box.whole(fine), factors=factors, shape=shape)
    part = enlarged(values[(slice(None), *near.slices)], near, box, factors=factors, shape=shape)
    np.testing.assert_array_equal(part, whole[(slice(None), *box.slices)])


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 4, 8, 64]), st.integers(1, 20000))
def test_the_two_voxels_lie_beside_each_other_and_weights_are_shares(voxel, factor, n):
    below, above, weight = (a[0] for a in between(np.array([voxel]), factor, n))
    assert 0 <= below <= above <= n - 1
    assert above - below <= 1
    assert 0 <= weight < 1
    if factor == 1:
        assert weight == 0


def test_a_plane_in_space_stays_a_plane_between_the_outermost_centres():
    z, y, x = np.meshgrid(*(np.arange(5.0),) * 3, indexing="ij")
    values = (z + 2 * y - x)[None].astype(np.float32)
    found = enlarged(values, Box.whole((5, 5, 5)), Box.whole((20, 20, 20)), factors=(4, 4, 4),
                     shape=(5, 5, 5))[0]
    inner = (np.arange(2, 18) + 0.5) / 4 - 0.5
    wanted = inner[:, None, None] + 2 * inner[:, None] - inner
    np.testing.assert_allclose(found[2:18, 2:18, 2:18], wanted, atol=1e-5)


@given(st.integers(0, 50), st.integers(1, 50), st.sampled_from([1, 2, 8]), st.integers(1, 30))
def test_around_holds_all_that_is_interpolated_between(start, length, factor, n):
    last = n * factor
    if start >= last:
        return
    box = Box((start,), (min(start + length, last),))
    near = around(box, (factor,), (n,))
    below, above, _ = between(np.arange(box.start[0], box.stop[0]), factor, n)
    assert near.start[0] <= below.min()
    assert above.max() < near.stop[0]
    assert finer(near, (factor,), (last,)).intersect(box) == box
