"""``fibseg export model=…``: files with a certificate, or nothing; the same again does nothing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from forest_fakes import random_forests
from stores import untouched
from travelling import small_store, trained_model

from fibseg.cli import main
from fibseg.data import Normalisation, normalise
from fibseg.errors import BusyError, DataError, ExistsError, UsageError
from fibseg.export import load_network, save_forest_folder
from fibseg.pipeline import export
from fibseg.volume import locked

ALL = ["mito.bioimageio.zip", "mito.czann", "mito.onnx", "mito.onnx.parity.json"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small_store(tmp_path_factory.mktemp("store") / "cell.ome.zarr")


@pytest.fixture(scope="module")
def model(tmp_path_factory, store):
    folder = tmp_path_factory.mktemp("model") / "mito"
    return trained_model(folder, store, overrides=(f"volume={store.path}",))


def run(model, out, **keywords):
    settings = {"format": "onnx", "tile": 32, **keywords}
    return export.run(model=model and str(model), out=str(out), **settings)


def in_zip(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def certificates(out: Path, name: str = "mito") -> list[dict]:
    return [json.loads(text) for text in (
        (out / f"{name}.onnx.parity.json").read_bytes(),
        in_zip(out / f"{name}.czann", "parity.txt"),
        in_zip(out / f"{name}.bioimageio.zip", "parity.json"),
    )]


def test_every_file_is_there_with_its_certificate(model, store, tmp_path):
    told = run(model, tmp_path, format="all")
    assert sorted(p.name for p in tmp_path.iterdir()) == ALL
    assert sorted(Path(p).name for p in told) == [n for n in ALL if "parity" not in n]
    assert all("labels agree on" in text for text in told.values())
    for certificate in certificates(tmp_path):
        assert certificate["passed"]
        assert certificate["max_abs_difference_of_probability"] <= 1e-4
        assert certificate["windows"]["real"]["n"] >= 16
        assert {"constant", "extreme", "odd-sized"} <= set(certificate["windows"])
        assert certificate["real_windows_from"] == f"the volume cell, raw {store.raw_digest}"


def test_the_same_again_does_nothing_and_equal_files_are_byte_equal(model, tmp_path):
    first = run(model, tmp_path / "a", format="all")
    run(model, tmp_path / "b", format="all")
    with untouched(tmp_path / "a"):
        assert run(model, tmp_path / "a", format="all") == dict.fromkeys(first, "made before")
    for name in ALL:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_the_file_gives_what_the_model_gives_on_its_training_volume(model, store, tmp_path):
    run(model, tmp_path)
    image = store.raw()[3][None, None].astype(np.float32)
    network, _ = load_network(model)
    from torch import from_numpy, inference_mode

    with inference_mode():
        ready = from_numpy(normalise(image, Normalisation.of(store)))
        wanted = network(ready).softmax(1).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    file = onnxruntime.InferenceSession(
        (tmp_path / "mito.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    np.testing.assert_allclose(file.run(None, {"image": image})[0], wanted, atol=1e-4)


def test_another_volume_gives_its_grey_values(model, tmp_path):
    other = small_store(tmp_path / "other.ome.zarr", image=np.random.default_rng(0).integers(
        90, 120, (6, 70, 60), np.uint8
    ))
    run(model, tmp_path / "out", volume=str(other.path), name="other", format="czann")
    run(model, tmp_path / "out", format="czann")
    described = [
        json.loads(in_zip(tmp_path / "out" / f"{n}.czann", "model.json")) for n in ("other", "mito")
    ]
    assert described[0]["Id"] != described[1]["Id"]
    told = json.loads(in_zip(tmp_path / "out" / "other.czann", "parity.txt"))
    assert told["real_windows_from"].startswith("the volume other")


def test_without_its_volume_the_phantom_is_taken_and_told(store, tmp_path):
    model = trained_model(tmp_path / "mito", store, overrides=("volume=elsewhere.zarr",))
    run(model, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "mito.onnx.parity.json").read_text())
    assert "built-in phantom" in told["real_windows_from"]


def test_other_settings_are_refused_where_a_file_stands(model, tmp_path):
    run(model, tmp_path, format="all")
    with untouched(tmp_path):
        for changed in ({"licence": "MIT"}, {"authors": ["A"], "format": "bioimageio"},
                        {"tile": 64, "format": "czann"}, {"czann_version": "1.1", "format": "all"}):
            with pytest.raises(ExistsError, match=r"stands already .* overwrite=true"):
                run(model, tmp_path, **changed)
    run(model, tmp_path, licence="MIT", overwrite=True)
    assert b"MIT" in (tmp_path / "mito.onnx").read_bytes()


@pytest.mark.parametrize("name", ["mito.onnx", "mito.czann", "mito.bioimageio.zip"])
def test_a_file_that_was_changed_is_not_taken_for_made_before(model, tmp_path, name):
    kind = {".onnx": "onnx", ".czann": "czann", ".zip": "bioimageio"}[Path(name).suffix]
    run(model, tmp_path, format=kind)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    at = data.index(b"network")  # within the graph
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(ExistsError, match=name):
        run(model, tmp_path, format=kind)
    run(model, tmp_path, format=kind, overwrite=True)
    assert run(model, tmp_path, format=kind) == {str(path): "made before"}


def test_a_certificate_that_a_crash_left_alone_is_no_hindrance(model, tmp_path):
    run(model, tmp_path)
    (tmp_path / "mito.onnx").unlink()
    assert "largest difference" in str(run(model, tmp_path))


def test_a_model_that_cannot_be_exported_exactly_leaves_nothing_behind(store, tmp_path):
    model = trained_model(tmp_path / "steep", store, spread=1e5)
    with pytest.raises(DataError, match=r"steep.onnx would give other probabilities .* by up to"):
        run(model, tmp_path / "out", format="all")
    assert not (tmp_path / "out").exists()


def test_what_cannot_travel_is_refused_before_any_work(model, store, tmp_path):
    out = tmp_path / "out"
    forest = save_forest_folder(tmp_path / "forest", *random_forests())
    several = trained_model(tmp_path / "several", store, context=1)
    untold = trained_model(tmp_path / "untold")
    for wanted, message, error in (
        ({"model": forest}, "holds a pixel classifier", DataError),
        ({"model": several, "format": "czann"}, "given single planes", DataError),
        ({"model": several, "format": "all"}, "given single planes", DataError),
        ({"model": untold}, r"does not tell the grey values .*volume=", DataError),
        ({"model": tmp_path / "none"}, "no model folder", DataError),
        ({"format": "tiff"}, "format='tiff' is none .* onnx, czann, bioimageio, all", UsageError),
        ({"name": "../a"}, "cannot be the name of a file", UsageError),
        ({"licence": "mine"}, "licence='mine'", UsageError),
        ({"format": "czann", "tile": 33}, "tile=33 does not fit", UsageError),
        ({"labels": "a"}, "labels=a has no meaning for the export of a model", UsageError),
        ({"max_faces": 9}, "max_faces=9 has no meaning for the export of a model", UsageError),
        ({"model": None, "volume": "a", "tile": 64, "format": "stl"},
         "tile=64 has no meaning for the export of objects", UsageError),
    ):
        with pytest.raises(error, match=message):
            run(**{"model": model, "out": out, **wanted})
    with pytest.raises(UsageError, match="Say what to export"):
        export.run(format="onnx", out=str(out))
    assert not out.exists()


def test_a_model_of_several_planes_travels_as_onnx_and_package(store, tmp_path):
    model = trained_model(tmp_path / "several", store, context=1)
    for kind in ("onnx", "bioimageio"):
        run(model, tmp_path / "out", format=kind)
    graph = in_zip(tmp_path / "out" / "several.bioimageio.zip", "weights.onnx")
    file = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert file.get_inputs()[0].shape[1] == 3
    test = in_zip(tmp_path / "out" / "several.bioimageio.zip", "test_input.npy")
    assert np.load(io.BytesIO(test)).shape[1] == 3


def test_a_second_export_into_a_folder_is_refused_while_the_first_works(model, tmp_path):
    import threading

    ready, go = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path / "out"):
            ready.set()
            go.wait(60)

    other = threading.Thread(target=hold)
    other.start()
    ready.wait(60)
    try:
        with pytest.raises(BusyError):
            run(model, tmp_path / "out")
    finally:
        go.set()
        other.join()


def test_the_command(model, tmp_path, capsys):
    out = tmp_path / "travel"
    words = ["export", f"model={model}", f"out={out}", "format=bioimageio",
             "authors=[A. Author,B. Author]", "czann_version=1.1"]
    assert main([*words, "dry_run=true"]) == 0
    assert "plan of fibseg export" in capsys.readouterr().out
    assert not out.exists()
    assert main(words) == 0
    assert "mito.bioimageio.zip: " in capsys.readouterr().out
    assert b"- name: B. Author" in in_zip(out / "mito.bioimageio.zip", "rdf.yaml")
    assert main(["export", f"model={model}", f"out={out}"]) == 2
    assert "format=" in capsys.readouterr().err
