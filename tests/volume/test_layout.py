"""Chunks, shards and blocks fit one another for any shape; checksums catch a flipped bit."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibseg.errors import DataError
from fibseg.volume import layout

SHAPES = st.tuples(st.integers(1, 2000), st.integers(1, 5000), st.integers(1, 5000))


@given(shape=SHAPES, version=st.sampled_from(["0.5", "0.4"]))
def test_blocks_are_whole_chunks_and_tile_the_volume(shape, version):
    chunks = layout.chunk_shape(shape, ome_version=version)
    block = layout.block_shape(shape, ome_version=version)
    for n, c, b in zip(shape, chunks, block, strict=True):
        assert 1 <= c <= n
        assert b % c == 0
        assert b < n + c  # no larger than the axis, rounded up to chunks
    assert np.prod(block) <= np.prod(layout.BLOCK)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3), block=st.tuples(*[st.integers(1, 4)] * 3)
)
def test_boxes_cover_every_voxel_once(shape, block):
    seen = np.zeros(shape, int)
    for box in layout.boxes(shape, block):
        seen[box.slices] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_zeros_are_stored_and_a_missing_file_is_found(tmp_path, version):
    path = tmp_path / "a"
    array = layout.create_array(
        path, shape=(70, 10, 10), dtype=np.dtype("uint8"), ome_version=version
    )
    with pytest.raises(DataError, match="lacks 2 of its files"):
        layout.stored_bytes(path, array)
    array[:] = 0
    assert layout.stored_bytes(path, array) > 0
    file, _ = next(layout.array_files(path, array))
    file.unlink()
    with pytest.raises(DataError, match="lacks 1 of its files"):
        layout.stored_bytes(path, array)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_files_of_a_box_are_those_of_its_voxels(tmp_path, version):
    array = layout.create_array(
        tmp_path / "a", shape=(70, 600, 10), dtype=np.dtype("uint8"), ome_version=version
    )
    array[:] = 1
    everything = list(layout.array_files(tmp_path / "a", array))
    assert sum(box.size for _, box in everything) == array.size
    found = []
    for box in layout.boxes(array.shape, layout.BLOCK):
        files = list(layout.array_files(tmp_path / "a", array, box))
        assert sum(inside.size for _, inside in files) == box.size
        assert all(inside.intersect(box) == inside for _, inside in files)
        found += files
    assert sorted(found) == sorted(everything)
    assert all(file.is_file() for file, _ in found)
    assert len(found) == len([p for p in (tmp_path / "a").rglob("*") if p.is_file()]) - (
        1 if version == "0.5" else 2
    )
    (tmp_path / "a" / "zarr.123abc.partial").touch()
    layout.sweep(tmp_path / "a")
    assert not list(tmp_path.rglob("*.partial"))


def test_the_digest_of_metadata_sees_any_change(tmp_path):
    for version in ("0.5", "0.4"):
        path = tmp_path / version
        layout.create_array(
            path, shape=(4, 4, 4), dtype=np.dtype("uint8"), ome_version=version
        )
        digest = layout.metadata_digest(path)
        for file in [p for p in path.iterdir() if p.is_file()]:
            good = file.read_bytes()
            file.write_bytes(good + b" ")
            assert layout.metadata_digest(path) != digest
            file.unlink()
            assert layout.metadata_digest(path) != digest
            file.write_bytes(good)
        assert layout.metadata_digest(path) == digest


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_a_flipped_bit_is_noticed(tmp_path, version):
    path = tmp_path / "a"
    array = layout.create_array(
        path, shape=(8, 16, 16), dtype=np.dtype("uint8"), ome_version=version
    )
    array[:] = np.random.default_rng(0).integers(0, 255, array.shape)
    file, _ = next(layout.array_files(path, array))
    good = file.read_bytes()
    rng = np.random.default_rng(1)
    for position in rng.integers(0, len(good), 12):
        bad = bytearray(good)
        bad[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(bad))
        with pytest.raises(DataError, match=r"is damaged: voxels .* cannot be read"):
            layout.open_array(path)[:]


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_the_damaged_file_and_chunk_are_named(tmp_path, version):
    path, shape = tmp_path / "a", (70, 530, 40)
    array = layout.create_array(path, shape=shape, dtype=np.dtype("uint8"), ome_version=version)
    array[:] = np.random.default_rng(0).integers(0, 255, shape)
    *_, (file, box) = layout.array_files(path, array)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    array = layout.open_array(path)
    where = re.escape(f"{file} is damaged: voxels {box.start} to {box.stop} cannot be read")
    told = f"{where} .*'fibseg verify' names all of it"
    for selection in (np.s_[:], np.s_[60:66, 500:513], np.s_[:, :, 3:5], box.slices):
        with pytest.raises(DataError, match=told):
            array[selection]
    with pytest.raises(DataError, match=f"{path} cannot be read at"):
        array[69]
    assert array[: box.start[0]].size > 0, "what is whole can be read"


def test_a_wrong_index_is_no_damage(tmp_path):
    layout.create_array(tmp_path / "a", shape=(4, 4, 4), dtype=np.dtype("uint8"), ome_version="0.5")
    array = pickle.loads(pickle.dumps(layout.open_array(tmp_path / "a", mode="r+")))
    with pytest.raises(IndexError):
        array[9]
    array[:] = 0  # zeros are written through an opened array, too
    assert layout.stored_bytes(tmp_path / "a", array) > 0
    array[1:2] = 5
    assert array[1, 1, 1] == 5
    assert array.shards == array.chunks == (4, 4, 4)


def test_no_array_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="not a readable Zarr array"):
        layout.open_array(tmp_path / "nothing")
