"""Rows of voxels along x that bear one label."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import label_volumes, sparse_labels

from fibseg.measure.runs import Runs, first_of_equal


@given(st.one_of(label_volumes(), sparse_labels()))
def test_runs_cover_every_voxel_of_an_object_once(labels):
    runs = Runs.of(labels)
    again = np.zeros_like(labels)
    for label, z, y, start, stop in zip(
        runs.label, runs.z, runs.y, runs.start, runs.stop, strict=True
    ):
        assert not again[z, y, start:stop].any()
        again[z, y, start:stop] = label
    np.testing.assert_array_equal(again, labels)


@given(label_volumes())
def test_runs_are_sorted_and_as_long_as_can_be(labels):
    runs = Runs.of(labels)
    keys = list(zip(*(k.tolist() for k in (runs.label, runs.z, runs.y, runs.start)), strict=True))
    assert keys == sorted(keys)
    assert (runs.stop > runs.start).all()
    for row, (label, z, y, start) in enumerate(keys):
        assert start == 0 or labels[z, y, start - 1] != label
        stop = runs.stop[row]
        assert stop == labels.shape[2] or labels[z, y, stop] != label


@given(label_volumes(), st.sampled_from([np.add, np.minimum, np.maximum]))
def test_totals_of_voxels_are_those_of_numpy(labels, how):
    image = np.random.default_rng(labels.size).integers(0, 65536, labels.shape, np.uint16)
    runs = Runs.of(labels)
    found = runs.total(runs.of_voxels(image[labels != 0], how), how)
    names = runs.label[runs.groups].tolist()
    assert names == np.unique(labels[labels != 0]).tolist()
    assert found.tolist() == [how.reduce(image[labels == n].astype(np.int64)) for n in names]


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0, 3), (3, 3, 0), (2, 2, 2)])
def test_nothing_has_no_runs(shape):
    runs = Runs.of(np.zeros(shape, np.uint8))
    assert len(runs.label) == len(runs.groups) == 0
    assert runs.total(np.zeros(0, np.int64)).tolist() == []
    assert runs.of_voxels(np.zeros(0, np.uint8), np.add).tolist() == []


def test_a_run_ends_with_its_row():
    runs = Runs.of(np.full((2, 3, 4), 5, np.uint16))
    assert runs.label.tolist() == [5] * 6
    assert (runs.stop - runs.start).tolist() == [4] * 6
    assert runs.groups.tolist() == [0]


@given(st.lists(st.integers(0, 4), max_size=30))
def test_groups_of_equal_values_begin_where_they_change(values):
    first = first_of_equal(np.array(values, dtype=np.int64))
    parts = np.split(np.array(values, dtype=np.int64), first[1:]) if values else []
    assert all(len(set(part.tolist())) == 1 for part in parts)
    assert all(a[0] != b[0] for a, b in itertools.pairwise(parts))
