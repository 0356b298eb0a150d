"""`precision=int8`: the same anywhere, kept by the product, and refused where it loses too much."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from inference_fakes import random_model
from stores import noise_store
from taught import ball_store, balls, taught_folder

from fibseg.blocks import Processes, Serial
from fibseg.errors import ExistsError, PartlyDoneError, UsageError
from fibseg.export import load_network, load_spec, save_model_folder
from fibseg.inference import Backend, Int8, ModelBlocks
from fibseg.pipeline import infer, infer_int8, probabilities
from fibseg.pipeline.infer_task import Looking, task_of
from fibseg.volume import Product

pytest.importorskip("openvino", reason="OpenVINO is not installed")


@pytest.fixture(scope="module", autouse=True)
def fewer_windows():
    """A small network on balls shows the same on fewer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infer_int8, "WINDOWS", 8)
        patch.setattr(infer_int8, "MOST", 24)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return taught_folder(tmp_path_factory.mktemp("m") / "m")


@pytest.fixture(scope="module")
def done(tmp_path_factory, model):
    """A store with probabilities in int8 and in float32."""
    store = ball_store(tmp_path_factory.mktemp("v") / "c.ome.zarr")
    run(model, store)
    run(model, store, precision="float32", backend="openvino", name="exact")
    return store


@pytest.fixture
def store(tmp_path):
    return ball_store(tmp_path / "c.ome.zarr")


def run(model, store, **keywords):
    given = {"precision": "int8", "name": "m", "blocks": Serial(), **keywords}
    return infer.run(model=str(model), volume=str(store.path), **given)


def kept(store, name="m"):
    return store.probabilities_info(name).attributes["backend"]


def ranges(store):
    """What was measured for the product of a store."""
    return Int8.read(kept(store)["int8"])


def trial(model, store, **keywords):
    spec = load_spec(model)
    task = task_of(
        store, spec, str(model), Looking(**keywords), backend=Backend("openvino", "int8")
    )
    return infer_int8.Trial(task.blocks, store, spec)


def test_it_finds_what_float32_finds_and_says_what_it_loses(done):
    exact, got = (done.probabilities(name)[:] >= 128 for name in ("exact", "m"))
    truth = balls(done.shape)
    assert (truth & exact).sum() > 0.8 * (truth | exact).sum()
    loss = 1 - (exact & got).sum() / (exact | got).sum()
    assert 0 < loss <= infer_int8.MOST_LOSS
    record = kept(done)
    assert (record["name"], record["precision"]) == ("openvino", "int8")
    assert record["int8"]["loss"][0] == pytest.approx(loss, abs=0.003)
    assert "int8" not in kept(done, "exact")


def test_processes_change_nothing(model, done, store):
    run(model, store, blocks=Processes(n_workers=1))
    assert kept(store) == kept(done)
    assert store.probabilities_info("m").digest == done.probabilities_info("m").digest


def test_blocks_change_nothing(model, done, store):
    run(model, store, block_shape=(128, 48, 48), int8=ranges(done))
    assert kept(store) == kept(done)
    assert store.probabilities_info("m").digest == done.probabilities_info("m").digest


def test_it_is_measured_once(model, done, monkeypatch):
    monkeypatch.setattr(infer_int8, "measured_int8", None)
    monkeypatch.setattr(probabilities, "map_blocks", None)
    assert set(run(model, done).values()) == {"made before"}


def test_auto_and_other_precisions_are_another_product(model, done):
    for words in ({"precision": "auto"}, {"precision": "bfloat16"}):
        with pytest.raises(ExistsError, match="overwrite=true"):
            run(model, done, **words)
    assert kept(done)["precision"] == "int8"


def test_a_name_of_another_product_is_refused_before_anything_is_measured(
    model, done, monkeypatch
):
    monkeypatch.setattr(infer, "measured_int8", None)
    with pytest.raises(ExistsError, match=r"probabilities/exact stands already .*overwrite=true"):
        run(model, done, name="exact")


@pytest.fixture
def half_done(model, store, done, monkeypatch):
    """The first block was made, the second failed."""
    computed: list[int] = []
    call = ModelBlocks.__call__

    def noted(task, *arrays, block):
        computed.append(block.index)
        if len(computed) == 2:
            raise OSError("a disk that was taken away")
        return call(task, *arrays, block=block)

    monkeypatch.setattr(ModelBlocks, "__call__", noted)
    with pytest.raises(PartlyDoneError):
        run(model, store, int8=ranges(done))
    return computed


def test_a_run_goes_on_with_the_ranges_that_it_began_with(
    model, store, done, half_done, monkeypatch
):
    monkeypatch.setattr(infer, "measured_int8", None)
    run(model, store)
    assert half_done[2:] == half_done[1:2], "only the block that failed"
    assert store.probabilities_info("m").digest == done.probabilities_info("m").digest


def damage(store, key, value):
    """Change what the unfinished product says of int8."""
    product = Product(store.path / "probabilities" / "m")
    path = product.path / ".zattrs"
    text = json.dumps(json.loads(path.read_text()))
    old = f'"{key}": {json.dumps(product.info.attributes["backend"]["int8"][key])}'
    assert text.count(old) == 1
    path.write_text(text.replace(old, f'"{key}": {json.dumps(value)}'))


def test_ranges_that_are_damaged_are_not_gone_on_with(model, store, done, half_done, caplog):
    damage(store, "ranges", [[3.0, 1.0]])
    with caplog.at_level(logging.WARNING, "fibseg.infer"):
        run(model, store)
    assert len(set(half_done[2:])) == 2, "no block with other ranges is left"
    assert "is made anew" in caplog.text
    assert store.probabilities_info("m").digest == done.probabilities_info("m").digest


