from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import spacings, touching_objects

from fibseg.errors import DataError, UsageError
from fibseg.postprocess import components, distance, seeds, split_large, watershed
from fibseg.postprocess.numbers import numbered_anew
from fibseg.postprocess.pieces import Piece, cut_objects

CUBE = (10.0, 10.0, 10.0)
DEPTHS = st.sampled_from([0.0, 3.0, 12.0, 1e4])


def dumbbell(radii=(8, 6), gap=11):
    """Two balls whose centres are `gap` voxels apart along x."""
    grid = np.indices((21, 21, 21 + gap))
    centres = [(10, 10, 10), (10, 10, 10 + gap)]
    return sum(
        ((grid - np.reshape(c, (3, 1, 1, 1))) ** 2).sum(axis=0) < r**2
        for c, r in zip(centres, radii, strict=True)
    ) > 0


def test_two_balls_come_apart_at_their_neck():
    labels = dumbbell().astype(np.uint32) * 40
    parts = watershed(labels, depth_nm=10, spacing=CUBE)
    assert parts.max() == 2
    np.testing.assert_array_equal(parts > 0, labels > 0)
    assert (parts[10, 10, 4:14] == 1).all()
    assert (parts[10, 10, 18:26] == 2).all()
    # The larger ball reaches to x = 17, the smaller from x = 16 on: they meet there.
    border = np.argmax(parts[10, 10] == 2)
    assert abs(border - 17) <= 1


def test_a_shallow_neck_does_not_divide():
    labels = dumbbell(gap=7).astype(np.uint32)
    assert watershed(labels, depth_nm=20, spacing=CUBE).max() == 1
    assert watershed(dumbbell(gap=13).astype(np.uint8), depth_nm=20, spacing=CUBE).max() == 2


def test_the_depth_is_in_nm():
    labels = dumbbell().astype(np.uint32)
    for scale in (1, 7.5):
        spacing = tuple(s * scale for s in CUBE)
        for depth, n in ((10, 2), (60, 1)):
            assert watershed(labels, depth_nm=depth * scale, spacing=spacing).max() == n


@settings(deadline=None, max_examples=60)
@given(touching_objects(), spacings(), DEPTHS)
def test_parts_are_connected_and_refine_the_objects(labels, spacing, depth_nm):
    parts = watershed(labels, depth_nm=depth_nm, spacing=spacing)
    np.testing.assert_array_equal(parts > 0, labels > 0)
    values, first = np.unique(parts[parts > 0], return_index=True)
    np.testing.assert_array_equal(values, np.arange(1, len(values) + 1))
    assert (np.diff(first) > 0).all(), "numbered by their first voxels"
    for value in values:
        part = parts == value
        assert len(np.unique(labels[part])) == 1
        assert components(part, spacing=spacing).max() == 1


@settings(deadline=None, max_examples=80)
@given(touching_objects(), spacings(), st.sampled_from([0.5, 3.0, 7.0, 12.0, 20.0]))
def test_what_is_surely_undivided_has_one_seed(labels, spacing, depth_nm):
    how = {"depth_nm": depth_nm, "spacing": spacing}
    with mock.patch.object(seeds, "undivided", return_value=False):
        slowly = watershed(labels, **how)
    np.testing.assert_array_equal(watershed(labels, **how), slowly)


def test_most_objects_are_surely_undivided():
    inner = distance(~dumbbell(gap=11), max_nm=1e3, spacing=CUBE)
    assert [seeds.undivided(inner, depth) for depth in (10, 60)] == [False, True]
    assert not seeds.undivided(inner, 0.0)
    assert seeds.undivided(inner * 0, 0.0)


@settings(deadline=None, max_examples=40)
@given(touching_objects(), spacings())
def test_nothing_is_as_deep_as_10_um(labels, spacing):
    parts = watershed(labels, depth_nm=1e4, spacing=spacing)
    n = sum(components(labels == v, spacing=spacing).max() for v in np.unique(labels) if v)
    assert parts.max(initial=0) == n


def test_a_deeper_limit_only_joins():
    labels = (np.random.default_rng(1).random((16, 16, 16)) < 0.6).astype(np.uint32)
    n = [watershed(labels, depth_nm=d, spacing=CUBE).max() for d in (0, 2, 5, 10, 50)]
    assert n == sorted(n, reverse=True)
    assert n[0] > n[-1]


def test_the_face_of_the_volume_is_no_surface():
    labels = np.ones((9, 9, 30), dtype=np.uint32)
    assert watershed(labels, depth_nm=0, spacing=CUBE).max() == 1
    half = dumbbell(radii=(8, 8), gap=13)[:11]
    assert watershed(half.astype(np.uint8), depth_nm=20, spacing=CUBE).max() == 2


