"""``fibseg infer`` of model files: products, records, resuming, and the door."""

from __future__ import annotations

import numpy as np
import pytest
from foreign_files import write_czann, write_onnx, write_package, zipped
from stores import OBJECTS, noise_store, untouched

from fibseg.blocks import Processes, Serial
from fibseg.cli.main import main
from fibseg.errors import DataError, ExistsError, PartlyDoneError, UsageError
from fibseg.export.foreign import read_foreign
from fibseg.pipeline import infer, probabilities
from fibseg.volume import Volume

SHAPE = (70, 150, 140)
WRITE = {"onnx": write_onnx, "czann": write_czann, "zip": write_package}


def make_store(path, *, shape=SHAPE, **keywords) -> Volume:
    # Zarr 2 has no shards, so that a small volume has many blocks.
    return noise_store(path, shape=shape, ome_version="0.4", **keywords)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "cell.ome.zarr")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return {kind: write(folder / f"small.{kind}") for kind, write in WRITE.items()}


def run(model, store, **keywords):
    return infer.run(model=str(model), volume=str(store.path), **keywords)


def _log(store):
    return "".join(p.read_text() for p in (store.path / "runs").glob("*/log.txt"))


def test_products_and_records_are_those_of_any_model(store, files):
    result = run(files["czann"], store, name="mito", postprocess=OBJECTS)
    assert set(result) == {"probabilities/mito", "labels/mito"}
    probs = store.probabilities("mito")[:]
    assert probs.std() > 20
    np.testing.assert_array_equal(store.labels("mito")[:] > 0, probs >= 128)
    info, digest = store.probabilities_info("mito"), read_foreign(files["czann"]).digest
    assert info.attributes == {"model": "small.czann", "model_digest": digest}
    record = next(r for r in store.runs() if r["verb"] == "infer")
    assert record["inputs"] == {"model": digest, "raw": store.raw_digest}
    assert record["config"]["model"] == str(files["czann"])
    assert record["products"] == {"probabilities/mito": info.digest}
    assert "ONNX Runtime in float32, windows of 64 x 64 px, margins 8 x 8" in _log(store)
    assert "the file tells no spacing" in _log(store)


@pytest.mark.parametrize("kind", list(WRITE))
def test_blocks_and_workers_change_nothing(store, files, kind):
    blocks = {
        "a": {"blocks": Serial()}, "b": {"blocks": Serial(), "block_shape": (64, 128, 128)},
    }
    if kind == "zip":  # the one that counts over the volume first
        blocks["c"] = {"blocks": Processes(2), "block_shape": (70, 128, 140)}
    found = []
    for name, settings in blocks.items():
        run(files[kind], store, name=f"{kind}{name}", **settings)
        found.append(store.probabilities_info(f"{kind}{name}").digest)
    assert len(set(found)) == 1
    assert store.probabilities(f"{kind}a")[:].std() > 20


@pytest.mark.parametrize("kind", list(WRITE))
def test_the_same_command_again_does_nothing(tmp_path, files, kind, monkeypatch):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    first = run(files[kind], store)
    (name,) = store.probability_names()
    assert name == {"onnx": "small", "czann": "Class_1", "zip": "mito"}[kind]
    monkeypatch.setattr(probabilities, "map_blocks", None)
    monkeypatch.setattr("fibseg.pipeline.infer_foreign.reduce_blocks", None)
    again = run(files[kind], store)
    assert set(again) == set(first) == {f"probabilities/{name}"}
    assert again[f"probabilities/{name}"] == "made before"


def test_several_classes_are_named_after_file_and_class(tmp_path):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    path = write_czann(tmp_path / "cells.czann", n=3)
    run(path, store)
    assert store.probability_names() == ["cells_Class_1", "cells_Class_2"]
    run(path, store, name="x")
    assert "x_Class_2" in store.probability_names()


def test_a_run_that_failed_goes_on_with_the_same_statistics(tmp_path, files, monkeypatch):
    store = make_store(tmp_path / "c.ome.zarr", shape=(130, 60, 60))
    run(files["zip"], store, name="whole", block_shape=(64, 128, 128))
    calls = []
    real = probabilities.map_blocks

    def stopped(fn, *arguments, **keywords):
        def after_one(*arrays, block):
            calls.append(block.index)
            if len(calls) == 2:
                raise OSError("the disk was away")
            return fn(*arrays, block=block)

        after_one.read_box = fn.read_box
        return real(after_one, *arguments, **keywords)

    monkeypatch.setattr(probabilities, "map_blocks", stopped)
    with pytest.raises(PartlyDoneError, match="1 of 3 blocks failed, 2 are done"):
        run(files["zip"], store, name="again", block_shape=(64, 128, 128))
    assert len(calls) == 3
    run(files["zip"], store, name="again", block_shape=(64, 128, 128))
    assert len(calls) == 4
    assert store.probabilities_info("again").digest == store.probabilities_info("whole").digest


