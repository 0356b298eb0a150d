"""Where a nucleus parts in two, and that round ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from surfaces import axes_um, ball, ellipsoid, parts_of, slit_ball, two_lobes

from fibseg.errors import UsageError
from fibseg.measure.furrow import Plane, furrow_of

SPACING = (40.0, 40.0, 40.0)


def found_in(mask, spacing=SPACING):
    return furrow_of(parts_of(mask), spacing=spacing)


def test_two_lobes_part_at_the_furrow():
    mask = two_lobes()
    found = found_in(mask)
    assert abs(found.normal[1]) > 0.98
    assert found.neck < 0.8
    # Both balls meet where they are equally far beyond their radius.
    y = np.abs(np.diff(mask.any(axis=(0, 2)).astype(int))).nonzero()[0]
    narrowest = mask.sum(axis=(0, 2))[y[0] + 20 : y[1] - 20].argmin() + y[0] + 20
    assert found.point_um[1] == pytest.approx(narrowest * 0.04, abs=0.08)


def test_a_deep_slit_is_a_furrow():
    found = found_in(slit_ball(radius_um=1.6, width_um=0.2))
    assert abs(found.normal[0]) > 0.95


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_a_ball_has_none(radius):
    assert found_in(ball(radius)) is None


@pytest.mark.parametrize("spacing", [SPACING, (60.0, 40.0, 40.0)])
def test_an_ellipsoid_has_none(spacing):
    assert found_in(ellipsoid((0.7, 1.2, 1.9), spacing=spacing), spacing) is None


def test_half_a_ball_at_a_face_has_none():
    mask = ball(1.4)
    assert found_in(mask[mask.shape[0] // 2 + 5 :]) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_rough_ball_has_none(seed):
    shape = (110, 110, 110)
    z, y, x = axes_um(shape)
    rough = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 4)
    mask = np.sqrt(z * z + y * y + x * x) < 1.8 + 0.06 * rough / rough.std()
    assert found_in(mask) is None


def test_axes_may_be_swapped():
    mask = two_lobes()
    one, two = found_in(mask), found_in(mask.transpose(1, 2, 0))
    assert abs(two.normal[0]) == pytest.approx(abs(one.normal[1]), abs=0.02)
    assert two.point_um[0] == pytest.approx(one.point_um[1], abs=0.05)


def test_only_the_largest_piece_is_looked_at():
    mask = ball(1.0)
    small = np.zeros_like(mask)
    small[30:45, 30:45, 30:45] = True
    assert found_in(np.concatenate([mask, small])) is None


def test_nothing_has_none():
    assert found_in(np.zeros((20, 20, 20), bool)) is None
    assert found_in(np.zeros((0, 0, 0), bool)) is None


def test_height_above_a_given_plane():
    plane = Plane.given([1, 2, 3], [0, 4, 0])
    assert plane.normal == (0, 1, 0)
    assert plane.height_um(np.array([[9.0, 2.5, 9.0], [0, 0, 0]])).tolist() == [0.5, -2]


@pytest.mark.parametrize("wrong", [([0, 0], [1, 0, 0]), ([0, 0, 0], [0, 0, 0]),
                                   ([0, 0, float("nan")], [1, 0, 0])])
def test_no_plane_is_refused(wrong):
    with pytest.raises(UsageError, match="are no plane"):
        Plane.given(*wrong)
