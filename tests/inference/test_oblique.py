"""Networks along any orientation: planes where planes are known, the same for all blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional

from fibseg.data import Normalisation
from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box, along, even_orientations, orthogonal_orientations, rotated
from fibseg.inference.oblique import ObliquePredictor, near_border
from fibseg.inference.oblique_plan import ObliquePlan, orientations_named

SHAPE, SMALL = (30, 34, 38), (13, 16, 15)
CUBES = (10.0, 10.0, 10.0)
NORMAL = Normalisation(0.0, 255.0, invert=False)


def blur(images):
    """A network of one fixed filter, receptive field 2, and one class."""
    kernel = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0])
    kernel = (kernel[:, None] * kernel / 256).expand(1, 1, 5, 5)
    middle = images[:, images.shape[1] // 2][:, None]
    logit = functional.conv2d(middle, kernel, padding=2)
    return torch.cat([torch.zeros_like(logit), logit], 1)


def plan_of(orientations, *, shape=SHAPE, spacing=CUBES, **change):
    settings = {"pixel_nm": 10.0, "core": 8, "margin": 4, "context": 0, "batch": 4}
    return ObliquePlan(
        shape=shape, spacing=spacing, orientations=tuple(orientations), **{**settings, **change}
    )


def predictor(plan, network=blur):
    return ObliquePredictor(network, 1, plan, NORMAL)


def whole(volume, plan, *, wanted=None, network=blur):
    box = Box.whole(volume.shape)
    (probs,) = predictor(plan, network).box(volume, box, box, wanted=wanted)
    return probs


def noise(shape=SHAPE, seed=0):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.clip(128 + 200 * smooth / smooth.std() / 4, 0, 255).astype(np.uint8)


def by_planes(volume, axis):
    """The same network, plane by plane along an axis; planes are mirrored at their border."""
    moved = np.moveaxis(volume, axis, 0)
    share = torch.from_numpy(((moved / 255.0 - 0.5) * 5).astype(np.float32))[:, None]
    logits = blur(functional.pad(share, (2, 2, 2, 2), mode="reflect"))[:, 1, 2:-2, 2:-2]
    return np.moveaxis(torch.sigmoid(logits).numpy(), 0, axis)


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_along_an_axis_it_is_plane_by_plane(axis):
    volume = noise()
    expected = by_planes(volume, "zyx".index(axis)) * 255
    np.testing.assert_allclose(whole(volume, plan_of([along(axis)])), expected, atol=0.51)


def test_along_all_three_it_is_their_mean():
    volume = noise()
    expected = sum(by_planes(volume, axis) for axis in range(3)) / 3 * 255
    np.testing.assert_allclose(
        whole(volume, plan_of(orthogonal_orientations())), expected, atol=0.52
    )


def test_the_median_is_that_of_the_three():
    volume = noise()
    expected = np.median([by_planes(volume, axis) for axis in range(3)], axis=0) * 255
    found = whole(volume, plan_of(orthogonal_orientations(), fusion="median"))
    np.testing.assert_allclose(found, expected, atol=0.52)


@pytest.mark.parametrize("orientation", even_orientations(6), ids=lambda o: o.name)
def test_a_smooth_volume_comes_back_from_any_angle(orientation):
    z, y, x = np.indices(SHAPE)
    volume = (110 + 1.5 * z - 0.8 * y + 1.1 * x).astype(np.float32)
    expected = 255 / (1 + np.exp(-(volume / 255 - 0.5) * 5))
    found = whole(volume, plan_of([orientation]))
    inner = (slice(5, -5),) * 3  # a ramp has a fold where it is mirrored
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.7)


def test_ninety_degrees_about_x_is_along_y():
    volume = noise()
    np.testing.assert_allclose(
        whole(volume, plan_of([rotated("x", 90)])).astype(int),
        whole(volume, plan_of([along("y")])).astype(int), atol=1,
    )


def test_turning_the_volume_turns_the_result():
    volume = noise()
    turned = np.ascontiguousarray(volume.transpose(1, 0, 2))
    plan = plan_of([along("z")], shape=turned.shape)
    np.testing.assert_array_equal(
        whole(turned, plan).transpose(1, 0, 2), whole(volume, plan_of([along("y")]))
    )


@settings(max_examples=10, deadline=None)
@given(
    st.tuples(*(st.integers(1, n - 1) for n in SMALL)),
    st.sampled_from([(along("z"),), even_orientations(3), (rotated("y", 30),)]),
    st.sampled_from([CUBES, (25.0, 10.0, 10.0)]),
)
def test_blocks_change_nothing(cut, orientations, spacing):
    volume = noise(SMALL)
    plan = plan_of(orientations, shape=SMALL, spacing=spacing, context=1)
    expected = whole(volume, plan)
    for start, stop in (((0, 0, 0), cut), (cut, SMALL)):
        write = Box(start, stop)
        read = plan.read_box(write)
        (found,) = predictor(plan).box(volume[read.slices], read, write)
        np.testing.assert_array_equal(found, expected[write.slices])


def test_what_is_wanted_is_the_same_and_the_rest_is_not_computed():
    volume, seen = noise(), []

    def counted(images):
        seen.append(len(images))
        return blur(images)

    plan = plan_of(even_orientations(3))
    everywhere = whole(volume, plan, network=counted)
    all_windows = sum(seen)
    wanted = np.zeros(SHAPE, bool)
    wanted[10:14, 12:15, 3:9] = True
    seen.clear()
    found = whole(volume, plan, wanted=wanted, network=counted)
    np.testing.assert_array_equal(found, np.where(wanted, everywhere, 0))
    assert 0 < sum(seen) < all_windows / 5
    seen.clear()
    assert not whole(volume, plan, wanted=np.zeros(SHAPE, bool), network=counted).any()
    assert not seen


def test_neighbouring_planes_are_channels():
    volume = np.zeros(SHAPE, np.uint8)
    volume[10] = 255

    def above(images):
        logit = 8 * images[:, 2][:, None]
        return torch.cat([torch.zeros_like(logit), logit], 1)

    found = whole(volume, plan_of([along("z")], context=1), network=above)
    assert (found[9] == 255).all()
    assert not found[[8, 10, 11]].any()


@pytest.mark.parametrize("spacing", [CUBES, (25.0, 10.0, 8.0)])
def test_near_a_border_is_as_scipy_measures(spacing):
    labels = np.zeros(SHAPE, np.uint16)
    labels[8:22, 9:25, 5:30] = 3
    plan = plan_of([along("z")], spacing=spacing, within_nm=(-35.0, 52.0))
    inside = ndimage.distance_transform_edt(labels > 0, sampling=spacing)
    outside = ndimage.distance_transform_edt(labels == 0, sampling=spacing)
    expected = np.where(labels > 0, inside <= 35.0 + 1e-3, outside <= 52.0 + 1e-3)
    box = Box.whole(SHAPE)
    np.testing.assert_array_equal(near_border(labels, box, box, plan=plan), expected)
    write = Box((10, 0, 0), (12, 34, 38))
    read = plan.read_box(write)
    found = near_border(labels[read.slices], read, write, plan=plan)
    np.testing.assert_array_equal(found, expected[10:12])


@pytest.mark.parametrize("value", [0, 1])
def test_without_a_border_nothing_is_near_it(value):
    labels = np.full(SHAPE, value, np.uint8)
    plan = plan_of([along("z")], within_nm=(-1e4, 1e4))
    box = Box.whole(SHAPE)
    assert not near_border(labels, box, box, plan=plan).any()


def test_a_network_that_fails_is_an_error():
    with pytest.raises(DataError, match="NaN or infinite"):
        whole(noise(), plan_of([along("z")]), network=lambda i: torch.full((4, 2, 16, 16), np.nan))


def test_words_for_orientations():
    assert [o.name for o in orientations_named("orthogonal", 1)] == ["z", "y", "x"]
    assert orientations_named("y", 5) == (along("y"),)
    assert len(orientations_named("oblique", 5)) == 5
    with pytest.raises(UsageError, match="orientations='w'"):
        orientations_named("w", 1)


@pytest.mark.parametrize("orientations", [orthogonal_orientations(), even_orientations(3)])
def test_voxels_at_once_change_nothing(monkeypatch, orientations):
    volume = noise()
    wanted = np.random.default_rng(3).random(SHAPE) < 0.4
    plan = plan_of(orientations, spacing=(12.0, 10.0, 9.0), pixel_nm=9.0)
    at_once = whole(volume, plan, wanted=wanted)
    monkeypatch.setattr("fibseg.inference.oblique.PIECE", 500)
    np.testing.assert_array_equal(whole(volume, plan, wanted=wanted), at_once)