def test_another_file_or_setting_is_another_product(tmp_path, files):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    run(files["czann"], store, name="m")
    for settings in ({"tta": "flips"}, {"overlap": 0.3}):
        with pytest.raises(ExistsError, match="overwrite=true"):
            run(files["czann"], store, name="m", **settings)
    other = write_czann(tmp_path / "small.czann", radius=2)
    with pytest.raises(ExistsError, match="overwrite=true"):
        run(other, store, name="m")
    run(other, store, name="m", overwrite=True)


def test_a_file_may_be_moved_and_named_anew(tmp_path, files):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    run(files["czann"], store, name="m")
    moved = tmp_path / "other name.dat"
    moved.write_bytes(files["czann"].read_bytes())
    assert run(moved, store, name="m")["probabilities/m"] == "made before"


def test_spacing_of_the_file_is_resampled_to(tmp_path):
    store = make_store(tmp_path / "c.ome.zarr", shape=(4, 128, 128), spacing=(20.0, 20.0, 20.0))
    run(write_czann(tmp_path / "m.czann", Scaling=[40e-9, 40e-9]), store, name="m")
    assert "level 0 of 20 x 20 x 20 nm, resamples it to 20 x 40 x 40 nm" in _log(store)
    assert store.probabilities("m").shape == (4, 128, 128)


@pytest.mark.parametrize(("settings", "match"), [
    ({"orientations": "orthogonal"}, "sees planes across z"), ({"orientations": "y"}, "across z"),
    ({"within": "nucleus"}, "within=nucleus"), ({"backend": "openvino"}, "run by ONNX Runtime"),
    ({"backend": "torch"}, "run by ONNX"), ({"precision": "bfloat16"}, "as it was exported"),
    ({"precision": "int8"}, "as it was exported"),
    ({"tta": "all"}, "not known"), ({"overlap": 1.0}, "not a share"),
    ({"block_shape": (1, 7, 7)}, "block"), ({"orientations": "oblique"}, "orientations=oblique"),
])
def test_settings_that_do_not_go_with_files_are_refused(tmp_path, files, settings, match):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    with pytest.raises(UsageError, match=match):
        run(files["czann"], store, **settings)
    assert store.runs() == []
    assert store.probability_names() == []


@pytest.mark.parametrize("make", [
    lambda p: write_onnx(p).write_bytes(write_onnx(p).read_bytes()[:-30]),
    lambda p: p.write_bytes(b"\x80\x04\x95evil"), lambda p: p.write_bytes(b"no model"),
    lambda p: zipped(p, {"../marker": b"x"}), lambda p: write_package(p, type="dataset"),
    lambda p: write_czann(p, Type="ObjectDetection"),
])
def test_a_wrong_file_is_one_error_before_any_work(tmp_path, make, capsys):
    store, path = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60)), tmp_path / "m.onnx"
    make(path)
    with untouched(store.path), pytest.raises(DataError):
        run(path, store)
    capsys.readouterr()
    with untouched(store.path):
        assert main(["infer", f"model={path}", f"volume={store.path}"]) == 65
    complaint = capsys.readouterr().err
    assert complaint.startswith("fibseg infer: ")
    assert complaint.count("\n") == 1
    assert not list(tmp_path.rglob("marker"))


def test_a_file_that_does_not_run_leaves_nothing(tmp_path):
    store = make_store(tmp_path / "c.ome.zarr", shape=(3, 60, 60))
    path = write_onnx(tmp_path / "m.onnx", n=2, end="Relu", metadata={})
    assert read_foreign(path).activation == "softmax"
    bad = write_package(tmp_path / "m.zip", {"end": "Relu"})  # told to be between 0 and 1
    with pytest.raises(DataError, match="no probabilities"):
        run(bad, store)
    assert store.runs() == []
    assert store.probability_names() == []


def test_the_command_plans_and_runs_a_file(tmp_path, files, capsys):
    store = make_store(tmp_path / "c.ome.zarr", shape=(5, 60, 60))
    words = ["infer", f"model={files['zip']}", f"volume={store.path}", "blocks=serial", "name=m"]
    assert main([*words, "dry_run=true"]) == 0
    assert "plan of fibseg infer, measured on" in capsys.readouterr().out
    assert store.probability_names() == []
    assert main([*words, "postprocess.threshold.level=0.6"]) == 0
    assert "probabilities/m" in capsys.readouterr().out
