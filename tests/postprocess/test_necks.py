from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import label_volumes, spacings, touching_objects

from fibseg.errors import UsageError
from fibseg.postprocess import distance, watershed
from fibseg.postprocess.necks import find_contacts, join_over_no_neck, opening_slopes

CUBE, FLAT = (10.0, 10.0, 10.0), (25.0, 10.0, 10.0)


def solid(radius_nm, length_nm, spacing):
    """A body of revolution along x: its radius in nm as a function of x in nm."""
    widest = max(radius_nm(np.linspace(0, length_nm, 200)))
    shape = [int(2 * widest / s) + 5 for s in spacing[:2]] + [int(length_nm / spacing[2]) + 1]
    z, y, x = np.indices(shape) * np.reshape(spacing, (3, 1, 1, 1))
    middle = [(n // 2) * s for n, s in zip(shape, spacing, strict=True)]
    return np.hypot(z - middle[0], y - middle[1]) < radius_nm(x)


def parts_of(mask, angle, spacing=CUBE, depth_nm=12.0):
    labels = mask.astype(np.uint32)
    return watershed(labels, depth_nm=depth_nm, min_angle_deg=angle, spacing=spacing).max()


@pytest.mark.parametrize("spacing", [CUBE, FLAT])
@pytest.mark.parametrize("angle", [10, 20, 35])
def test_two_cones_open_by_their_own_angle(angle, spacing):
    """Their walls are planes: the distance to one rises by the sine of the angle."""
    mask = solid(lambda x: 50 + np.tan(np.radians(angle)) * abs(x - 500), 1000, spacing)
    inner = distance(~mask, max_nm=1e4, spacing=spacing)
    basins = np.where(mask, 1 + (np.arange(mask.shape[2]) > 50), 0).astype(np.int32)
    contacts = find_contacts(basins, inner)
    assert contacts.pairs.tolist() == [[1, 2]]
    slope = opening_slopes(contacts, basins, inner, depth_nm=40.0, spacing=spacing)
    # Half a voxel more or less on the way to a rise of 40 nm.
    assert slope[0] == pytest.approx(np.sin(np.radians(angle)), abs=0.07)


def test_a_tube_of_uneven_thickness_is_one():
    """From 120 to 50 nm and back again within a µm: two maxima, 70 nm deep, and no neck."""
    mask = solid(lambda x: 85 + 35 * np.cos(2 * np.pi * x / 1000), 1000, CUBE)
    assert parts_of(mask, 0.0) == 2
    assert parts_of(mask, 16.0) == 1


@pytest.mark.parametrize("spacing", [CUBE, FLAT])
def test_two_tubes_side_by_side_are_two(spacing):
    """A neck of 66 nm all along, and tubes of 100."""
    z, y, x = np.indices((50, 60, 90)) * np.reshape(spacing, (3, 1, 1, 1))
    tubes = [np.hypot(z - 250, y - at) < 100 for at in (175, 325)]
    mask = (tubes[0] | tubes[1]) & (x > 50) & (x < 840)
    assert parts_of(mask, 16.0, spacing) == 2
    assert parts_of(mask, 40.0, spacing) == 1


@settings(deadline=None, max_examples=40)
@given(label_volumes(high=8), st.integers(0, 2**32 - 1))
def test_contacts_are_those_of_all_neighbours(basins, seed):
    inner = np.random.default_rng(seed).integers(-3, 9, basins.shape).astype(np.float32)
    expected = {}
    steps = [s for s in itertools.product((-1, 0, 1), repeat=3) if any(s)]
    for here in np.ndindex(basins.shape):
        for step in steps:
            there = tuple(np.add(here, step))
            if min(there) < 0 or any(np.greater_equal(there, basins.shape)):
                continue
            pair = tuple(sorted((int(basins[here]), int(basins[there]))))
            if pair[0] and pair[0] != pair[1]:
                width = float(min(inner[here], inner[there]))
                place = tuple(np.add(here, there) / 2)
                expected.setdefault(pair, set()).add((width, place))
    found = find_contacts(basins, inner)
    assert [tuple(pair) for pair in found.pairs.tolist()] == sorted(expected)
    for pair, height, places in zip(found.pairs, found.height, found.places, strict=True):
        there = expected[tuple(pair.tolist())]
        assert height == max(there)[0]
        assert {(height, tuple(place)) for place in places.tolist()} == {
            (width, place) for width, place in there if width == height
        }


@settings(deadline=None, max_examples=40)
@given(touching_objects(), spacings(), st.sampled_from([0.0, 4.0, 12.0]))
def test_a_steeper_limit_only_joins(labels, spacing, depth_nm):
    how = {"depth_nm": depth_nm, "spacing": spacing}
    finer = watershed(labels, **how)
    for angle in (0.0, 5.0, 16.0, 40.0, 89.0):
        parts = watershed(labels, min_angle_deg=angle, **how)
        np.testing.assert_array_equal(parts > 0, labels > 0)
        pairs = np.unique(np.stack([finer[labels > 0], parts[labels > 0]]), axis=1)
        assert pairs.shape[1] == finer.max(initial=0), "each part lies in one"
        assert angle > 0 or (parts == finer).all()
        finer = parts


def test_basins_that_meet_outside_stay_apart():
    """Where strict seeds are looked for in separate cores, the way between them is no inside."""
    basins = np.array([[[1, 1, 2, 2]]], dtype=np.int32)
    how = {"min_slope": 0.9, "depth_nm": 5.0, "spacing": CUBE}
    for least, n in ((-10.0, 2), (0.0, 2), (10.0, 1)):
        inner = np.array([[[20, least, least, 20]]], dtype=np.float32)
        assert join_over_no_neck(basins, inner, **how).max() == n


def test_three_in_a_row_are_joined_pair_by_pair():
    basins = np.array([[[0, 1, 1, 2, 2, 0, 3, 4]]], dtype=np.int32)
    inner = np.array([[[0, 50, 20, 20, 50, 0, 20, 21]]], dtype=np.float32)
    how = {"min_slope": 0.5, "depth_nm": 5.0, "spacing": CUBE}
    assert join_over_no_neck(basins, inner, **how).tolist() == [[[0, 1, 1, 2, 2, 0, 3, 3]]]
    empty = np.zeros((2, 0, 3), dtype=np.int32)
    assert join_over_no_neck(empty, empty.astype(np.float32), **how).shape == (2, 0, 3)


@pytest.mark.parametrize("angle", [-1, 90, float("nan")])
def test_what_is_no_angle_is_refused(angle):
    with pytest.raises(UsageError, match="no angle between axis and wall"):
        watershed(np.ones((2, 2, 2), np.uint8), depth_nm=5, min_angle_deg=angle, spacing=CUBE)
