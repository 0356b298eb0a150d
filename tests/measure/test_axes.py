"""Principal axes against NumPy's covariance of points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes, spacings

from fibseg.measure import regions
from fibseg.measure.axes import AXES, axis_directions, axis_lengths, covariances

LENGTHS = ("axis_major_um", "axis_middle_um", "axis_minor_um")


def vectors(sums, spacing):
    found = axis_directions(sums, spacing=spacing)
    return np.stack([found[f"axis_major_{axis}"] for axis in AXES], axis=1)


@settings(max_examples=40)
@given(label_volumes(high=8), spacings())
def test_covariances_are_those_of_the_corners_of_finer_voxels(labels, spacing):
    """A voxel is a box: its points vary by a twelfth of its squared size around its centre."""
    sums = regions.partial(labels, start=(0, 0, 0))
    found = covariances(sums, spacing=spacing)
    for row, label in enumerate(sums["label"].tolist()[:4]):
        places = np.argwhere(labels == label) * np.array(spacing)
        known = np.cov(places.T, bias=True).reshape(3, 3) + np.diag(np.square(spacing) / 12)
        np.testing.assert_allclose(found[row], known, rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(label_volumes(high=8), spacings(), st.tuples(*[st.integers(0, 10**5)] * 3))
def test_the_place_in_the_volume_does_not_matter(labels, spacing, start):
    here, there = (regions.partial(labels, start=at) for at in ((0, 0, 0), start))
    np.testing.assert_array_equal(
        covariances(here, spacing=spacing), covariances(there, spacing=spacing)
    )


@settings(max_examples=40)
@given(label_volumes(high=8), spacings())
def test_lengths_are_in_order_and_those_of_the_covariance(labels, spacing):
    sums = regions.partial(labels, start=(0, 0, 0))
    major, middle, minor = (axis_lengths(sums, spacing=spacing)[name] for name in LENGTHS)
    assert (major >= middle).all()
    assert (middle >= minor).all()
    least = 2 * np.sqrt(5 / 12) * min(spacing) * 1e-3
    assert (minor >= least * (1 - 1e-9)).all()  # never thinner than a voxel
    trace = np.trace(covariances(sums, spacing=spacing), axis1=1, axis2=2)
    np.testing.assert_allclose((major**2 + middle**2 + minor**2) / 20 * 1e6, trace)


@settings(max_examples=40)
@given(label_volumes(high=8), spacings(), st.sampled_from([0, 1, 2]))
def test_a_mirror_turns_the_direction_and_no_length(labels, spacing, axis):
    sums, mirrored = (
        regions.partial(each, start=(0, 0, 0)) for each in (labels, np.flip(labels, axis))
    )
    one, other = (axis_lengths(each, spacing=spacing) for each in (sums, mirrored))
    for name in LENGTHS:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)
    apart = one["axis_major_um"] > one["axis_middle_um"] * 1.01
    turned = vectors(sums, spacing)[apart]
    turned[:, axis] *= -1
    along = np.abs((turned * vectors(mirrored, spacing)[apart]).sum(axis=1))
    np.testing.assert_allclose(along, 1, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_bar_points_along_its_axis(axis):
    size = [1, 1, 1]
    size[axis] = 7
    sums = regions.partial(np.ones(size, np.uint8), start=(3, 4, 5))
    assert vectors(sums, (10.0, 10.0, 10.0)).tolist() == [np.eye(3)[axis].tolist()]
    lengths = axis_lengths(sums, spacing=(10.0, 10.0, 10.0))
    # A solid bar of length l has variance l² / 12: the ellipsoid is as long as 2 √(5 l² / 12).
    assert lengths["axis_major_um"][0] == pytest.approx(2 * np.sqrt(5 / 12) * 0.07)


def test_a_direction_is_missing_where_two_axes_are_longest():
    sums = regions.partial(np.ones((1, 4, 4), np.uint8), start=(0, 0, 0))
    assert np.isnan(vectors(sums, (10.0, 10.0, 10.0))).all()
    assert np.isfinite(vectors(sums, (10.0, 11.0, 10.0))).all()
