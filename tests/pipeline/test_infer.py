"""``infer`` on a store: probabilities, objects, tables; again, in other blocks, on bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from inference_fakes import random_model
from stores import OBJECTS, noise_store

from fibseg.blocks import Processes, Serial
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export import load_network, save_model_folder
from fibseg.inference import predict_planes
from fibseg.pipeline import infer
from fibseg.pipeline.pyramid import finish_product
from fibseg.volume import Volume

SHAPE = (70, 160, 150)


def make_store(path: Path, *, shape=SHAPE, spacing=(20.0, 20.0, 20.0), seed=0) -> Volume:
    # Zarr 2 has no shards, so that a small volume has many blocks.
    return noise_store(path, shape=shape, spacing=spacing, seed=seed, ome_version="0.4")


def make_model(path: Path, **keywords) -> Path:
    return save_model_folder(path, *random_model(features=(4, 4), **keywords))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "cell.ome.zarr")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "one": make_model(folder / "one"),
        "two": make_model(folder / "two", n_classes=2, spacing=(20.0, 40.0, 40.0)),
        "coarse": make_model(folder / "coarse", context=1, spacing=(40.0, 40.0, 40.0)),
    }


def run(model, store, **keywords):
    settings = {"backend": "torch", "precision": "float32", **keywords}
    return infer.run(model=str(model), volume=str(store.path), **settings)


def test_probabilities_objects_and_table_are_made(store, models):
    result = run(models["one"], store, name="mito", postprocess=OBJECTS)
    assert set(result) == {"probabilities/mito", "labels/mito"}
    assert result["probabilities/mito"]["megavoxels_per_second"] > 0
    network, spec = load_network(models["one"])
    wanted = predict_planes(
        network, spec, store, range(SHAPE[0]), backend="torch", precision="float32"
    )
    probs = store.probabilities("mito")[:]
    np.testing.assert_array_equal(probs, np.stack([p[0] for p in wanted]))
    np.testing.assert_array_equal(store.labels("mito")[:] > 0, probs >= 128)
    table = store.table("mito")
    assert table["n_voxels"].sum() == (probs >= 128).sum()
    assert store.labels_info("mito").derived_from == "probabilities/mito"
    info = store.probabilities_info("mito")
    assert info.attributes["model"] == "one"
    record = next(r for r in store.runs() if r["verb"] == "infer")
    assert record["products"] == {"probabilities/mito": info.digest}
    assert record["status"] == "done"


def test_the_same_command_again_does_nothing(store, models, monkeypatch):
    first = run(models["one"], store, name="again", postprocess=OBJECTS)
    n_runs, digest = len(store.runs()), store.probabilities_info("again").digest
    monkeypatch.setattr(infer, "map_blocks", None)
    second = run(models["one"], store, name="again", postprocess=OBJECTS)
    assert second["labels/again"] == first["labels/again"]
    assert second["probabilities/again"] == "made before"
    assert len(store.runs()) == n_runs
    assert store.probabilities_info("again").digest == digest


@pytest.mark.parametrize("model", ["two", "coarse"])
def test_blocks_and_workers_change_nothing(store, models, model):
    blocks = {
        "a": {"blocks": Serial()},
        "b": {"blocks": Serial(), "block_shape": (64, 128, 128)},
        "c": {"blocks": Processes(2), "block_shape": (70, 128, 150)},
    }
    for name, settings in blocks.items():
        run(models[model], store, name=f"{model}{name}", **settings)
    made = [n for n in store.probability_names() if n.startswith(f"{model}a")]
    assert len(made) == (2 if model == "two" else 1)
    for first in made:
        wanted = store.probabilities(first)[:]
        assert wanted.std() > 5
        for other in "bc":
            name = first.replace(f"{model}a", f"{model}{other}")
            np.testing.assert_array_equal(store.probabilities(name)[:], wanted)
            assert store.probabilities_info(name).digest == store.probabilities_info(first).digest


def _log(store):
    return "".join(p.read_text() for p in (store.path / "runs").glob("*/log.txt"))


def test_products_are_named_by_class_or_model(tmp_path, models):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    run(models["one"], store)
    assert "spacing" not in _log(store)
    run(models["two"], store)
    assert "reads pyramid level 0 of 20 x 20 x 20 nm, resamples it to 20 x 40 x 40" in _log(store)
    assert store.probability_names() == ["class0", "two_class0", "two_class1"]


def test_one_lost_map_of_several_is_made_again(tmp_path, models):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    run(models["two"], store)
    before = {n: store.probabilities(n)[:] for n in store.probability_names()}
    for name in before:
        infer.Product(store.path / "probabilities" / name).discard()
        run(models["two"], store)
        for n, wanted in before.items():
            np.testing.assert_array_equal(store.probabilities(n)[:], wanted)
    assert not list((store.path / "probabilities").glob(".*journal"))


def test_products_of_another_model_or_setting_are_not_replaced_unasked(tmp_path, models):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    run(models["one"], store, name="m")
    before = store.probabilities("m")[:]
    other = make_model(tmp_path / "other", seed=5)
    for settings in ({"tta": "flips"}, {"overlap": 0.3}, {"precision": "bfloat16"}):
        with pytest.raises(ExistsError, match="overwrite=true"):
            run(models["one"], store, name="m", **settings)
    with pytest.raises(ExistsError, match="overwrite=true"):
        run(other, store, name="m")
    np.testing.assert_array_equal(store.probabilities("m")[:], before)
    run(other, store, name="m", overwrite=True)
    assert (store.probabilities("m")[:] != before).any()


def test_foreign_labels_of_that_name_are_refused_before_any_work(tmp_path, models):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    product = store.create_labels("m", kind="labels", dtype=np.uint32, inputs="by hand")
    product.array[:] = 1
    finish_product(product)
    with pytest.raises(ExistsError, match=r"labels/m.*not made by fibseg infer"):
        run(models["one"], store, name="m", postprocess=OBJECTS)
    assert store.probability_names() == []


def test_settings_are_refused_before_any_work(tmp_path, models):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    for settings in (
        {"backend": "onnx"}, {"precision": "half"}, {"tta": "all"}, {"overlap": 1.0},
        {"block_shape": (1, 7, 7)}, {"postprocess": {"threshold": OBJECTS["threshold"]}},
    ):
        with pytest.raises(UsageError):
            run(models["one"], store, **settings)
    with pytest.raises(UsageError, match="that is a name of annotations"):
        run(models["one"], store, name="annotation_m", postprocess=OBJECTS)
    assert not (store.path / "probabilities").exists()
    assert store.runs() == []


def test_the_run_names_the_model_wherever_it_is_read_from(tmp_path, models, monkeypatch):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    monkeypatch.chdir(models["one"].parent)
    run("one", store, config={"model": "one"})
    assert store.runs()[0]["config"]["model"] == str(models["one"].resolve())


def test_bad_models_and_volumes_are_refused(tmp_path, models):
    tiny = make_store(tmp_path / "tiny.ome.zarr", shape=(3, 5, 60))
    with pytest.raises(DataError, match="smaller than one window"):
        run(make_model(tmp_path / "deep"), tiny)
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    pickle = tmp_path / "best.ckpt"
    torch.save({"state_dict": {}}, pickle)
    with pytest.raises(DataError, match="pickle"):
        run(pickle, store)
    with pytest.raises(DataError, match="no model folder"):
        run(tmp_path / "none", store)
    with pytest.raises(DataError):
        infer.run(model=str(models["one"]), volume=str(tmp_path / "none.ome.zarr"))


def test_weights_that_cannot_be_used_are_one_error_and_leave_nothing(tmp_path):
    model, store = make_model(tmp_path / "cut"), make_store(tmp_path / "c.ome.zarr")
    weights = tmp_path / "cut" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"not a whole safetensors file"):
        run(model, store, name="m")
    assert not list((store.path / "probabilities").glob("**/*"))


def test_planes_thinner_than_the_context_are_mirrored(tmp_path, models):
    for n in (1, 2):
        store = make_store(tmp_path / f"{n}.ome.zarr", shape=(n, 60, 60))
        run(models["coarse"], store, name="m")
        assert store.probabilities("m").shape == (n, 60, 60)
        assert store.probabilities("m")[:].std() > 5
