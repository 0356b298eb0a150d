"""Models and volumes of all kinds travel: other norms, types, stain, levels, names; killed too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from travelling import small_model, small_store, trained_model

from fibseg.errors import DataError, ExistsError
from fibseg.export import describe_model, load_network, save_model_folder
from fibseg.export.constants import KEY, constants_of
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple
from fibseg.pipeline import export
from fibseg.pipeline.export_windows import scene_of
from fibseg.pipeline.pyramid import finish_raw
from fibseg.volume import Volume

SHAPE = (8, 80, 72)


def session(data: bytes):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def in_zip(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def bright_16_bit(path: Path) -> Volume:
    """A store of 16 bits with stain bright."""
    store = Volume.create(
        path, shape=SHAPE, dtype=np.uint16, spacing=(20.0, 20.0, 20.0), polarity="bright"
    )
    noise = np.random.default_rng(0).normal(20_000, 3_000, SHAPE)
    store.raw()[:] = np.clip(noise, 0, 65_535).astype(np.uint16)
    finish_raw(store)
    return store


def normed_model(path: Path, store: Volume, norm: str, features: int) -> Path:
    """Model folder of a network with another norm, told of its training on `store`."""
    network = NetworkSpec(features=(features, features), norm=norm)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_network(network, in_channels=1, n_classes=1)
    spec = describe_model(
        network={"name": "unet", "features": [features] * 2, "dropout": 0.1, "norm": norm,
                 "context": 0},
        classes=["a"], context=0, core=32, spacing=(20.0, 20.0, 20.0), metrics={},
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        receptive_field=receptive_margin(network), stride_multiple=stride_multiple(network),
        training={"volumes": [{"name": "c", "raw_digest": store.raw_digest,
                               KEY: constants_of(store).record()}]},
    )
    return save_model_folder(path, module, spec)


def test_a_network_of_instance_norm_gives_the_same(tmp_path):
    store = small_store(tmp_path / "c.ome.zarr")
    model = normed_model(tmp_path / "m", store, "instance", 32)
    told = export.run(model=str(model), format="all", tile=64, out=str(tmp_path / "out"))
    assert len(told) == 3
    certificate = json.loads((tmp_path / "out" / "m.onnx.parity.json").read_text())
    assert certificate["max_abs_difference_of_probability"] <= 1e-4


def test_where_a_norm_of_the_plane_makes_rounding_large_it_is_told(tmp_path):
    store = small_store(tmp_path / "c.ome.zarr")
    model = normed_model(tmp_path / "m", store, "group", 8)  # a group for each feature
    with pytest.raises(DataError, match=r"would give other .* network.norm=group makes"):
        export.run(model=str(model), format="czann", tile=128, out=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_volume_of_16_bits_and_bright_stain_travels_in_both_units(tmp_path):
    store = bright_16_bit(tmp_path / "c.ome.zarr")
    model = trained_model(tmp_path / "m", store, overrides=(f"volume={store.path}",))
    out = tmp_path / "out"
    export.run(model=str(model), format="all", tile=64, out=str(out))
    raw = store.raw()[4][None, None, :64, :64].astype(np.float32)
    (wanted,) = session((out / "m.onnx").read_bytes()).run(None, {"image": raw})
    tile = (raw / np.float32(65_535)).transpose(0, 2, 3, 1)
    (found,) = session(in_zip(out / "m.czann", "model.model")).run(None, {"image": tile})
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), wanted, atol=1e-4)
    assert wanted.std() > 0.01
    rdf = yaml.safe_load(in_zip(out / "m.bioimageio.zip", "rdf.yaml"))
    assert rdf["inputs"][0]["data"] == {"type": "uint16", "range": [0, 65_535]}
    assert rdf["config"]["fibseg"]["normalisation"]["polarity"] == "bright"


def test_a_model_of_coarser_pixels_is_compared_on_that_level(tmp_path):
    store = small_store(tmp_path / "c.ome.zarr", shape=(40, 300, 280))
    assert store.n_levels > 1
    _, spec = small_model(spacing=(40.0, 40.0, 40.0))
    scene = scene_of(spec, constants_of(store), store)
    assert scene.shape == store.raw(1).shape != store.shape


def test_the_digest_of_the_model_is_told_and_scores_do_not_change_an_onnx_file(tmp_path):
    store = small_store(tmp_path / "c.ome.zarr")
    model = trained_model(tmp_path / "m", store)
    out = tmp_path / "out"
    for kind in ("onnx", "bioimageio"):
        export.run(model=str(model), format=kind, out=str(out))
    network, spec = load_network(model)
    save_model_folder(model, network, replace(spec, metrics={"iou": 0.5}), overwrite=True)
    again = export.run(model=str(model), format="onnx", out=str(out))
    assert list(again.values()) == ["made before"]
    # The package documents the scores.
    export.run(model=str(model), format="bioimageio", out=str(out), overwrite=True)
    assert '"iou": 0.5' in in_zip(out / "m.bioimageio.zip", "README.md").decode()


def test_a_model_trained_on_is_another_model(tmp_path):
    store = small_store(tmp_path / "c.ome.zarr")
    one = trained_model(tmp_path / "one", store)
    two = trained_model(tmp_path / "two", store, seed=1)
    ids = set()
    for number, model in enumerate((one, two)):
        out = tmp_path / f"out{number}"
        export.run(model=str(model), format="czann", tile=32, out=str(out), name="same")
        ids.add(json.loads(in_zip(out / "same.czann", "model.json"))["Id"])
    assert len(ids) == 2
    with pytest.raises(ExistsError, match="stands already"):
        export.run(model=str(two), format="czann", tile=32, out=str(tmp_path / "out0"), name="same")


def test_the_name_is_that_of_the_folder_however_it_was_typed(tmp_path, monkeypatch):
    trained_model(tmp_path / "m", small_store(tmp_path / "c.ome.zarr"))
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    for typed in ("m/", "./m", "deep/../m"):
        told = export.run(model=typed, format="onnx", out="out")
        assert [Path(p).name for p in told] == ["m.onnx"]
    assert list(told.values()) == ["made before"]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    model = trained_model(tmp_path / "m", small_store(tmp_path / "c.ome.zarr"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    export.run(model=str(model), format="onnx", out=str(out))
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in out.iterdir()) == ["m.onnx", "m.onnx.parity.json", "notes.txt"]


def test_killed_at_any_moment_it_leaves_no_part_and_the_same_command_does_it(tmp_path):
    store = small_store(tmp_path / "c.ome.zarr")
    model = trained_model(tmp_path / "m", store, overrides=(f"volume={store.path}",))
    out = tmp_path / "out"
    words = ["export", f"model={model}", "format=all", f"out={out}", "tile=1024"]
    running = subprocess.Popen(
        [sys.executable, "-m", "fibseg", *words], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    until = time.monotonic() + 120
    while not (tmp_path / ".out.lock").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)  # it makes and compares files now
    assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not out.exists() or not any(p.suffix in (".onnx", ".czann", ".zip")
                                       for p in out.iterdir())
    told = export.run(model=str(model), format="all", out=str(out), tile=32)
    assert len(told) == 3
    assert not (tmp_path / ".out.lock").exists()
