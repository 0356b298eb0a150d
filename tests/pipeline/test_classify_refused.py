"""``classify`` on bad input: one clear error before any work, and nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest
from classified import CHAIN, blank, make_store, painted, run
from inference_fakes import random_model
from onnx import ModelProto

from fibseg.cli import main
from fibseg.errors import DataError, ExistsError, UsageError
from fibseg.export import save_model_folder
from fibseg.pipeline import classify, ingest


def test_another_painting_replaces_nothing_unasked(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    run(store)
    before = store.probabilities_info("cell").digest
    for settings in ({"seed": 1}, {"n_trees": 9}, {"precision_nm": 25}):
        with pytest.raises(ExistsError, match="another painting or other settings"):
            run(store, **settings)
        with pytest.raises(ExistsError, match="overwrite=true"):
            run(store, **settings, model=str(tmp_path / f"m{len(str(settings))}"))
    assert store.probabilities_info("cell").digest == before
    run(store, seed=1, overwrite=True)
    assert store.probabilities_info("cell").digest != before


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({}, r"unlabelled \(0\) everywhere"),
        ({1: 50}, "has 0 voxels of cell"),
        ({2: 50}, "has 0 voxels of background"),
        ({1: 50, 2: 9}, "has 9 voxels of cell; 10 of each are needed"),
        ({1: 3, 2: 4}, "has 3 voxels of background, 4 voxels of cell"),
        ({1: 50, 2: 50, 7: 1}, r"has the values \[7\], which are no class"),
    ],
)
def test_painting_that_teaches_nothing_is_refused_and_leaves_nothing(tmp_path, counts, said):
    store = blank(tmp_path / "a.ome.zarr", painted(counts))
    with pytest.raises(DataError, match=said):
        run(store)
    assert not (tmp_path / "a.models" / "cell").exists()
    assert not (store.path / "probabilities").exists()
    assert store.runs() == []


def test_settings_are_refused_before_any_work(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    for settings, said in (
        ({"annotation": None}, "nothing to classify with"), ({"n_trees": 0}, "n_trees=0"),
        ({"seed": -1}, "seed=-1"), ({"precision_nm": 1}, "precision_nm=1"),
        ({"precision_nm": float("nan")}, "precision_nm=nan"),
    ):
        with pytest.raises(UsageError, match=said):
            run(store, **settings)
    for settings in (
        {"block_shape": (1, 7, 7)}, {"postprocess": {"threshold": CHAIN["threshold"]}},
        {"name": "annotation_x", "postprocess": CHAIN}, {"name": "../x"}, {"name": "a b/c"},
    ):
        with pytest.raises(UsageError):
            run(store, **settings)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ome.zarr"]
    assert store.runs() == []


def test_what_is_not_there_is_named(tmp_path):
    store = blank(tmp_path / "a.ome.zarr")
    with pytest.raises(DataError, match="no annotation 'cell'; it has none"):
        run(store)
    with pytest.raises(DataError, match="There is no volume"):
        classify.run(volume=str(tmp_path / "none.ome.zarr"), annotation="cell")
    with pytest.raises(DataError, match="does not exist"):
        run(store, annotation=None, model=str(tmp_path / "none"))


def test_a_volume_of_one_intensity_is_refused(tmp_path):
    flat = np.full((12, 30, 30), 90, np.uint8)
    store = make_store(tmp_path / "a.ome.zarr", flat, {"cell": painted({1: 50, 2: 50})})
    with pytest.raises(DataError, match="nothing to see"):
        run(store)


def test_foreign_and_damaged_models_are_one_clear_error(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    network = save_model_folder(tmp_path / "unet", *random_model(features=(4, 4)))
    with pytest.raises(DataError, match=r"network of fibseg train.*fibseg infer"):
        run(store, annotation=None, model=str(network))
    with pytest.raises(ExistsError, match="holds a model of another painting"):
        run(store, model=str(network))
    run(store, name="first", model=str(tmp_path / "m"))
    forest = tmp_path / "m" / "volume.onnx"
    forest.write_bytes(forest.read_bytes()[:-50])
    with pytest.raises(DataError, match="not a whole ONNX file"):
        run(store, annotation=None, model=str(tmp_path / "m"))
    assert store.probability_names() == ["first"]


def test_a_tampered_forest_is_one_error_before_any_block(tmp_path):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    run(store, name="first", model=str(tmp_path / "m"))
    n_runs, forest = len(store.runs()), tmp_path / "m" / "volume.onnx"
    model = ModelProto.FromString(forest.read_bytes())
    ids = next(a for a in model.graph.node[0].attribute if a.name == "nodes_featureids")
    ids.ints[0] = 999
    forest.write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match="asks for feature 999"):
        run(store, annotation=None, model=str(tmp_path / "m"), name="again")
    assert store.probability_names() == ["first"]
    assert len(store.runs()) == n_runs


def test_a_painting_of_another_grid_never_comes_into_the_store(tmp_path):
    store = blank(tmp_path / "a.ome.zarr")
    for shape, said in (((13, 30, 30), "13 planes, the volume 12"), ((12, 30, 29), "30, 29")):
        np.save(tmp_path / "paint.npy", painted({1: 50, 2: 50}, shape))
        with pytest.raises(DataError, match=said):
            ingest.run(
                source=tmp_path / "paint.npy", volume=store.path, kind="annotation", name="cell"
            )
    with pytest.raises(DataError, match="no annotation 'cell'"):
        run(store)


def test_a_model_for_other_voxels_is_refused_before_any_work(tmp_path):
    """Trained for 40 nm, asked for on voxels of 200."""
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 50}))
    run(store, model=str(tmp_path / "m"))
    coarse = blank(tmp_path / "b.ome.zarr", spacing=(200.0, 200.0, 200.0))
    with pytest.raises(UsageError, match="voxels of the volume are 200 nm"):
        run(coarse, annotation=None, model=str(tmp_path / "m"))
    assert coarse.runs() == []


@pytest.mark.parametrize("shape", [(1, 30, 30), (2, 25, 1), (5, 20, 20)])
def test_thin_volumes_are_classified(tmp_path, shape):
    counts = {1: 12, 2: 12}
    store = blank(tmp_path / "a.ome.zarr", painted(counts, shape), shape=shape)
    run(store)
    assert store.probabilities("cell").shape == shape
    assert store.probabilities("cell")[:].std() > 5


def test_a_plan_refuses_what_the_command_refuses(tmp_path, capsys):
    store = blank(tmp_path / "a.ome.zarr", painted({1: 50, 2: 3}))
    words = ["classify", f"volume={store.path}", "annotation=cell", "dry_run=true"]
    assert main(words) == 65
    assert "has 3 voxels of cell" in capsys.readouterr().err
