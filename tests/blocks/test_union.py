"""Union-find and ranks on arrays, beside scipy's graph components and a ranking by hand."""

from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csgraph

from fibseg.blocks import union
from fibseg.blocks.union import Components, Joined


@st.composite
def graphs(draw):
    """How many numbers, and pairs of them in a few portions."""
    n = draw(st.integers(1, 60))
    pair = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))
    portions = draw(st.lists(st.lists(pair, max_size=12), max_size=6))
    return n, [np.array(pairs, dtype=np.int64).reshape(-1, 2) for pairs in portions]


def by_scipy(n, portions):
    """The smallest number in the set of every number."""
    a, b = np.concatenate([np.zeros((0, 2), dtype=np.int64), *portions]).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
    _, sets = csgraph.connected_components(graph, directed=False)
    smallest = np.full(sets.max() + 1, n)
    np.minimum.at(smallest, sets, np.arange(n))
    return smallest[sets]


@given(graphs(), st.sampled_from([0, 3, 2**20]))
def test_sets_are_those_of_scipy_however_the_pairs_arrive(graph, chunk):
    n, portions = graph
    joined = Joined(n)
    with mock.patch.object(union, "CHUNK", chunk):
        for pairs in portions:
            joined.add(pairs)
    np.testing.assert_array_equal(joined.smallest(np.arange(n)), by_scipy(n, portions))


def test_a_chain_through_everything_is_one_set_in_either_direction():
    n = 5000
    links = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    for pairs in (links, links[::-1], np.random.default_rng(0).permutation(links)):
        joined = Joined(n)
        joined.add(pairs)
        assert (joined.smallest(np.arange(n)) == 0).all()
        one_by_one = Joined(n)
        with mock.patch.object(union, "CHUNK", 0):
            for pair in pairs[:300]:
                one_by_one.add(pair[None])
        expected = by_scipy(n, [pairs[:300]])
        np.testing.assert_array_equal(one_by_one.smallest(np.arange(n)), expected)


@given(graphs(), st.integers(0, 9), st.randoms(use_true_random=False), st.sampled_from([2, 2**20]))
def test_numbers_follow_the_first_voxel_and_small_objects_have_none(graph, least, rng, chunk):
    n, portions = graph
    joined = Joined(n)
    for pairs in portions:
        joined.add(pairs)
    sets = by_scipy(n, portions)
    first = np.array(rng.sample(range(10 * n), n))
    voxels = np.array([rng.randrange(1, 5) for _ in range(n)])
    found = Components(joined, first.copy(), voxels.copy(), [0, n])
    with mock.patch.object(union, "CHUNK", chunk):
        n_objects = found.number(min_voxels=least)
        ids = np.concatenate(list(found.ids()))
    objects = [np.flatnonzero(sets == root) for root in np.unique(sets)]
    objects = [o for o in objects if voxels[o].sum() >= least]
    objects.sort(key=lambda o: first[o].min())
    expected = np.zeros(n, dtype=np.int64)
    for number, members in enumerate(objects, 1):
        expected[members] = number
    assert n_objects == len(objects)
    np.testing.assert_array_equal(ids, expected)


def test_rows_of_blocks_are_numbered_one_after_the_other():
    """Two rows of two components: voxels of the second row come later in C order."""
    joined = Joined(4)
    joined.add(np.array([[1, 2]]))
    found = Components(joined, np.array([5, 3, 11, 10]), np.ones(4, dtype=np.int64), [0, 2, 4])
    assert found.number(min_voxels=1) == 3
    assert np.concatenate(list(found.ids())).tolist() == [2, 1, 1, 3]


def test_nothing_has_no_numbers():
    nothing = np.zeros(0, dtype=np.int64)
    found = Components(Joined(0), nothing, nothing, [0])
    assert found.number(min_voxels=0) == 0
    assert list(found.ids()) == []