def test_a_large_object_is_cut_on_tiles_and_a_small_one_is_not():
    labels = np.zeros((8, 8, 20), dtype=np.uint32)
    labels[1:3, 1:3, 1:19] = 5  # a rod of 72 voxels
    labels[5:7, 5:7, 3:6] = 2  # 12 voxels across the border of a tile
    parts = watershed(labels, depth_nm=0, max_object_voxels=70, spacing=CUBE)
    cuts = [4, 8, 12, 16]
    assert [len(np.unique(parts[1, 1, a:b])) for a, b in ((1, 4), (4, 8), (16, 19))] == [1, 1, 1]
    assert (np.flatnonzero(np.diff(parts[1, 1, 1:19])) + 2).tolist() == cuts
    assert len(np.unique(parts[5:7, 5:7, 3:6])) == 1
    assert watershed(labels, depth_nm=0, max_object_voxels=72, spacing=CUBE).max() == 2


def test_strict_seeds_part_what_no_neck_does():
    """Two cubes face to face: improbable only where they meet."""
    labels = np.zeros((12, 12, 22), dtype=np.uint32)
    labels[1:11, 1:11, 1:21] = 3
    probs = np.where(labels, 250, 0).astype(np.uint8)
    probs[:, :, 10:12] = np.minimum(probs[:, :, 10:12], 150)
    assert watershed(labels, probs, depth_nm=20, spacing=CUBE).max() == 1
    parts = watershed(labels, probs, depth_nm=20, strict_level=0.9, spacing=CUBE)
    np.testing.assert_array_equal(parts > 0, labels > 0)
    assert parts[5, 5].tolist() == [0] + [1] * 10 + [2] * 10 + [0]


def test_a_component_without_a_strict_voxel_stays_whole():
    labels = np.zeros((5, 5, 30), dtype=np.uint32)
    labels[1:4, 1:4, 1:9] = labels[1:4, 1:4, 12:20] = labels[1:4, 1:4, 22:29] = 8
    probs = np.full(labels.shape, 100, dtype=np.uint8)
    probs[2, 2, 13] = probs[2, 2, 18] = 255
    parts = watershed(labels, probs, depth_nm=0, strict_level=0.9, spacing=CUBE)
    assert parts[2, 2, [1, 8, 13, 18, 22, 28]].tolist() == [1, 1, 2, 3, 4, 4]
    np.testing.assert_array_equal(parts > 0, labels > 0)


@settings(deadline=None, max_examples=40)
@given(touching_objects(), spacings(), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 9.0]))
def test_parts_from_strict_seeds_refine_the_objects(labels, spacing, seed, depth_nm):
    probs = np.random.default_rng(seed).random(labels.shape).astype(np.float32)
    parts = watershed(
        labels, probs, depth_nm=depth_nm, strict_level=0.7, min_seed_distance_nm=25,
        spacing=spacing,
    )
    np.testing.assert_array_equal(parts > 0, labels > 0)
    for value in range(1, parts.max(initial=0) + 1):
        assert len(np.unique(labels[parts == value])) == 1
        assert components(parts == value, spacing=spacing).max() == 1


def test_seeds_that_are_too_near_become_one():
    """The balls' middles are 110 nm apart, in nm along x."""
    labels = dumbbell().astype(np.uint32)
    for spacing, distance_nm in ((CUBE, 110), ((10.0, 10.0, 20.0), 220)):
        for least, n in ((0, 2), (0.9 * distance_nm, 2), (1.1 * distance_nm, 1)):
            how = {"depth_nm": 8, "min_seed_distance_nm": least, "spacing": spacing}
            assert watershed(labels, **how).max() == n
    apart = np.concatenate([labels, labels * 0, labels], axis=0)
    parts = watershed(apart, depth_nm=8, min_seed_distance_nm=1e4, spacing=CUBE)
    assert parts.max() == 2, "seeds of separate components do not compete"


def test_the_thicker_part_takes_the_thinner_one():
    labels = dumbbell(radii=(6, 9), gap=14).astype(np.uint32)
    three = np.concatenate([labels, dumbbell(radii=(6, 6), gap=14)[:, :, 12:]], axis=2)
    parts = watershed(three, depth_nm=8, min_seed_distance_nm=150, spacing=CUBE)
    assert parts[10, 10, 24] == parts[10, 10, 10], "the middle one is the thickest"


