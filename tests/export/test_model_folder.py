"""The model folder: byte-equal, crash-safe, and nothing in it can execute."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fibseg.errors import DataError, ExistsError
from fibseg.export import (
    ModelSpec,
    describe_model,
    load_network,
    load_spec,
    save_model_folder,
    weights_digest,
)
from fibseg.models import NetworkSpec, build_network, receptive_margin, stride_multiple

NETWORK = NetworkSpec(features=(4, 8))


def make_model(seed: int = 0) -> tuple[nn.Module, ModelSpec]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(NETWORK, in_channels=1, n_classes=2)
    spec = describe_model(
        network={"name": "unet", "features": [4, 8], "dropout": 0.1, "norm": "batch",
                 "context": 0},
        classes=["mitochondria", "nucleus"],
        normalisation={"low_percentile": 0.5, "high_percentile": 99.5, "stain": "bright"},
        context=0, receptive_field=receptive_margin(NETWORK),
        stride_multiple=stride_multiple(NETWORK), training={"volumes": []}, metrics={"iou": 0.5},
        spacing=(20.0, 20.0, 20.0),
    )
    return network, spec


def test_a_network_comes_back_as_it_was(tmp_path):
    network, spec = make_model()
    folder = save_model_folder(tmp_path / "deep" / "model", network, spec)
    again, found = load_network(folder)
    assert found == spec == load_spec(folder)
    assert not again.training
    image = torch.randn(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(again(image), network.eval()(image))
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "model.json", "weights.safetensors"
    ]
    card = (folder / "README.md").read_text()
    assert "mitochondria, nucleus" in card
    assert '"iou": 0.5' in card


def test_equal_models_are_byte_equal(tmp_path):
    for name in ("a", "b"):
        save_model_folder(tmp_path / name, *make_model())
    for file in ("weights.safetensors", "model.json", "README.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert weights_digest(tmp_path / "a") == weights_digest(tmp_path / "b")


def test_loading_does_not_touch_the_random_numbers(tmp_path):
    folder = save_model_folder(tmp_path / "m", *make_model())
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    load_network(folder)
    assert torch.equal(torch.rand(2), wanted)


def test_the_digest_is_of_what_decides_about_the_output(tmp_path):
    network, spec = make_model()
    base = weights_digest(save_model_folder(tmp_path / "a", network, spec))
    data = json.loads(spec.to_json())
    scored = ModelSpec.from_json(json.dumps({**data, "metrics": {"iou": 0.9}}))
    assert weights_digest(save_model_folder(tmp_path / "b", network, scored)) == base
    coarser = ModelSpec.from_json(json.dumps({**data, "spacing": [40, 40, 40]}))
    assert weights_digest(save_model_folder(tmp_path / "c", network, coarser)) != base
    other = save_model_folder(tmp_path / "d", make_model(seed=1)[0], spec)
    assert weights_digest(other) != base


def test_another_model_is_replaced_only_on_request(tmp_path):
    folder = save_model_folder(tmp_path / "m", *make_model())
    (folder / "training").mkdir()
    save_model_folder(folder, *make_model())  # the same one: nothing to do
    other = make_model(seed=1)
    with pytest.raises(ExistsError, match="overwrite=true"):
        save_model_folder(folder, *other)
    save_model_folder(folder, *other, overwrite=True)
    assert torch.equal(
        load_network(folder)[0].state_dict()["head.weight"], other[0].state_dict()["head.weight"]
    )
    assert (folder / "training").is_dir()


def test_a_crash_while_replacing_leaves_no_model_rather_than_a_mixed_one(tmp_path, monkeypatch):
    folder = save_model_folder(tmp_path / "m", *make_model())
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("power cut")))
    with pytest.raises(OSError, match="power cut"):
        save_model_folder(folder, *make_model(seed=1), overwrite=True)
    monkeypatch.undo()
    with pytest.raises(DataError, match="training has not ended"):
        load_spec(folder)
    save_model_folder(folder, *make_model(seed=1))
    load_network(folder)


class Evil:
    """A pickle of it makes a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "weights.bin", "weights.safetensors"])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_pickles_are_refused_by_their_content(tmp_path, name, form):
    trap, folder = tmp_path / "ran", tmp_path / "m"
    folder.mkdir()
    if form == "pickle":
        (folder / name).write_bytes(pickle.dumps(Evil(trap)))
    else:
        torch.save({"state": Evil(trap)}, folder / name)
        assert zipfile.is_zipfile(folder / name)
    for given in (folder, folder / name):
        with pytest.raises(DataError, match=r"pickle.*model\.json"):
            load_spec(given)
    (folder / "model.json").write_text(make_model()[1].to_json())
    if name == "weights.safetensors":
        with pytest.raises(DataError, match="pickle"):
            load_network(folder)
    assert not trap.exists()


def test_other_zip_files_are_not_called_pickles(tmp_path):
    np.savez(tmp_path / "planes.npz", image=np.zeros(3))
    with pytest.raises(DataError, match=r"planes\.npz is a file\. Give the model folder"):
        load_spec(tmp_path / "planes.npz")
    (tmp_path / "cut.ckpt").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    with pytest.raises(DataError, match="pickle or a training checkpoint"):
        load_spec(tmp_path / "cut.ckpt")


def test_an_old_kind_of_pickle_is_refused_too(tmp_path):
    folder = save_model_folder(tmp_path / "m", *make_model())
    (folder / "weights.safetensors").write_bytes(pickle.dumps([1, 2], protocol=0))
    with pytest.raises(DataError, match="not a whole safetensors file"):
        load_network(folder)


@pytest.mark.parametrize("keep", [0, 7, 60, 2000])
def test_cut_off_weights_are_refused(tmp_path, keep):
    folder = save_model_folder(tmp_path / "m", *make_model())
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match="whole safetensors"):
        load_network(folder)


def test_weights_of_another_network_are_refused(tmp_path):
    spec = make_model()[1]
    folder = save_model_folder(tmp_path / "m", nn.Conv2d(1, 2, 3), spec)
    with pytest.raises(DataError, match="does not fit"):
        load_network(folder)


@pytest.mark.parametrize(
    "network", [{"name": "alexnet"}, {"name": "unet", "floors": 3}, {"name": "unet", "norm": "x"}]
)
def test_an_architecture_that_is_not_known_is_refused(tmp_path, network):
    module, spec = make_model()
    data = json.loads(spec.to_json())
    data["network"] = network
    folder = save_model_folder(tmp_path / "m", module, ModelSpec.from_json(json.dumps(data)))
    with pytest.raises(DataError, match="cannot be built"):
        load_network(folder)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    network, spec = make_model()
    with torch.no_grad():
        network.head.weight[0, 1] = float("nan")
    with pytest.raises(DataError, match=r"1 weights of head\.weight are NaN"):
        save_model_folder(tmp_path / "m", network, spec)
    assert not (tmp_path / "m").exists()


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="There is no model folder"):
        load_spec(tmp_path / "nothing")
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(DataError, match="is a file"):
        load_spec(tmp_path / "text.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="fibseg train"):
        load_spec(tmp_path / "empty")


def test_reading_a_description_imports_no_torch(tmp_path):
    folder = save_model_folder(tmp_path / "m", *make_model())
    code = (
        "import sys; from fibseg.export import load_spec; load_spec(sys.argv[1]); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=60)
