"""Levels: what is recorded when they are built, and the bounded memory of building them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from fibseg.errors import DataError
from fibseg.geometry import Box, downsample_mode
from fibseg.volume import layout, metadata
from fibseg.volume.levels import complete_levels, levels_of, open_level
from fibseg.volume.pyramid import _reduce


class Watched:
    """An endless array of zeros that remembers the largest part that was asked for."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.largest = shape, np.dtype(dtype), 0

    def __getitem__(self, slices):
        shape = [s.stop - s.start for s in slices]
        self.largest = max(self.largest, int(np.prod(shape)) * self.dtype.itemsize)
        return np.zeros(shape, self.dtype)


def test_a_coarse_block_is_built_from_bands_whatever_the_volume():
    source = Watched((2000, 40_000, 40_000), "uint32")
    box = Box((64, 512, 512), (128, 1024, 1024))
    result = _reduce(source, box, partial(downsample_mode, factors=(2, 2, 2)), (2, 2, 2))
    assert result.shape == box.shape
    assert source.largest <= 128 * 2**20 + 1


def test_bands_at_an_odd_border_stay_inside():
    data = np.random.default_rng(0).integers(0, 9, (5, 301, 9), dtype=np.uint16)
    kernel = partial(downsample_mode, factors=(2, 2, 2))
    box = Box((0, 0, 0), (3, 151, 5))
    np.testing.assert_array_equal(_reduce(data, box, kernel, (2, 2, 2)), kernel(data))


@pytest.fixture
def built(tmp_path):
    state = {
        "kind": "image", "complete": True, "ome_version": "0.5", "spacing": [10.0, 10.0, 10.0]
    }
    array = layout.create_array(
        tmp_path / "0", shape=(3, 200, 200), dtype=np.dtype("uint8"), ome_version="0.5"
    )
    array[:] = np.broadcast_to(np.arange(200, dtype="uint8"), array.shape)
    record, found = complete_levels(tmp_path, state, histogram=True)
    return tmp_path, {**state, "levels": record, "digest": found.digest}, found


def test_the_record_tells_shape_spacing_and_bytes_of_every_level(built):
    path, state, found = built
    assert [level["shape"] for level in state["levels"]] == [[3, 200, 200], [2, 100, 100]]
    assert [level.spacing for level in levels_of(state)] == [(10.0,) * 3, (20.0,) * 3]
    for number, level in enumerate(state["levels"]):
        files = [p for p in (path / str(number) / "c").rglob("*") if p.is_file()]
        assert level["bytes"] == sum(p.stat().st_size for p in files)
        assert open_level(path, state, number).shape == tuple(level["shape"])
    assert found.maximum == 199
    assert found.histogram.sum() == 3 * 200 * 200


def test_a_level_of_another_shape_is_refused(built):
    path, state, _ = built
    state["levels"][1]["shape"] = [2, 100, 99]
    with pytest.raises(DataError, match=r"\(2, 100, 99\) were written"):
        open_level(path, state, 1)
    with pytest.raises(DataError, match="levels 0 to 1"):
        open_level(path, state, 2)


def test_a_second_build_replaces_a_broken_first(built):
    path, state, found = built
    (path / "1" / "zarr.json").write_text("{")
    record, again = complete_levels(path, state)
    assert record == state["levels"]
    assert again.digest == found.digest
    assert again.histogram is None


def test_scratch_has_one_level(built):
    path, state, _ = built
    record, _ = complete_levels(path, {**state, "kind": "scratch"})
    assert len(record) == 1
    assert metadata.read_state(path) is None
