"""Triangles are the same in any blocks, and corners lie where the smoothed mask is a half."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import ball, parts_of

from fibseg.blocks import Grid
from fibseg.geometry import Box
from fibseg.measure.envelope_faces import INNER, OCCUPANCY, REACH, merge, partial, places


def in_blocks(mask, block_shape):
    """The table of a mask, put together from blocks of it."""
    whole, found = None, None
    for index in range(len(Grid.over(mask.shape, block_shape))):
        write = Grid.over(mask.shape, block_shape).box(index)
        read = write.grow((REACH,) * 3).clip(mask.shape)
        found = partial(
            mask[read.slices], inside=write.relative_to(read), start=write.start,
            shape=mask.shape,
        )
        whole = found if whole is None else merge(whole, found)
    return whole


def sorted_triangles(table):
    rows = np.concatenate([table["corner"], table["part"].astype(np.float64)], axis=1)
    return rows[np.lexsort(rows.T)]


@settings(max_examples=15)
@given(st.integers(0, 999), st.tuples(*[st.integers(5, 14)] * 3))
def test_any_blocks_of_any_mask_give_the_same(seed, block_shape):
    rng = np.random.default_rng(seed)
    coarse = rng.random((4, 5, 4)) < 0.5
    mask = coarse.repeat(6, 0).repeat(5, 1).repeat(6, 2)
    whole, found = parts_of(mask), in_blocks(mask, block_shape)
    assert np.array_equal(sorted_triangles(whole), sorted_triangles(found))
    assert found["at_face"].sum(axis=0).tolist() == whole["at_face"].sum(axis=0).tolist()
    for table in (whole, found):
        full = np.zeros(-(-np.array(mask.shape) // OCCUPANCY), int)
        np.add.at(full, tuple(table["cell"].T), table["n_inside"])
        padded = np.pad(mask, [(0, -n % OCCUPANCY) for n in mask.shape])
        z, y, x = (n // OCCUPANCY for n in padded.shape)
        known = padded.reshape(z, OCCUPANCY, y, OCCUPANCY, x, OCCUPANCY).sum(axis=(1, 3, 5))
        assert np.array_equal(full, known)


def test_corners_of_a_ball_lie_on_it():
    radius = 15.0
    grid = np.indices((40, 40, 40)) - 19.7
    mask = (grid**2).sum(axis=0) < radius**2
    table = parts_of(mask)
    corners = places(table["corner"], table["part"])
    away = np.linalg.norm(corners - 19.7, axis=-1)
    assert away.mean() == pytest.approx(radius, abs=0.1)
    assert away.std() < 0.2
    # One coordinate between two voxels, the others on them.
    off = np.abs(corners - np.round(corners)) > 1e-6
    assert (off.sum(axis=-1) <= 1).all()


def test_a_flat_wall_has_the_area_of_the_face_and_ends_at_the_faces_of_the_volume():
    mask = np.zeros((20, 12, 15), bool)
    mask[:9] = True
    table = parts_of(mask)
    corners = places(table["corner"], table["part"])
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(11 * 14)
    assert corners[..., 0] == pytest.approx(8.5, abs=1e-3)
    assert table["at_face"].tolist() == [[12 * 15, 0, 9 * 15, 9 * 15, 9 * 12, 9 * 12]]


@pytest.mark.parametrize("value", [False, True])
def test_no_border_has_no_triangle(value):
    table = parts_of(np.full((10, 11, 12), value))
    assert len(table["corner"]) == len(table["part"]) == 0
    assert table["n_inside"].sum() == value * 10 * 11 * 12


def test_a_part_of_a_block_has_its_own_triangles_only():
    mask = ball(0.5)
    shape = mask.shape
    half = Box((0, 0, 0), (shape[0] // 2, *shape[1:]))
    table = partial(mask, inside=half, start=(0, 0, 0), shape=shape)
    assert places(table["corner"], table["part"])[..., 0].max() <= shape[0] // 2
    assert table["at_face"].sum() == 0
    whole = parts_of(mask)
    assert len(table["corner"]) == pytest.approx(len(whole["corner"]) / 2, rel=0.1)


def speckles(seed, n=40):
    """Voxels at random: in many cells it is open which of their corners are connected."""
    return np.random.default_rng(seed).random((n, n, n)) > 0.5


@pytest.mark.parametrize("seed", range(4))
def test_every_triangle_stays_in_its_cell_and_has_a_size(seed):
    table = parts_of(speckles(seed))
    corners = places(table["corner"], table["part"])
    assert np.sum(table["corner"] & 3 == INNER) > 50  # saddles, with a corner within the cell
    assert np.isfinite(corners).all()
    assert np.floor(corners.min(axis=1)).min() >= 0
    assert (np.ptp(corners, axis=1) <= 1 + 1e-6).all()
    assert (np.ceil(corners.max(axis=1)) - np.floor(corners.min(axis=1)) <= 1 + 1e-6).all()


@pytest.mark.parametrize("seed", range(2))
def test_the_surface_is_closed_at_saddles_too(seed):
    mask = np.pad(speckles(seed, 24), 6)
    corner = parts_of(mask)["corner"]
    edges = np.sort(np.concatenate([corner[:, [0, 1]], corner[:, [1, 2]], corner[:, [2, 0]]]))
    _, times = np.unique(edges, axis=0, return_counts=True)
    assert set(times.tolist()) <= {2, 4}  # 4 where two sheets touch at an edge
    assert np.mean(times == 2) > 0.999


def test_saddles_are_the_same_in_any_blocks():
    mask = speckles(5, 30)
    whole, found = parts_of(mask), in_blocks(mask, (11, 7, 13))
    assert np.array_equal(sorted_triangles(whole), sorted_triangles(found))


def test_a_corner_within_a_cell_is_read_as_it_was_written():
    first = (7 << 42) | (5 << 22) | (3 << 2)
    part = np.float32((51 << 16) | (255 << 8) | 0)
    found = places(np.array([first | INNER, first | 1]), np.array([part, 0.25], np.float32))
    assert found.tolist() == [pytest.approx([7.2, 6.0, 3.0]), [7.0, 5.25, 3.0]]
