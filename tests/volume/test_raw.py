"""Volumes: created, finished, opened; every way in which a store can be wrong."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
import zarr

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.pipeline.pyramid import finish_product, finish_raw
from fibseg.volume import Volume

GOOD = {"shape": (4, 40, 50), "dtype": "uint8", "spacing": (30, 10, 10), "polarity": "dark"}


def test_what_was_written_is_what_is_read(tmp_path, make, version):
    data = np.random.default_rng(0).integers(0, 60000, (20, 150, 140), dtype="uint16")
    make(tmp_path / "a.ome.zarr", data=data, version=version, intensity_range=(-1, 2.5))
    volume = Volume.open(tmp_path / "a.ome.zarr")
    assert volume.name == "a"
    assert volume.shape == data.shape
    assert volume.dtype == np.uint16
    assert volume.spacing == (30.0, 10.0, 10.0)
    assert volume.polarity == "dark"
    assert volume.intensity_range == (-1.0, 2.5)
    assert volume.ome_version == version
    assert volume.percentiles["p50"] == pytest.approx(np.median(data))
    np.testing.assert_array_equal(volume.raw()[:], data)
    assert volume.n_levels == 2
    assert volume.level_spacing(1) == (30.0, 20.0, 20.0)
    assert volume.raw(1).shape == (20, 75, 70)


def test_finished_raw_is_read_only_and_unfinished_is_not(tmp_path):
    volume = Volume.create(tmp_path / "v", **GOOD)
    volume.raw()[:] = 7
    finish_raw(volume)
    with pytest.raises(ValueError, match="read-only"):
        volume.raw()[0] = 1
    finish_raw(volume)
    assert volume.percentiles["p99.9"] == 7


def test_a_handle_travels_to_another_process(volume):
    there = pickle.loads(pickle.dumps(volume))
    assert there.raw_digest == volume.raw_digest
    assert len(pickle.dumps(volume)) < 500
    array = pickle.loads(pickle.dumps(volume.raw()))
    np.testing.assert_array_equal(array[:], volume.raw()[:])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 300, 5), (300, 1, 1), (3, 64, 64)])
def test_odd_shapes(tmp_path, make, shape):
    data = np.arange(np.prod(shape), dtype="uint16").reshape(shape)
    volume = make(tmp_path / "v", data=data)
    np.testing.assert_array_equal(Volume.open(volume.path).raw()[:], data)
    assert volume.raw(volume.n_levels - 1).shape


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"shape": (4, 40)}, DataError, "needs voxels along z, y and x"),
        ({"shape": (0, 4, 4)}, DataError, "needs voxels"),
        ({"dtype": "float32"}, DataError, "intensity_range"),
        ({"dtype": "int16"}, DataError, "intensity_range"),
        ({"spacing": (0, 1, 1)}, DataError, "above zero"),
        ({"spacing": (1, float("nan"), 1)}, DataError, "above zero"),
        ({"spacing": (1, 1)}, DataError, "three numbers"),
        ({"spacing": None}, DataError, "three numbers"),
        ({"polarity": "black"}, UsageError, "'dark' or 'bright'"),
        ({"ome_version": "0.3"}, UsageError, r"'0\.5' or '0\.4'"),
    ],
)
def test_values_that_make_no_sense(tmp_path, wrong, error, message):
    with pytest.raises(error, match=message):
        Volume.create(tmp_path / "v", **{**GOOD, **wrong})
    assert not (tmp_path / "v").exists()


def test_big_endian_becomes_native(tmp_path):
    assert Volume.create(tmp_path / "v", **{**GOOD, "dtype": ">u2"}).dtype == np.dtype("<u2")


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="There is no volume at"):
        Volume.open(tmp_path / "nothing.ome.zarr")


def test_foreign_things_are_not_opened(tmp_path):
    (tmp_path / "file").write_text("hello")
    (tmp_path / "folder").mkdir()
    zarr.create_array(tmp_path / "array", shape=(3, 3, 3), dtype="uint8")
    zarr.create_group(tmp_path / "group", attributes={"ome": {"version": "0.5"}})
    for name in ("file", "folder", "array", "group"):
        with pytest.raises(DataError, match="no volume of fibseg"):
            Volume.open(tmp_path / name)
    for name in ("file", "array", "group"):
        with pytest.raises(ExistsError, match="is no volume of fibseg"):
            Volume.create(tmp_path / name, overwrite=True, **GOOD)
    Volume.create(tmp_path / "folder", **GOOD)  # an empty folder is room enough


def test_an_unfinished_import_says_so(tmp_path):
    Volume.create(tmp_path / "v", **GOOD)
    with pytest.raises(DataError, match="not finished"):
        Volume.open(tmp_path / "v")


def test_finish_refuses_blocks_that_were_never_written(tmp_path):
    volume = Volume.create(tmp_path / "v", **{**GOOD, "shape": (130, 40, 40)})
    volume.raw()[:64] = 1
    with pytest.raises(DataError, match="lacks 2 of its files"):
        finish_raw(volume)
    assert not volume.complete


def first_shard(volume, level=0):
    folder = volume.path / str(level)
    return next(p for p in sorted(folder.rglob("*")) if p.is_file() and p.name[0] in "012345")


@pytest.mark.parametrize("level", [0, 1])
def test_a_missing_or_cut_off_shard_is_an_error(volume, level):
    file = first_shard(volume, level)
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    with pytest.raises(DataError, match="cut off"):
        Volume(volume.path).raw(level)
    file.unlink()
    with pytest.raises(DataError, match="lacks 1 of its files"):
        Volume(volume.path).raw(level)
    if level == 0:
        with pytest.raises(DataError, match="lacks 1 of its files"):
            Volume.open(volume.path)


@pytest.mark.parametrize("file", ["zarr.json", "0/zarr.json"])
@pytest.mark.parametrize("text", ["", "{", "null", '{"zarr_format": 3}'])
def test_damaged_metadata_is_an_error(volume, file, text):
    (volume.path / file).write_text(text)
    with pytest.raises(DataError):
        Volume.open(volume.path)


@pytest.mark.parametrize("key", ["spacing", "percentiles", "levels"])
def test_a_record_that_lacks_something_says_what(volume, key):
    file = next(f for f in (volume.path / n for n in ("zarr.json", ".zattrs")) if f.exists())
    file.write_text(file.read_text().replace(f'"{key}"', '"renamed"'))
    with pytest.raises(DataError, match=f"lacks {key}"):
        Volume.open(volume.path)


def test_levels_that_are_not_there(volume):
    for level in (2, -1):
        with pytest.raises(DataError, match="level"):
            volume.raw(level)
        with pytest.raises(DataError, match="level"):
            volume.level_spacing(level)


def test_import_again(tmp_path, make):
    first = Volume.create(tmp_path / "v", inputs="a", **GOOD)
    first.raw()[:2] = 5
    again = Volume.create(tmp_path / "v", inputs="a", **GOOD)
    assert not again.complete
    assert (again.raw()[:2] == 5).all()  # resumed
    anew = Volume.create(tmp_path / "v", inputs="b", **GOOD)
    assert (anew.raw()[:2] == 0).all()  # unfinished, from another source
    anew.raw()[:] = 1
    finish_raw(anew)
    assert Volume.create(tmp_path / "v", inputs="b", **GOOD).complete
    with pytest.raises(ExistsError, match="overwrite=true"):
        Volume.create(tmp_path / "v", inputs="c", **GOOD)
    with pytest.raises(ExistsError, match="overwrite=true"):
        Volume.create(tmp_path / "v", **GOOD)
    replaced = Volume.create(tmp_path / "v", inputs="c", overwrite=True, **GOOD)
    assert not replaced.complete


def test_painting_is_never_overwritten(volume):
    paint = volume.create_labels("cell", kind="annotation", dtype="uint8", inputs="a")
    paint.array[:] = 1
    finish_product(paint)
    with pytest.raises(ExistsError, match="annotation_cell"):
        Volume.create(volume.path, overwrite=True, **GOOD)
    assert Volume.open(volume.path).label_names() == ["annotation_cell"]


def test_a_copied_store_is_whole(volume, tmp_path):
    shutil.copytree(volume.path, tmp_path / "copy.ome.zarr")
    assert Volume.open(tmp_path / "copy.ome.zarr").raw_digest == volume.raw_digest


def test_voxels_counted_while_they_are_written_give_the_same_record(tmp_path, volume):
    data = volume.raw()[:]
    other = Volume.create(
        tmp_path / "v", shape=data.shape, dtype="uint8", spacing=(30, 10, 10), polarity="dark"
    )
    other.raw()[:] = data
    finish_raw(other, histogram=np.bincount(data.ravel(), minlength=256))
    assert other.percentiles == volume.percentiles
    assert other.raw_digest == volume.raw_digest
    other = Volume.create(tmp_path / "w", **GOOD)
    other.raw()[:] = 1
    with pytest.raises(UsageError, match="256 voxels, but the image has 8000"):
        finish_raw(other, histogram=np.ones(256, np.int64))
