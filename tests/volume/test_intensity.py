"""Digest and percentiles: equal for equal voxels, whatever the format; NumPy agrees."""

from __future__ import annotations

import numpy as np
import pytest
from voxel_facts import voxel_digest

from fibseg.volume import layout
from fibseg.volume.intensity import no_counts, percentiles, tally

SHAPE = (70, 90, 600)


def stored(path, data, version="0.5", rows=None):
    array = layout.create_array(path, shape=data.shape, dtype=data.dtype, ome_version=version)
    step = rows or data.shape[1]
    for y in range(0, data.shape[1], step):
        array[:, y : y + step] = data[:, y : y + step]
    return array


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_percentiles_are_those_of_numpy(dtype):
    data = np.random.default_rng(0).integers(3, 250, SHAPE).astype(dtype)
    counts = no_counts(np.dtype(dtype))
    for slab in np.array_split(data, 5):
        tally(counts, slab)
    np.testing.assert_array_equal(
        counts, np.bincount(data.ravel(), minlength=np.iinfo(dtype).max + 1)
    )
    for key, value in percentiles(counts).items():
        assert value == pytest.approx(np.percentile(data, float(key[1:])), abs=1e-9)


@pytest.mark.parametrize("values", [[5], [0, 255], [1, 1, 2], [0, 0, 0, 9, 200]])
def test_percentiles_of_few_voxels(values):
    counts = np.bincount(values, minlength=256)
    for key, value in percentiles(counts).items():
        assert value == pytest.approx(np.percentile(values, float(key[1:])))


def test_digest_depends_on_voxels_alone(tmp_path):
    data = np.random.default_rng(0).integers(0, 9, SHAPE, dtype=np.uint8)
    digest = voxel_digest(stored(tmp_path / "a", data))
    assert voxel_digest(stored(tmp_path / "b", data, rows=17)) == digest
    assert voxel_digest(stored(tmp_path / "c", data, version="0.4")) == digest
    other = data.copy()
    other[-1, -1, -1] += 1
    assert voxel_digest(stored(tmp_path / "d", other)) != digest
    assert voxel_digest(stored(tmp_path / "e", data.astype(np.uint16))) != digest
    assert voxel_digest(stored(tmp_path / "f", data.reshape(90, 70, 600))) != digest