def test_ranges_of_another_network_are_measured_anew_with_overwrite(model, store, done, half_done):
    damage(store, "ranges", [[0.0, 1.0]])
    with pytest.raises(PartlyDoneError, match=r"1 ranges are given, .* Set overwrite=true"):
        run(model, store)
    run(model, store, overwrite=True)
    assert store.probabilities_info("m").digest == done.probabilities_info("m").digest


def test_a_network_that_loses_too_much_is_refused_before_the_work(store, tmp_path, monkeypatch):
    fragile = save_model_folder(tmp_path / "r", *random_model(features=(8, 16), core=64))
    monkeypatch.setattr(probabilities, "map_blocks", None)
    monkeypatch.setattr(infer_int8, "LEADING", (1,))
    with pytest.raises(UsageError, match=r"loses 0\.0\d+ \(class0\) .* 0\.005 is allowed.*auto"):
        run(fragile, store)
    assert store.probability_names() == []


def test_more_convolutions_stay_as_they_are_where_that_is_needed(model, done, store, monkeypatch):
    with_one = ranges(done)
    assert with_one.leading == 1
    losses = []
    real = infer_int8.measured_loss
    monkeypatch.setattr(infer_int8, "measured_loss", lambda *a, **k: (
        losses.append(real(*a, **k)) or losses[-1]
    ))
    try:
        less = with_one.loss[0] - 1e-6
        assert infer_int8.measured_int8(
            trial(model, store), lambda: load_network(model)[0], most_loss=less
        ).leading == 2
    except UsageError as error:
        assert "is allowed" in str(error)  # noqa: PT017 - which of both depends on the machine
    assert [found.leading for found in losses] == [1, 2]


def test_a_class_that_is_hardly_seen_is_refused(store, tmp_path):
    two = taught_folder(tmp_path / "two", n_classes=2)
    with pytest.raises(UsageError, match=r"class1 is seen in 0 of 24 windows .* too few \(16\)"):
        run(two, store, name="m")


def test_ranges_come_from_the_planes_that_the_model_learned_from(model, store):
    spec = load_spec(model)
    own, others = trial(model, store).planes()
    assert all(z % 2 == 0 for z in own)
    assert not set(own) & set(others)
    assert (len(own), len(others)) == (8, 24)
    spec.training.update(
        volumes=[{"name": "c", "raw_digest": store.raw_digest}],
        split={"train_planes": {"c": [3, 9, 900]}},
    )
    blocks = trial(model, store).blocks
    own, others = infer_int8.Trial(blocks, store, spec).planes()
    assert set(own) == {3, 9}
    assert not set(own) & set(others)
    spec.training["volumes"][0]["raw_digest"] = "another"
    assert len(set(infer_int8.Trial(blocks, store, spec).planes()[0])) == 8


def test_a_single_plane_serves_for_both(model, tmp_path):
    flat = noise_store(tmp_path / "flat.ome.zarr", shape=(1, 48, 48))
    own, others = trial(model, flat).planes()
    assert set(own) == set(others) == {0}


def test_orientations_are_measured_on_what_they_see(model, store):
    wanted = {"orientations": "orthogonal"}
    seen = trial(model, store, **wanted).blocks.seen_at(
        store.raw(), (35, 24, 24), load_spec(model)
    )
    assert len(seen) >= 3
    assert all(float(window.std()) > 0.1 for window in seen[:3])
    run(model, store, postprocess=None, **wanted)
    run(model, store, postprocess=None, name="e", precision="float32", backend="openvino", **wanted)
    exact, got = (store.probabilities(name)[:] >= 128 for name in ("e", "m"))
    assert 0 < 1 - (exact & got).sum() / (exact | got).sum() < infer_int8.MOST_LOSS


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_windows_are_what_the_network_sees(model, store, overlap):
    blocks = trial(model, store, overlap=overlap).blocks
    (window,) = blocks.seen_at(store.raw(), (5, 20, 20), load_spec(model))[:1]
    axis = blocks.plan.y
    assert window.shape == (1, axis.window, blocks.plan.x.window)
    inner = window[0, axis.margin : axis.margin + 16, axis.margin : axis.margin + 16].numpy()
    raw = store.raw()[5, :16, :16].astype(float)
    assert abs(np.corrcoef(inner.ravel(), raw.ravel())[0, 1]) > 0.999


@pytest.mark.parametrize("backend", ["torch", "compile", "onnxruntime"])
def test_other_backends_are_refused(model, store, backend):
    with pytest.raises(UsageError, match=f"backend={backend} is asked for. Leave backend= out"):
        run(model, store, backend=backend)


def test_without_openvino_it_says_what_to_install(model, store, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"=int8, but .* pip install 'fibseg\[openvino\]'"):
        run(model, store)


def test_a_rehearsal_measures_on_the_whole_volume(model, done, store, tmp_path, monkeypatch):
    from fibseg.pipeline.samples import infer_sample

    parts = {
        "model": str(model), "volume": str(store.path), "name": "m", "backend": "auto",
        "precision": "int8", "tta": "none", "overlap": 0.0, "orientations": "z",
        "n_orientations": 12, "fusion": "mean", "within": None, "within_nm": (-200.0, 200.0),
        "postprocess": None, "blocks": Serial(), "block_shape": None, "overwrite": False,
        "int8": None, "config": {}, "overrides": [],
    }
    sample = infer_sample(parts, tmp_path / "sample")
    assert sample.parts["int8"] == ranges(done)
    monkeypatch.setattr(infer, "measured_int8", None)
    infer.run(**sample.parts)
