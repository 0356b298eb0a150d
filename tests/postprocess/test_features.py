from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops
from strategies import label_volumes

from fibseg.errors import DataError, UsageError
from fibseg.measure import regions
from fibseg.postprocess import filter_objects
from fibseg.postprocess.numbers import numbered_anew

SPACING = (20.0, 10.0, 10.0)


@settings(deadline=None, max_examples=60)
@given(label_volumes(), st.integers(1, 40), st.integers(0, 40))
def test_objects_of_a_size_are_those_of_skimage(labels, least, more):
    found = filter_objects(
        labels, regions.measure(labels, spacing=SPACING), column="n_voxels", minimum=least,
        maximum=least + more,
    )
    there = [r.label for r in regionprops(labels.astype(np.int64))
             if least <= r.num_pixels <= least + more]
    np.testing.assert_array_equal(found > 0, np.isin(labels, there))
    values, first = np.unique(found[found > 0], return_index=True)
    np.testing.assert_array_equal(values, np.arange(1, len(there) + 1))
    assert (np.diff(first) > 0).all(), "numbered by their first voxels"
    for value in values:
        assert len(np.unique(labels[found == value])) == 1


@settings(deadline=None, max_examples=40)
@given(label_volumes())
def test_without_limits_they_are_only_numbered(labels):
    table = regions.measure(labels, spacing=SPACING)
    found = filter_objects(labels, table, column="volume_um3")
    np.testing.assert_array_equal(found, numbered_anew(labels))
    np.testing.assert_array_equal(found > 0, labels > 0)


def test_any_column_and_missing_values():
    labels = np.array([[[9, 9, 0, 4, 2, 7]]], dtype=np.uint32)
    table = {
        "label": np.array([2, 4, 7, 9]), "sphericity": np.array([0.9, np.nan, 0.5, 0.7]),
        "inside_nucleus": np.array([True, False, True, False]),
    }
    kept = filter_objects(labels, table, column="sphericity", minimum=0.6)
    assert kept[0, 0].tolist() == [1, 1, 0, 0, 2, 0]
    kept = filter_objects(labels, table, column="sphericity")
    assert kept[0, 0].tolist() == [1, 1, 0, 0, 2, 3], "what has no value goes"
    kept = filter_objects(labels, table, column="inside_nucleus", maximum=0)
    assert kept[0, 0].tolist() == [1, 1, 0, 2, 0, 0]
    kept = filter_objects(labels, table, column="label", minimum=100)
    assert not kept.any()
    kept = filter_objects(labels, table, column="sphericity", minimum=0.6, keep_missing=True)
    assert kept[0, 0].tolist() == [1, 1, 0, 2, 3, 0]
    kept = filter_objects(labels, table, column=None, minimum=100)
    assert kept[0, 0].tolist() == [1, 1, 0, 2, 3, 4]


@pytest.mark.parametrize("shape", [(0, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("value", [0, 7])
def test_tiny_arrays(shape, value):
    labels = np.full(shape, value, dtype=np.uint16)
    table = regions.measure(labels, spacing=SPACING)
    found = filter_objects(labels, table, column="n_voxels", minimum=1)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found, labels > 0)


def test_what_cannot_be_meant_is_refused():
    labels = np.array([[[1, 2, 5]]], dtype=np.uint32)
    table = {"label": np.array([1]), "n_voxels": np.array([1])}
    with pytest.raises(UsageError, match=r"column=volume is not in the table.* label, n_vox"):
        filter_objects(labels, table, column="volume")
    words = table | {"spatial_class": np.array(["perinuclear"])}
    with pytest.raises(UsageError, match=r"spatial_class holds words.* in label, n_voxels\."):
        filter_objects(labels, words, column="spatial_class", minimum=1)
    with pytest.raises(UsageError, match="minimum=9 is above maximum=1"):
        filter_objects(labels, table, column="n_voxels", minimum=9, maximum=1)
    with pytest.raises(DataError, match="table of 1 objects lacks 2 that the labels have, such as"):
        filter_objects(labels, table, column="n_voxels")
