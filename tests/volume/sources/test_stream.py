"""Plans cover every voxel once, in whole shards, within memory; surveys do not depend on them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from fibseg.geometry import Box
from fibseg.volume.sources import PlacedPlanes, copy, open_source, survey
from fibseg.volume.sources.stream import boxes_in_order, plan_slabs

SHAPES = st.tuples(*(st.integers(1, 40) for _ in range(3)))


@given(shape=SHAPES, unit=SHAPES, memory=st.integers(1, 40_000))
def test_slabs_tile_the_volume_in_whole_units(
    shape: tuple[int, int, int], unit: tuple[int, int, int], memory: int
) -> None:
    seen = np.zeros(shape, int)
    smallest = np.prod(np.minimum(unit, shape))
    for slab in plan_slabs(shape, unit, bytes_per_voxel=1, memory_bytes=memory):
        for box in slab:
            seen[box.slices] += 1
            for a, b, u, n in zip(box.start, box.stop, unit, shape, strict=True):
                assert a % min(u, n) == 0
                assert b == n or b % min(u, n) == 0
            assert box.size <= max(memory, smallest)
    assert (seen == 1).all()


@given(shape=SHAPES, voxels=st.integers(1, 5000))
def test_boxes_in_order_follow_memory(shape: tuple[int, int, int], voxels: int) -> None:
    numbers = np.arange(np.prod(shape)).reshape(shape)
    read = [numbers[box.slices].ravel() for box in boxes_in_order(shape, voxels=voxels)]
    np.testing.assert_array_equal(np.concatenate(read), numbers.ravel())
    assert max(map(len, read)) <= max(voxels, shape[2])


@pytest.mark.parametrize("memory", [1, 10_000, 1e9])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_copy_is_the_same_in_any_memory(
    memory: float, compression: str | None, tmp_path: Path
) -> None:
    data = np.random.default_rng(0).integers(0, 9, (11, 60, 50), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, compression=compression, photometric="minisblack")
    target = np.zeros(data.shape, np.uint16)
    with open_source(tmp_path / "a.tif") as source:
        assert source.plane_wise == (compression is not None)
        copy(source, target, unit=(4, 16, 16), memory_bytes=memory, scratch=tmp_path,
             convert=lambda v: v + np.uint16(5), label="copy")  # fmt: skip
    np.testing.assert_array_equal(target, data + 5)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_survey_does_not_depend_on_memory_or_format(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 90, (7, 30, 20), dtype=np.uint16)
    np.save(tmp_path / "a.npy", data)
    tifffile.imwrite(tmp_path / "a.tif", data, compression="zlib", photometric="minisblack")
    found = []
    for name, memory in itertools.product(("a.npy", "a.tif"), (1, 3000, 1e9)):
        with open_source(tmp_path / name) as source:
            found.append(survey(source, memory_bytes=memory, count=True))
    assert len({repr(f) for f in found}) == 1
    values, numbers = np.unique(data, return_counts=True)
    assert found[0].counts == dict(zip(values.tolist(), numbers.tolist(), strict=True))
    assert (found[0].lowest, found[0].highest) == (data.min(), data.max())


def test_survey_counts_nan_and_names_the_first(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(5, 9, 8)).astype(np.float32)
    data[1, 7, 3], data[1, 8, 0], data[4, 0, 0] = np.nan, np.inf, -np.inf
    np.save(tmp_path / "a.npy", data)
    for memory in (1, 1e9):
        with open_source(tmp_path / "a.npy") as source:
            found = survey(source, memory_bytes=memory, count=False)
        assert (found.n_bad, found.first_bad) == (3, (1, 7, 3))
        good = data[np.isfinite(data)]
        assert (found.lowest, found.highest) == (good.min(), good.max())


def test_survey_gives_up_counting_many_values(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(1000, dtype=np.uint16).reshape(1, 20, 50))
    with open_source(tmp_path / "a.npy") as source:
        assert survey(source, memory_bytes=1e6, count=True).counts is None


def test_placed_planes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(1, 9, (2, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "a.npy", data)
    with open_source(tmp_path / "a.npy") as source:
        placed = PlacedPlanes(source, depth=9, at={7: 0, 2: 1})
        whole = placed.read(Box.whole(placed.shape))
        np.testing.assert_array_equal(whole[7], data[0])
        np.testing.assert_array_equal(whole[2], data[1])
        assert np.flatnonzero(whole.any(axis=(1, 2))).tolist() == [2, 7]
        part = Box((2, 1, 2), (8, 4, 5))
        np.testing.assert_array_equal(placed.read(part), whole[part.slices])
