"""Of a few voxels no surface is stated: none may be smaller than that of a ball."""

from __future__ import annotations

import math

import numpy as np
import pytest
from analytic import SMOOTH
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes, spacings, sparse_labels, touching_objects

from fibseg.measure import shape, surface


def box(*size):
    return np.pad(np.ones(size, np.uint8), 5)


@pytest.mark.parametrize(
    ("size", "spacing", "share"),
    [((1, 1, 1), (10, 10, 10), 0.44), ((2, 2, 2), (10, 10, 10), 0.74),
     ((3, 3, 3), (10, 10, 10), 0.88), ((1, 10, 10), (50, 10, 10), 0.9)],
)
def test_less_surface_than_a_ball_is_none(size, spacing, share):
    """What is counted is a share of the surface of the ball of that volume."""
    counted = surface.measure(box(*size), spacing=spacing)["surface_area_um2"][0]
    volume = math.prod(size) * math.prod(spacing) * 1e-9
    assert counted / np.cbrt(36 * math.pi * volume**2) == pytest.approx(share, abs=0.01)
    table = shape.measure(box(*size), spacing=spacing)
    assert shape.too_small(table).tolist() == [True]
    for name, column in table.items():
        if not name.startswith("axis_"):
            assert np.isnan(column).tolist() == [name in shape.OF_SURFACE], name


@pytest.mark.parametrize("name", ["ball", "ellipsoid"])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.5, 1, 1), (5, 1, 1)])
def test_smooth_objects_of_four_by_two_voxels_have_a_surface(name, spacing):
    radius = max(4, 2 * spacing[0])
    for seed in range(12):
        mask = SMOOTH[name].digitised(radius, spacing, seed=seed)
        table = shape.measure(mask, spacing=spacing)
        assert table["sphericity"][0] < shape.MOST_SPHERICITY
        truth = SMOOTH[name].surface * radius**2 * 1e-6
        assert table["surface_area_um2"][0] == pytest.approx(truth, rel=0.11)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2.5, 1, 1), (5, 1, 1)])
def test_balls_of_a_voxel_and_a_half_have_none(spacing):
    for seed in range(12):
        mask = SMOOTH["ball"].digitised(1.5 * spacing[0], spacing, seed=seed)
        found = shape.measure(mask, spacing=spacing)
        if spacing[0] == 1:
            assert np.isnan(found["surface_area_um2"]).all()
        else:  # some are as wide as four voxels: then it is right
            truth = SMOOTH["ball"].surface * (1.5 * spacing[0]) ** 2 * 1e-6
            known = found["surface_area_um2"][np.isfinite(found["surface_area_um2"])]
            assert known == pytest.approx([truth] * len(known), rel=0.15)


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(label_volumes(high=9), sparse_labels(), touching_objects()), spacings(),
    st.booleans(),
)
def test_no_whole_object_is_rounder_than_a_ball(labels, spacing, keep_border):
    table = shape.measure(labels, spacing=spacing, keep_border=keep_border)
    whole, small = ~table["touches_border"], shape.too_small(table)
    assert (table["sphericity"][whole & ~small] <= shape.MOST_SPHERICITY).all()
    for name in shape.OF_SURFACE:
        assert np.isnan(table[name][small]).all()
        assert np.isfinite(table[name][whole & ~small]).all()
    assert not (small & table["touches_border"]).any()


@settings(deadline=None, max_examples=30)
@given(label_volumes(high=9), st.sampled_from([0.5, 2, 8]))
def test_whether_an_object_is_too_small_does_not_depend_on_the_unit(labels, factor):
    one, other = (
        shape.measure(labels, spacing=tuple(s * f for s in (20.0, 10.0, 10.0)))
        for f in (1, factor)
    )
    assert shape.too_small(one).tolist() == shape.too_small(other).tolist()
    np.testing.assert_allclose(one["sphericity"], other["sphericity"])
    np.testing.assert_allclose(
        one["surface_area_um2"] * factor**2, other["surface_area_um2"]
    )


def test_half_a_ball_at_a_face_has_its_mantle_on_request():
    """Its surface is only a part, so that it may be smaller than that of any ball."""
    place = np.indices((12, 31, 31)) - np.reshape((-0.5, 15, 15), (3, 1, 1, 1))
    half = ((place**2).sum(axis=0) <= 100).astype(np.uint8)
    table = shape.measure(half, keep_border=True, spacing=(10.0, 10.0, 10.0))
    assert table["surface_area_um2"][0] > 0
    assert table["sphericity"][0] > shape.MOST_SPHERICITY
    assert not shape.too_small(table).any()
    assert not shape.too_small(shape.measure(half, spacing=(10.0, 10.0, 10.0))).any()
