"""Parts of stores as a source of rotated planes, and the settings of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stores import noise_store

from fibseg.data import ObliqueData, load_parts, painting_name, spread
from fibseg.errors import DataError, UsageError
from fibseg.geometry import Box
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

SHAPE = (64, 64, 160)
DATA = ObliqueData(patch=16, batch=4, foreground=0.5)


def store(folder: Path, name: str = "cell", *, spacing=(20.0, 20.0, 20.0)) -> Volume:
    """Noise with numbered balls in it."""
    volume = noise_store(folder / f"{name}.ome.zarr", shape=SHAPE, spacing=spacing)
    labels = np.zeros(SHAPE, np.uint32)
    z, y, x = np.indices(SHAPE)
    for number, centre in enumerate(range(10, 160, 20), start=1):
        labels[(z - 32) ** 2 + (y - 32) ** 2 + (x - centre) ** 2 < 36] = number
    product = volume.create_labels("balls", kind="labels", dtype=np.uint32, inputs="x")
    product.array[:] = labels
    finish_product(product)
    return volume


def loaded(volume: Volume, **change):
    data = change.pop("data", DATA)
    return load_parts([volume], ["labels/balls"], ["balls"], data=data, **change)


def test_a_part_is_what_lies_in_the_store(tmp_path):
    volume = store(tmp_path)
    source = loaded(volume)
    train = source.splits[0].train
    halo = (5, 5, 5)
    box = train.grow(halo).clip(SHAPE)
    part = source.parts[0]
    np.testing.assert_array_equal(part.image, np.asarray(volume.raw()[box.slices]))
    expected = np.zeros(box.shape, np.uint8)
    expected[train.relative_to(box).slices] = 1 + (volume.labels("balls")[train.slices] > 0)
    np.testing.assert_array_equal(part.annotation, expected)
    np.testing.assert_array_equal(
        source.counts(), [(expected == 1).sum(), (expected == 2).sum()]
    )


def test_nothing_of_the_held_out_parts_is_labelled_in_training(tmp_path):
    volume = store(tmp_path)
    source = loaded(volume)
    split = source.splits[0]
    assert split.train.stop[2] + 5 <= split.validation.start[2]
    assert split.validation.stop[2] + 5 <= split.test.start[2]
    assert source.parts[0].image.shape[2] <= split.validation.start[2] - split.train.start[2]


def test_held_out_planes_are_labelled_in_the_validation_alone(tmp_path):
    source = loaded(store(tmp_path), context=1)
    planes = source.held_out(2)
    assert len(planes) == 2
    box = source.splits[0].validation
    for plane in planes:
        assert plane.image.shape == (3, *SHAPE[1:])
        inside = np.zeros(SHAPE[1:], bool)
        inside[box.slices[1:]] = True
        np.testing.assert_array_equal(plane.annotation > 0, inside)


def test_a_region_is_trained_on_and_nothing_else(tmp_path):
    data = ObliqueData(patch=16, batch=4, region=(0, 0, 80, 64, 64, 160))
    split = loaded(store(tmp_path), data=data).splits[0]
    assert split.train == Box((0, 0, 80), SHAPE)
    assert max(split.validation.stop[2], split.test.stop[2]) <= 75


def test_without_a_split_all_is_trained_on(tmp_path):
    source = loaded(store(tmp_path), data=ObliqueData(patch=16, split="none"))
    assert source.parts[0].image.shape == SHAPE
    assert source.held_out(3) == []


@pytest.mark.parametrize("planes", ["rotated", "oblique", "z"])
def test_batches_come_from_the_planes_that_were_asked_for(tmp_path, planes):
    data = ObliqueData(patch=16, batch=6, planes=planes, every=0 if planes == "oblique" else 5)
    batches = loaded(store(tmp_path), data=data).batches(seed=3)
    image, annotation, inside = batches.batch(0)
    assert image.shape == (6, 1, 2 * batches.half, 2 * batches.half)
    assert (annotation == 2).any()
    assert not annotation[inside == 0].any()
    names = {batches.place(step, 0)[1].name for step in range(40)}
    wanted = {"z": {"z"}, "oblique": {"random"}}.get(
        planes, {"z", "x 30", "x 60", "x 90", "y 30", "y 60", "y 90"}
    )
    assert names == wanted


def test_parts_that_memory_does_not_hold_are_the_same(tmp_path):
    volume = store(tmp_path)
    disk = loaded(volume, data=ObliqueData(patch=16, batch=4, foreground=0.5, memory_gb=0.0))
    assert isinstance(disk.parts[0].image, np.memmap)
    for a, b in zip(
        disk.batches(seed=1).batch(2), loaded(volume).batches(seed=1).batch(2), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_volumes_of_other_voxels_are_refused(tmp_path):
    volumes = [store(tmp_path, "a"), store(tmp_path, "b", spacing=(10.0, 10.0, 10.0))]
    with pytest.raises(DataError, match="b has voxels of 10 nm, a of 20 nm"):
        load_parts(volumes, ["labels/balls"] * 2, ["balls"], data=DATA)


def test_a_region_outside_is_refused(tmp_path):
    data = ObliqueData(region=(0, 0, 0, 65, 64, 160))
    with pytest.raises(DataError, match="reaches beyond cell, which has 64 x 64 x 160"):
        loaded(store(tmp_path), data=data)


def test_objects_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match="no objects labels/pores; it has balls"):
        painting_name(store(tmp_path), "labels/pores")


def test_few_planes_are_spread_over_a_part():
    assert spread(Box((0, 0, 0), (3, 1, 1)), 9) == [0, 1, 2]
    assert spread(Box((0, 0, 0), (0, 1, 1)), 3) == []


@pytest.mark.parametrize(("keywords", "words"), [
    ({"planes": "xy"}, "data.planes='xy' is none of rotated, oblique, z"),
    ({"split": "planes"}, "none of space, none"),
    ({"folds": 2}, "Use 3 or more"),
    ({"pixel_nm": 20.0}, "data.pixel_nm"),
    ({"fold": 1}, "data.fold"),
    ({"unlabelled": 2}, "data.unlabelled"),
    ({"every": -1}, "data.every=-1"),
    ({"test_planes": 0}, "data.test_planes="),
    ({"region": (0, 0, 0, 5, 5)}, "is no box"),
    ({"region": (0, 9, 0, 5, 5, 5)}, "is no box"),
    ({"patch": 0}, "data.patch=0"),
])
def test_wrong_settings_are_refused(keywords, words):
    with pytest.raises(UsageError, match=words):
        ObliqueData(**keywords)
