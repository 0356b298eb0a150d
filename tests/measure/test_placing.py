from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist

from fibseg.errors import UsageError
from fibseg.measure import clouds, placing
from fibseg.measure.bodies import Body
from fibseg.measure.placing import Room, placed_at_random

SPACING = (100.0, 100.0, 100.0)


def free(side=20, rim=0):
    mask = np.zeros((side,) * 3, bool)
    inner = slice(rim, side - rim)
    mask[inner, inner, inner] = True
    return mask


def boxes(*shapes, voxel=50.0):
    """Numbered boxes side by side, on voxels half as wide as those of the room."""
    labels = np.zeros([max(s[a] for s in shapes) for a in (0, 1)] + [sum(s[2] for s in shapes)])
    x = 0
    for number, (dz, dy, dx) in enumerate(shapes, start=1):
        labels[:dz, :dy, x : x + dx] = number
        x += dx
    return clouds.measure(labels.astype(np.uint8), cell_nm=voxel, spacing=(voxel,) * 3)


def balls(radii_um, voxel_um=0.05):
    """One ball after the other along x."""
    half = int(max(radii_um) / voxel_um) + 1
    at = np.indices((2 * half + 1,) * 3) - half
    away = np.sqrt((at**2).sum(axis=0)) * voxel_um
    labels = np.concatenate([(away <= r) * (i + 1) for i, r in enumerate(radii_um)], axis=2)
    return clouds.measure(
        labels.astype(np.uint8), cell_nm=voxel_um * 1e3, spacing=(voxel_um * 1e3,) * 3
    )


def test_objects_stay_inside_and_apart():
    radii = np.array([0.3, 0.35, 0.2, 0.33, 0.25])
    mask = free(24, rim=2)
    mask[10:14] = False  # a wall in the middle
    centres = placed_at_random(balls(radii), Room(mask, SPACING), n_simulations=60, seed=1)
    assert np.isfinite(centres).all()
    low, high = np.array([0.15, 2.15]), np.array([0.95, 1.35])  # µm: rims, then the wall
    z, others = centres[..., 0], centres[..., 1:]
    blur = 0.1  # a voxel of the working grid
    assert (others > low[0] + radii[:, None] - blur).all()
    assert (others < low[1] - radii[:, None] + blur).all()
    assert ((z < high[0] - radii + blur) | (z > high[1] + radii - blur)).all()
    for each in centres:
        apart = cdist(each, each) - radii - radii[:, None]
        assert (apart[~np.eye(len(radii), dtype=bool)] > -blur).all()


def test_places_are_uniform():
    centres = placed_at_random(
        boxes((1, 1, 1)), Room(free(10), SPACING), n_simulations=3000, seed=0
    )[:, 0]
    for axis in range(3):  # from half a voxel before the centre of the first one
        assert stats.kstest(centres[:, axis], stats.uniform(-0.05, 1.0).cdf).pvalue > 0.01


def test_orientations_are_uniform():
    # Between the centre of a rod and its thick end, a direction; uniform on a sphere: z is uniform.
    labels = np.zeros((3, 3, 13), np.uint8)
    labels[1, 1] = 1
    labels[:, :, :3] = 1
    rod = clouds.measure(labels, cell_nm=50, spacing=(50.0,) * 3)
    body = Body.of(rod, 0)
    tries = placing._Tries.drawn(np.zeros((1, 3), int), np.zeros(4000, int),
                                 np.random.default_rng(0))
    moved = tries.moved(body.points, np.ones(3)).transpose(0, 2, 1) - tries.place[:, None]
    lengths = np.linalg.norm(body.points, axis=1)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=2), lengths[None].repeat(4000, 0),
                               atol=1e-4)
    assert np.linalg.det(tries.turn) == pytest.approx(np.ones(4000))
    farthest = moved[:, lengths.argmax()] / lengths.max()
    for axis in range(3):
        assert stats.kstest(farthest[:, axis], stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_a_rod_finds_the_only_orientation_that_fits():
    mask = free(20)
    mask[:8], mask[12:] = False, False
    mask[:, :8], mask[:, 12:] = False, False  # a tunnel of 0.4 x 0.4 µm along x
    rod = boxes((4, 4, 24))  # 0.2 x 0.2 x 1.2 µm
    centres = placed_at_random(rod, Room(mask, SPACING), n_simulations=20, n_tries=20_000)
    assert np.isfinite(centres).all()
    assert (np.abs(centres[..., :2] - 0.95) < 0.15).all()
    assert (np.abs(centres[..., 2] - 0.95) < 0.45).all()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 99), st.integers(1, 6))
def test_the_inner_ball_never_forbids_what_fits(seed, n):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, 3))
    body = Body.of(boxes(shape), 0)
    assert body.inner_um <= min(shape) * 0.05 / 2 + 1e-9
    away = np.linalg.norm(body.points, axis=1)
    assert len(body.points) == np.prod(shape)
    assert away.min() == 0
    assert away[0] == away.max()
    assert body.centre == pytest.approx(body.points.mean(axis=0), abs=1e-9)


