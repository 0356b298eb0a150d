"""Distances as a product: float32 nm, negative ones too, in both versions of the format."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr
from ome_zarr_models import v04, v05

from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.geometry import downsample_mean
from fibseg.pipeline import check, verify
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

MODELS = {"0.5": v05, "0.4": v04}


def add_labels(volume, value=1, **more):
    product = volume.create_labels("n", kind="labels", dtype="uint32", inputs=f"{value}", **more)
    product.array[:] = value
    finish_product(product)


def add_distances(volume, name="n", inputs="a", seed=0, **more):
    told = {"derived_from": "labels/n", "range_nm": (-500, 500), "unedited": bool, **more}
    product = volume.create_distances(name, inputs=inputs, **told)
    if not product.complete:
        values = np.random.default_rng(seed).uniform(-500, 500, volume.shape)
        product.array[:] = values.astype(np.float32)
        finish_product(product)
    return product


@pytest.fixture
def store(tmp_path, make, version):
    volume = make(tmp_path / "cell.ome.zarr", version=version)
    add_labels(volume)
    return volume


@pytest.mark.filterwarnings("ignore")  # warnings of the reference library
def test_a_distance_map_is_an_image_in_nm(store, version):
    add_distances(store, attributes={"max_nm": 500.0})
    group = zarr.open_group(store.path / "distances" / "n", mode="r")
    MODELS[version].Image.from_zarr(group)
    ome = group.attrs["ome"] if version == "0.5" else group.attrs
    assert [axis["unit"] for axis in ome["multiscales"][0]["axes"]] == ["nanometer"] * 3
    assert ome["multiscales"][0]["type"] == "mean"
    window = ome["omero"]["channels"][0]["window"]
    assert window == {"min": -500, "max": 500, "start": -500, "end": 500}
    info = store.distances_info("n")
    assert (info.kind, info.derived_from) == ("distances", "labels/n")
    assert info.attributes == {"unit": "nanometer", "range_nm": [-500, 500], "max_nm": 500}


def test_voxels_come_back_to_the_bit_and_levels_are_means(store):
    add_distances(store)
    assert store.distance_names() == ["n"]
    found = store.distances("n")
    assert found.dtype == np.float32
    values = np.random.default_rng(0).uniform(-500, 500, store.shape).astype(np.float32)
    np.testing.assert_array_equal(found[:], values)
    np.testing.assert_array_equal(
        store.distances("n", 1)[:], downsample_mean(values, factors=(1, 2, 2))
    )


def test_digests_do_not_depend_on_the_version(tmp_path, make):
    digests = set()
    for version in MODELS:
        volume = make(tmp_path / version, version=version)
        add_labels(volume)
        add_distances(volume)
        digests.add(volume.distances_info("n").digest)
    assert len(digests) == 1


def test_what_is_missing_is_said(store):
    assert store.distance_names() == []
    with pytest.raises(DataError, match=r"distances/n .* does not exist. There is: none"):
        store.distances("n")
    with pytest.raises(UsageError, match="cannot be the name of a distance map"):
        add_distances(store, "a/b")
    assert not (store.path / "distances").exists()


def test_it_is_derived_again_but_not_from_something_else(store):
    add_distances(store)
    first = store.distances_info("n").digest
    assert add_distances(store).complete
    assert store.distances_info("n").digest == first
    add_distances(store, inputs="b", seed=1)
    assert store.distances_info("n").digest != first
    with pytest.raises(ExistsError, match=r"distances/n stands already.*overwrite=true"):
        add_distances(store, derived_from="labels/other")
    add_distances(store, derived_from="labels/other", overwrite=True)


def test_verify_and_check_know_it(store):
    add_distances(store)
    assert "distances/n" in verify.run(volume=store.path).checked
    assert "distances: n" in check.run(volume=store.path).text()


def test_verify_finds_that_the_labels_have_changed_since(store):
    add_distances(store)
    add_labels(store, 2, overwrite=True)
    with pytest.raises(DataError, match=r"distances/n: stale: labels/n has .* fibseg distance"):
        verify.run(volume=store.path)
    add_distances(store, inputs="b")
    verify.run(volume=store.path)


def test_verify_finds_a_changed_voxel_and_a_missing_file(store):
    path = add_distances(store).path
    copy = Volume(shutil.copytree(store.path, store.path.with_name("copy.ome.zarr")))
    zarr.open_array(path / "0", mode="r+")[3, 4, 5] = -7
    with pytest.raises(DataError, match=r"distances/n: level 0 .* run fibseg distance again"):
        verify.run(volume=store.path)
    shutil.rmtree(copy.path / "distances" / "n" / "1")
    with pytest.raises(DataError, match="distances/n"):
        verify.run(volume=copy.path)


def test_what_a_killed_run_left_beside_it_is_found(store):
    add_distances(store)
    (store.path / "distances" / ".n.journal").write_text("x")
    (store.path / ".scratch" / ".distances=n=sides.blocks").mkdir(parents=True)
    findings = verify.verify(store.path).findings
    assert [f.product for f in findings] == ["distances/n", "distances/n"]