def test_only_large_objects_are_split():
    small = dumbbell().astype(np.uint32)
    labels = np.zeros((21, 45, 70), dtype=np.uint32)
    labels[:, :21, :32] = small * 9
    labels[:, 22:43, :32] = dumbbell(radii=(9, 9), gap=11) * np.uint32(4)
    labels[:, 22:43, 40:60] = dumbbell(radii=(5, 5), gap=11)[:, :, :20] * np.uint32(2)
    labels[0, 0, 69] = 2  # what is not split stays one object, in as many pieces as it is
    limit_um3 = (small.sum() + 1) * 1e-6
    parts = split_large(labels, max_volume_um3=limit_um3, depth_nm=30, spacing=CUBE)
    np.testing.assert_array_equal(parts > 0, labels > 0)
    groups = [np.unique(parts[labels == value]).tolist() for value in (2, 9, 4)]
    assert [len(group) for group in groups] == [1, 1, 1], "the large one has no neck of 30 nm"
    parts = split_large(labels, max_volume_um3=limit_um3, depth_nm=10, spacing=CUBE)
    groups = [np.unique(parts[labels == value]).tolist() for value in (2, 9, 4)]
    assert [len(group) for group in groups] == [1, 1, 2]
    first = [np.flatnonzero(parts == value)[0] for value in range(1, 5)]
    assert first == sorted(first)


@settings(deadline=None, max_examples=40)
@given(touching_objects(), spacings())
def test_without_a_limit_split_large_is_the_watershed(labels, spacing):
    how = {"depth_nm": 3.0, "spacing": spacing}
    np.testing.assert_array_equal(
        split_large(labels, max_volume_um3=0, **how), watershed(labels, **how)
    )
    np.testing.assert_array_equal(
        split_large(labels, max_volume_um3=1e9, **how), numbered_anew(labels)
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 500), st.lists(st.integers(0, 40), min_size=6, max_size=6))
def test_pieces_tile_the_boxes(limit, numbers):
    start = np.minimum(numbers[:3], numbers[3:])[None]
    stop = np.maximum(numbers[:3], numbers[3:])[None] + 1
    shape = (41, 42, 43)
    rows, cut = cut_objects(np.array([6]), start, stop, shape=shape, max_object_voxels=limit)
    seen = np.zeros(shape, dtype=int)
    for row in rows:
        piece = Piece.of_row(row)
        assert piece.label == 6
        assert piece.box.size <= limit
        assert piece.box.intersect(piece.room) == piece.box == piece.read.intersect(piece.box)
        seen[piece.box.slices] += 1
    assert cut == ([6] if np.prod(stop - start) > limit else [])
    expected = np.zeros(shape, dtype=int)
    expected[tuple(slice(a, b) for a, b in zip(start[0], stop[0], strict=True))] = 1
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [0, 7])
def test_tiny_arrays(shape, value):
    labels = np.full(shape, value, dtype=np.uint32)
    parts = watershed(labels, depth_nm=5, spacing=(5, 5, 5))
    np.testing.assert_array_equal(parts, labels > 0)
    large = split_large(labels, labels, max_volume_um3=0, depth_nm=5, strict_level=0.5,
                        spacing=(5, 5, 5))
    np.testing.assert_array_equal(large, labels > 0)


def test_what_cannot_be_meant_is_refused():
    labels = np.ones((2, 2, 2), dtype=np.uint32)
    with pytest.raises(UsageError, match="depth_nm=-1 is negative"):
        watershed(labels, depth_nm=-1, spacing=CUBE)
    with pytest.raises(UsageError, match="max_object_voxels=0 leaves nothing"):
        watershed(labels, depth_nm=1, max_object_voxels=0, spacing=CUBE)
    with pytest.raises(UsageError, match="min_seed_distance_nm=nan is negative or no number"):
        watershed(labels, depth_nm=1, min_seed_distance_nm=float("nan"), spacing=CUBE)
    with pytest.raises(UsageError, match=r"strict_level.* needs probabilities"):
        watershed(labels, depth_nm=1, strict_level=0.5, spacing=CUBE)
    with pytest.raises(UsageError, match="level=7 is no probability"):
        watershed(labels, labels, depth_nm=1, strict_level=7, spacing=CUBE)
    with pytest.raises(DataError, match="do not lie on one grid"):
        watershed(labels, labels[1:], depth_nm=1, strict_level=0.5, spacing=CUBE)
    with pytest.raises(UsageError, match="max_volume_um3=-1 is negative"):
        split_large(labels, max_volume_um3=-1, depth_nm=1, spacing=CUBE)