def test_what_is_not_cubic_or_not_at_the_origin_is_placed_as_well():
    room = Room(free(12), (200.0, 100.0, 50.0), (1.0, 2.0, 3.0))
    centres = placed_at_random(boxes((2, 2, 2)), room, n_simulations=400, seed=0)[:, 0]
    first, last = np.array([0.9, 1.95, 2.975]), np.array([3.3, 3.15, 3.575])
    half = 0.05
    assert (centres > first + half - 0.04).all()
    assert (centres < last - half + 0.04).all()
    np.testing.assert_allclose(centres.mean(axis=0), (first + last) / 2, atol=0.12)


def test_objects_without_a_place_are_told():
    full = boxes((40, 40, 40), (6, 6, 6), (5, 5, 5))
    centres = placed_at_random(full, Room(free(10), SPACING), n_simulations=3)
    assert np.isnan(centres[:, 0]).all()  # 2 µm in a room of 1 µm
    assert np.isfinite(centres[:, 1:]).all()
    nowhere = placed_at_random(full, Room(free(10) & False, SPACING), n_simulations=2)
    assert np.isnan(nowhere).all()


def test_the_largest_come_first_and_the_seed_decides(monkeypatch):
    few = boxes((2, 2, 2), (10, 10, 10), (3, 3, 3))
    room = Room(free(9), SPACING)
    one, same, other = (
        placed_at_random(few, room, n_simulations=8, n_sweeps=0, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    large = few.only(np.array([False, True, False]))
    alone = placed_at_random(large, room, n_simulations=8, n_sweeps=0, seed=3)
    np.testing.assert_array_equal(alone[:, 0], one[:, 1])
    monkeypatch.setattr(placing, "OCCUPIED_BYTES", 2 * 11**3)  # two simulations at once
    apart = placed_at_random(few, room, n_simulations=5, seed=3)
    assert np.isfinite(apart).all()
    assert len(np.unique(apart[:, 1, 0])) == 5


def test_all_arrangements_are_alike_whatever_the_order():
    pair, room = balls([0.33, 0.2]), Room(free(10), SPACING)
    # Without the other each is anywhere; of all such pairs those without overlap are kept.
    alone = [
        placed_at_random(pair.only(np.array(rows)), room, n_simulations=12_000, seed=seed)[:, 0]
        for seed, rows in enumerate([[True, False], [False, True]])
    ]
    apart = np.linalg.norm(alone[0] - alone[1], axis=1) >= 0.53 + 0.05
    assert 0.01 < apart.mean() < 0.5
    wanted = np.linalg.norm(alone[0][apart] - 0.45, axis=1)
    swept, once = (
        np.linalg.norm(placed_at_random(
            pair, room, n_simulations=600, n_sweeps=n, n_tries=3000, seed=7
        )[:, 0] - 0.45, axis=1)
        for n in (3, 0)
    )
    assert stats.ks_2samp(swept, wanted).pvalue > 0.01
    assert stats.ks_2samp(once, wanted).pvalue < 1e-4  # the large one did not make way


def test_the_sweeps_leave_no_trace_of_where_objects_were():
    three, room = boxes((6, 6, 6), (5, 5, 5), (4, 4, 4)), Room(free(8), SPACING)
    grid = placing._Grid.of(room)
    taken, rng = np.repeat(grid.taken[None], 4, axis=0), np.random.default_rng(0)
    body = Body.of(three, 1)
    stands = placing._Tries.none()
    for _ in range(5):
        stands = grid.put_anew(body, stands, taken, rng, 500)
        n = (taken & ~grid.taken).sum(axis=(1, 2, 3))
        assert sorted(stands.simulation) == [0, 1, 2, 3]
        assert ((n >= 8) & (n <= 64)).all()  # voxels of one body of 0.25 µm, not of two
    taken[:] = True
    grid._mark(stands, body, taken, False)
    again = grid.put_anew(body, stands, taken, rng, 1)  # its own place may be found, or is kept
    assert sorted(again.simulation) == [0, 1, 2, 3]


def test_points_take_their_voxels_from_a_room():
    room = Room(free(4), SPACING, (0.5, 0.5, 0.5))
    less = room.without(np.array([[0.5, 0.5, 0.5], [0.74, 0.66, 0.5], [9.0, 0.0, 0.0]]))
    assert np.argwhere(~less.free).tolist() == [[0, 0, 0], [2, 2, 0]]
    assert room.free.all()


def test_nothing_to_simulate_is_refused():
    for wrong in ({"n_simulations": 0}, {"n_simulations": 5, "n_tries": 0},
                  {"n_simulations": 5, "n_sweeps": -1}):
        with pytest.raises(UsageError, match="place nothing"):
            placed_at_random(boxes((1, 1, 1)), Room(free(), SPACING), **wrong)
    none = clouds.measure(np.zeros((4, 4, 4), np.uint8), cell_nm=50, spacing=(50.0,) * 3)
    found = placed_at_random(none, Room(free(), SPACING), n_simulations=3)
    assert found.shape == (3, 0, 3)
