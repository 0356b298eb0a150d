"""``infer`` along several orientations and near a border: the same for all blocks; bad input."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from inference_fakes import random_model
from scipy import ndimage
from stores import noise_store

from fibseg.blocks import Processes, Serial
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export import save_model_folder
from fibseg.pipeline import infer
from fibseg.pipeline.forecast import forecast
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

SHAPE = (70, 140, 60)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "cell.ome.zarr"
    # Zarr 2 has no shards, so that a small volume has many blocks.
    volume = noise_store(path, shape=SHAPE, spacing=(20.0, 20.0, 20.0), seed=0, ome_version="0.4")
    product = volume.create_labels("nucleus", kind="labels", dtype=np.uint8, inputs="x")
    product.array[:] = nucleus()
    finish_product(product)
    return volume


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return save_model_folder(folder / "one", *random_model(features=(4, 4)))


def nucleus():
    z, y, x = (np.indices(SHAPE).T - [35, 70, 30]).T
    return ((z / 20) ** 2 + (y / 25) ** 2 + (x / 22) ** 2 < 1).astype(np.uint8)


def run(model, store, name, **keywords):
    settings = {"backend": "torch", "precision": "float32", "blocks": Serial(), **keywords}
    infer.run(model=str(model), volume=str(store.path), name=name, **settings)
    return store.probabilities(name)[:]


def test_along_z_it_is_what_infer_writes(store, model):
    plain = run(model, store, "plain")
    near = run(model, store, "near", within="nucleus", within_nm=(-1e5, 1e5))
    # Values are rounded from sums in another order.
    assert abs(plain.astype(int) - near).max() <= 1
    assert plain.std() > 2


@pytest.mark.parametrize(
    "change", [{"orientations": "oblique", "n_orientations": 3}, {"orientations": "orthogonal"}],
    ids=["oblique", "orthogonal"],
)
def test_blocks_and_workers_change_nothing(store, model, change):
    name = change["orientations"]
    near = {"within": "nucleus", "within_nm": (-60.0, 80.0), **change}
    first = run(model, store, f"{name}a", **near)
    for other, settings in {
        "b": {"block_shape": (70, 128, 60)}, "c": {"blocks": Processes(2)},
    }.items():
        np.testing.assert_array_equal(run(model, store, name + other, **near, **settings), first)
    everywhere = run(model, store, f"{name}d", **change)
    inside = nucleus() > 0
    near_nm = np.where(
        inside, -ndimage.distance_transform_edt(inside, sampling=20.0),
        ndimage.distance_transform_edt(~inside, sampling=20.0),
    )
    wanted = (near_nm >= -60) & (near_nm <= 80)
    np.testing.assert_array_equal(first, np.where(wanted, everywhere, 0))


def test_other_labels_are_another_product(store, model, tmp_path):
    shutil.copytree(store.path, tmp_path / "cell.ome.zarr")
    own = Volume.open(tmp_path / "cell.ome.zarr")

    def recorded():
        record = [r for r in own.runs() if "probabilities/named" in r["products"]][-1]
        return record["inputs"]["labels/nucleus"]

    first = run(model, own, "named", within="nucleus", within_nm=(-60.0, 80.0))
    was = own.labels_info("nucleus").digest, own.probabilities_info("named").inputs
    assert recorded() == was[0]
    other = own.create_labels(
        "nucleus", kind="labels", dtype=np.uint8, inputs="y", overwrite=True
    )
    other.array[:] = np.roll(nucleus(), 12, axis=1)
    finish_product(other)
    with pytest.raises(ExistsError, match="probabilities/named"):
        run(model, own, "named", within="nucleus", within_nm=(-60.0, 80.0))
    second = run(model, own, "named", within="nucleus", within_nm=(-60.0, 80.0), overwrite=True)
    assert own.probabilities_info("named").inputs != was[1]
    assert recorded() == own.labels_info("nucleus").digest != was[0]
    both = (first > 0) & (second > 0)
    np.testing.assert_array_equal(first[both], second[both])
    assert both.sum() > 1000
    assert ((first > 0) & (second == 0)).sum() > 1000  # no longer near the border


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"orientations": "diagonal"}, UsageError, "orientations='diagonal'"),
        ({"orientations": "oblique", "n_orientations": 0}, UsageError, "at least 1"),
        ({"orientations": "oblique", "fusion": "max"}, UsageError, "fusion='max'"),
        ({"orientations": "oblique", "tta": "d4"}, UsageError, "tta=d4"),
        ({"within": "cell"}, DataError, r"has the labels \['nucleus'\]"),
        ({"within": "nucleus", "within_nm": (50.0, 50.0)}, UsageError, "no range"),
    ],
)
def test_what_cannot_be_meant_is_refused(store, model, change, error, said):
    with pytest.raises(error, match=said):
        run(model, store, "bad", **change)
    assert "bad" not in store.probability_names()


def test_a_model_of_coarser_pixels_or_of_planes_farther_apart_is_refused(store, tmp_path):
    coarse = save_model_folder(
        tmp_path / "coarse", *random_model(features=(4, 4), spacing=(40.0, 40.0, 40.0))
    )
    with pytest.raises(UsageError, match="trained on pixels of 40 nm"):
        run(coarse, store, "bad", orientations="oblique")
    apart = save_model_folder(
        tmp_path / "apart", *random_model(features=(4, 4), context=1, spacing=(50.0, 20.0, 20.0))
    )
    with pytest.raises(UsageError, match="50 nm apart as channels"):
        run(apart, store, "bad", orientations="oblique")


def test_it_can_be_planned(store, model):
    parts = {
        "model": str(model), "volume": str(store.path), "name": "plan", "backend": "torch",
        "precision": "float32", "tta": "none", "overlap": 0.0, "orientations": "orthogonal",
        "n_orientations": 12, "fusion": "mean", "within": "nucleus", "within_nm": (-60.0, 80.0),
        "postprocess": None, "block_shape": None, "blocks": Serial(), "overwrite": False,
    }
    plan = forecast("infer", infer.run, parts)
    assert "infer" in str(plan)
    assert "plan" not in Volume.open(store.path).probability_names()
