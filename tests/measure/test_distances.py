"""Sums of distances: the same in any order, and what has none is missing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.measure import distances

NAMES = ("nucleus", "cell")


def random_parts(seed, n_blocks):
    """Labels and distances of the surface voxels of some blocks, and what lies in the targets."""
    rng = np.random.default_rng(seed)
    return [
        distances.partial(
            surface, {name: rng.uniform(0, 1e5, len(surface)) for name in NAMES},
            {name: rng.integers(1, 8, rng.integers(0, 30)).astype(np.uint32) for name in NAMES},
        )
        for surface in (
            rng.integers(1, 6, n).astype(np.uint32) for n in rng.integers(0, 30, n_blocks)
        )
    ]


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_the_order_of_blocks_does_not_matter(seed, n_blocks):
    parts = random_parts(seed, n_blocks)
    first = distances.merge(*parts)
    for order in itertools.permutations(parts):
        one_by_one = order[0]
        for part in order[1:]:
            one_by_one = distances.merge(one_by_one, part)
        assert list(one_by_one) == list(first)
        for name, column in first.items():
            np.testing.assert_array_equal(one_by_one[name], column, strict=True)


def test_means_least_and_shares():
    sums = distances.partial(
        np.array([7, 3, 7], np.uint32), {"n": np.array([10.0, 4.25, 20.0])},
        {"n": np.array([3, 3, 3, 7], np.uint32)},
    )
    assert sums["label"].tolist() == [3, 7]
    assert sums["sum_n"].tolist() == [4250, 30_000]
    table = distances.finish(
        sums, labels=sums["label"], n_voxels=np.array([5, 2]),
        of_centres_nm={"n": np.array([8.0, 12.0])},
    )
    assert table["surface_distance_n_um"] == pytest.approx([0.00425, 0.010])
    assert table["mean_surface_distance_n_um"] == pytest.approx([0.00425, 0.015])
    assert table["distance_n_um"] == pytest.approx([0.008, 0.012])
    assert table["share_in_n"].tolist() == [0.6, 0.5]
    assert table["inside_n"].tolist() == [True, False]
    assert table["distance_nearest_um"].tolist() == table["distance_n_um"].tolist()


def test_an_object_without_a_surface_or_a_row_has_no_surface_distance():
    sums = distances.partial(
        np.array([4], np.uint32), {"n": np.array([10.0])}, {"n": np.array([5], np.uint32)}
    )
    table = distances.finish(
        sums, labels=np.array([4, 5, 6]), n_voxels=np.array([1, 1, 1]),
        of_centres_nm={"n": np.array([1.0, 2.0, 3.0])},
    )
    assert np.isnan(table["surface_distance_n_um"]).tolist() == [False, True, True]
    assert np.isnan(table["mean_surface_distance_n_um"]).tolist() == [False, True, True]
    assert np.isnan(table["surface_distance_nearest_um"]).tolist() == [False, True, True]
    assert table["distance_nearest_um"] == pytest.approx([0.001, 0.002, 0.003])
    assert table["inside_n"].tolist() == [False, True, False]


def test_sums_hold_the_largest_cell():
    """10⁹ surface voxels that are 1 mm away."""
    block = distances.partial(np.ones(1, np.uint32), {"n": np.full(1, 1e6)}, {})
    block = {name: n * (1 if name in ("label", "min_n") else 10**9) for name, n in block.items()}
    table = distances.finish(
        block, labels=np.array([1]), n_voxels=np.array([10**9]),
        of_centres_nm={"n": np.zeros(1)},
    )
    assert table["mean_surface_distance_n_um"] == pytest.approx([1000.0])


def test_without_objects_or_targets_there_are_no_rows_or_columns():
    nothing = np.zeros(0, np.uint32)
    sums = distances.partial(nothing, {"n": np.zeros(0)}, {"n": nothing})
    table = distances.finish(
        sums, labels=nothing, n_voxels=np.zeros(0, int), of_centres_nm={"n": np.zeros(0)}
    )
    assert len(table) == 7
    assert all(len(column) == 0 for column in table.values())
    none = distances.finish(
        distances.partial(nothing, {}, {}), labels=nothing, n_voxels=np.zeros(0, int),
        of_centres_nm={},
    )
    assert none == {}
