"""Whole-number geometry of the working grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibseg.inference.axis import Axis, mirrored, resample, take


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    length = draw(st.integers(1, 300))
    own = draw(st.sampled_from([1, 2, 4]))
    core = draw(st.integers(1, 40))
    step = draw(st.integers(max(1, core // 3), core * 5))
    return Axis(length, -(-length // own), own, core, step, draw(st.integers(0, 20)))


@given(st.integers(1, 12), st.integers(0, 40))
def test_mirroring_is_that_of_numpy(n, pad):
    wanted = np.pad(np.arange(n), pad, mode="reflect")
    np.testing.assert_array_equal(mirrored(np.arange(-pad, n + pad), n), wanted)


@given(axes())
def test_every_voxel_has_one_slot_of_one_window(axis):
    voxels = np.arange(axis.length)
    pixels = axis.pixel_of(voxels)
    slot = voxels - axis.first_voxel(pixels)
    assert slot.min() >= 0
    assert slot.max() < axis.slots
    # The centre of the voxel lies in the pixel.
    centres = (voxels + 0.5) / axis.factor
    assert np.all(pixels <= centres + 1e-9)
    assert np.all(centres < pixels + 1 + 1e-9)
    np.testing.assert_array_equal(voxels // axis.step, pixels // axis.core)


@given(axes())
def test_interpolation_is_linear_between_pixel_centres(axis):
    voxels = np.arange(axis.length)
    below, weight = axis.neighbours(voxels)
    assert np.all((weight >= 0) & (weight < 1 + 1e-6))
    # The pixel's own coordinate, interpolated, is the coordinate of the voxel.
    np.testing.assert_allclose(below + weight + 0.5, (voxels + 0.5) / axis.factor, atol=1e-4)


@given(axes(), st.data())
def test_windows_cover_what_is_written_and_no_more(axis, data):
    start = data.draw(st.integers(0, axis.length - 1))
    stop = data.draw(st.integers(start + 1, axis.length))
    first, last = axis.windows(start, stop, blended=False)
    assert first * axis.step <= start < (first + 1) * axis.step
    assert (last - 1) * axis.step < stop <= last * axis.step
    pixels = axis.pixels(first, last)
    assert len(pixels) == (last - first) * axis.core + 2 * axis.margin
    low, high = axis.source_range(pixels)
    index, _ = axis.taps(pixels)
    assert (low, high) == (index.min(), index.max() + 1)
    assert 0 <= low < high <= axis.source


@given(axes())
def test_resampling_keeps_a_constant_and_a_ramp(axis):
    pixels = np.arange(axis.n_work)
    index, weights = axis.taps(pixels)
    flat = resample(np.full(axis.source, 7, np.uint8), index, weights, axis=0)
    np.testing.assert_allclose(flat, 7, rtol=1e-6)
    ramp = resample(np.arange(axis.source, dtype=np.float32), index, weights, axis=0)
    ratio = axis.step / (axis.core * axis.source_factor)
    inside = (pixels + 1) * ratio <= axis.source - 0.5
    inside &= pixels * ratio >= 0.5
    wanted = (pixels + 0.5) * ratio - 0.5
    if ratio >= 1 and float(ratio).is_integer():
        np.testing.assert_allclose(ramp[inside], wanted[inside], atol=1e-3)
    else:
        # The mean over a fraction of a voxel takes that voxel as flat.
        np.testing.assert_allclose(ramp[inside], wanted[inside], atol=0.26)


def test_halving_is_the_mean_of_two():
    axis = Axis(length=7, source=7, source_factor=1, core=4, step=8, margin=0)
    index, weights = axis.taps(np.arange(axis.n_work))
    assert axis.n_work == 4
    out = resample(np.array([0, 2, 4, 8, 1, 1, 9], np.uint8), index, weights, axis=0)
    np.testing.assert_array_equal(out, [1, 6, 1, 9])


@given(axes(), st.data())
@settings(max_examples=300)
def test_a_pixel_does_not_depend_on_the_others(axis, data):
    image = np.random.default_rng(0).integers(0, 65535, (3, axis.source)).astype(np.uint16)
    whole = resample(image, *axis.taps(np.arange(axis.n_work)), axis=1)
    start = data.draw(st.integers(0, axis.n_work - 1))
    stop = data.draw(st.integers(start + 1, axis.n_work))
    part = resample(image, *axis.taps(np.arange(start, stop)), axis=1)
    np.testing.assert_array_equal(part, whole[:, start:stop])


@pytest.mark.parametrize("index", [[3], [2, 3, 4], [0, 2, 4], [4, 2, 0], [1, 1, 2], [0, 3, 4]])
def test_take_is_that_of_numpy(index):
    image = np.arange(12).reshape(2, 6)
    np.testing.assert_array_equal(take(image, np.array(index), axis=1), image[:, index])


def test_a_mean_is_the_same_beside_a_cut_off_pixel_at_the_border():
    axis = Axis(length=112, source=112, source_factor=1, core=1, step=3, margin=0)
    image = np.random.default_rng(0).integers(0, 65535, (3, 112)).astype(np.uint16)
    whole = resample(image, *axis.taps(np.arange(38)), axis=1)
    alone = [resample(image, *axis.taps(np.array([k])), axis=1) for k in range(38)]
    np.testing.assert_array_equal(whole, np.concatenate(alone, axis=1))
    np.testing.assert_allclose(whole[:, 0], image[:, :3].mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(whole[:, 37], image[:, 111])
