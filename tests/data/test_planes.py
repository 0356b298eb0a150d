from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from painted_cell import make_cell
from strategies import block_shapes, masks

from fibseg.data import SparseData, load_planes, read_planes, working_spacing
from fibseg.data.planes import painted_planes
from fibseg.errors import DataError

SMALL = SparseData(patch=32)


def test_annotated_planes_and_their_mirrored_neighbours(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr", planes=(0, 4, 11))
    (stack,) = load_planes([volume], ["mitochondria"], data=SMALL, context=1)
    raw = np.asarray(volume.raw()[:])
    painted = np.asarray(volume.labels("annotation_mitochondria")[:])
    assert stack.z == (0, 4, 11)
    assert np.array_equal(stack.annotation, painted[[0, 4, 11]])
    for row, channels in zip(stack.rows, ([1, 0, 1], [3, 4, 5], [10, 11, 10]), strict=True):
        assert np.array_equal(stack.image[row], raw[channels])


def test_coarser_pixels_average_within_the_plane(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr", spacing=(30.0, 10.0, 10.0))
    data = SparseData(patch=16, pixel_nm=25.0)
    assert working_spacing(volume.spacing, data) == (30.0, 20.0, 20.0)
    (stack,) = load_planes([volume], ["mitochondria"], data=data)
    plane = np.asarray(volume.raw()[4], float).reshape(40, 2, 40, 2).mean((1, 3))
    assert np.abs(stack.image[1] - plane).max() <= 0.5
    assert stack.working == (30.0, 20.0, 20.0)


def test_planes_that_do_not_fit_in_memory_lie_in_a_file(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    in_memory = load_planes([volume], ["mitochondria"], data=SMALL)[0]
    on_disk = load_planes(
        [volume], ["mitochondria"], data=SparseData(patch=32, memory_gb=1e-6), folder=tmp_path
    )[0]
    assert isinstance(on_disk.image, np.memmap)
    assert np.array_equal(in_memory.image, on_disk.image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]


def test_planes_are_read_like_indexing() -> None:
    array = np.random.default_rng(0).integers(0, 9, (40, 5, 6), np.uint8)
    wanted = [0, 3, 15, 16, 39]
    assert np.array_equal(np.stack(list(read_planes(array, wanted))), array[wanted])


def test_painted_planes_are_found_across_slabs() -> None:
    array = np.zeros((40, 5, 6), np.uint8)
    array[[2, 15, 16, 39], 4, 5] = 1
    assert painted_planes(array) == [2, 15, 16, 39]


class Chunked(np.ndarray):
    """An array that says in which blocks it is stored."""

    chunks: tuple[int, ...]


@given(masks(), block_shapes(low=1))
def test_painted_planes_of_any_blocks_are_those_of_the_whole(
    mask: np.ndarray, block: tuple[int, int, int]
) -> None:
    array = mask.astype(np.uint8).view(Chunked)
    array.chunks = block
    assert painted_planes(array) == np.flatnonzero(mask.any((1, 2))).tolist()


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0, 3)])
def test_nothing_is_painted_where_there_is_nothing(shape: tuple[int, int, int]) -> None:
    array = np.ones(shape, np.uint8).view(Chunked)
    array.chunks = (2, 2, 2)
    assert painted_planes(array) == []


def test_painted_planes_of_a_store_in_shards(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(40, 50, 60), dtype="u1", chunks=(4, 16, 16), shards=(8, 32, 32)
    )
    assert painted_planes(array) == []
    painted = np.random.default_rng(0).random((40, 50, 60)) < 3e-4
    array[:] = painted
    assert painted_planes(array) == np.flatnonzero(painted.any((1, 2))).tolist() != []


def test_stores_of_other_spacing_are_resampled_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a = make_cell(tmp_path / "a.ome.zarr")
    b = make_cell(tmp_path / "b.ome.zarr", shape=(12, 160, 160), spacing=(20.0, 10.0, 10.0))
    with caplog.at_level(logging.INFO):
        stacks = load_planes([a, b], ["mitochondria"] * 2, data=SMALL)
    assert "resampled to 20 x 20 nm" in caplog.text
    assert stacks[1].image.shape[1:] == (80, 80)


def test_neighbours_of_another_distance_are_refused(tmp_path: Path) -> None:
    a = make_cell(tmp_path / "a.ome.zarr")
    b = make_cell(tmp_path / "b.ome.zarr", spacing=(50.0, 20.0, 20.0))
    load_planes([a, b], ["mitochondria"] * 2, data=SMALL)
    with pytest.raises(DataError, match=r"b has planes 50 nm apart.*network\.context=0"):
        load_planes([a, b], ["mitochondria"] * 2, data=SMALL, context=1)


def test_an_empty_annotation_is_refused(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr", planes=())
    with pytest.raises(DataError, match=r"unlabelled \(0\) everywhere"):
        load_planes([volume], ["mitochondria"], data=SMALL)


def test_a_volume_smaller_than_a_patch_is_refused(tmp_path: Path) -> None:
    volume = make_cell(tmp_path / "a.ome.zarr")
    with pytest.raises(DataError, match=r"80 x 80 pixels .* Set data.patch=80"):
        load_planes([volume], ["mitochondria"], data=SparseData())
