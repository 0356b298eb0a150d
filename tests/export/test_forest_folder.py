"""The folder of a pixel classifier: byte-equal, crash-safe, no pickle, nothing foreign taken."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from forest_fakes import random_forests
from inference_fakes import random_model

from fibseg.errors import DataError, ExistsError
from fibseg.export import (
    forest_digest,
    is_forest,
    load_forest_spec,
    load_forests,
    load_spec,
    save_forest_folder,
    save_model_folder,
    stages_of,
)
from fibseg.export.folder import is_pickle

FILES = ["README.md", "border.onnx", "model.json", "volume.onnx"]


@pytest.fixture
def folder(tmp_path):
    return save_forest_folder(tmp_path / "deep" / "cell", *random_forests())


def changed(folder, **changes):
    data = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**data, **changes}))


def test_a_classifier_comes_back_as_it_was(folder):
    wanted, spec = random_forests()
    found, again = load_forests(folder)
    assert (found, again) == (wanted, spec)
    assert spec == load_forest_spec(folder)
    assert stages_of(spec) == ["volume", "border"]
    assert is_forest(folder)
    card = (folder / "README.md").read_text()
    assert "fibseg classify model=THIS_FOLDER" in card
    assert '"class0": 9' in card


def test_nothing_in_it_is_a_pickle(folder):
    assert sorted(p.name for p in folder.iterdir()) == FILES
    for path in folder.iterdir():
        assert not is_pickle(path)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever, as long as it is no pickle
            pickle.loads(path.read_bytes())


def test_without_a_border_there_is_one_forest(tmp_path):
    folder = save_forest_folder(tmp_path / "m", *random_forests(border=()))
    assert sorted(p.name for p in folder.iterdir()) == [f for f in FILES if f != "border.onnx"]
    assert list(load_forests(folder)[0]) == ["volume"]


def test_equal_classifiers_are_byte_equal_and_nothing_is_written_again(folder, tmp_path):
    other = save_forest_folder(tmp_path / "b", *random_forests())
    for name in FILES:
        assert (folder / name).read_bytes() == (other / name).read_bytes()
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    save_forest_folder(folder, *random_forests())
    assert before == {p: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_another_one_is_not_replaced_unasked(folder):
    with pytest.raises(ExistsError, match=r"Choose another model=, or set overwrite=true"):
        save_forest_folder(folder, *random_forests(seed=1))
    digest = forest_digest(folder)
    save_forest_folder(folder, *random_forests(seed=1), overwrite=True)
    assert forest_digest(folder) != digest


def test_the_digest_says_what_decides_and_no_more(folder, tmp_path):
    digest = forest_digest(folder)
    changed(folder, training={"lesson": "another word"}, versions={})
    assert forest_digest(folder) == digest
    changed(folder, precision_nm=41.0)
    assert forest_digest(folder) != digest


@pytest.mark.parametrize("lost", ["model.json", "volume.onnx", "border.onnx"])
def test_a_folder_that_lacks_a_file_is_refused(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(DataError, match=lost):
        load_forest_spec(folder)


def test_what_is_no_classifier_is_named(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_forest_spec(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        load_forest_spec(tmp_path / "file")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "forest.joblib").write_bytes(pickle.dumps(np.arange(3)))
    with pytest.raises(DataError, match=r"forest.joblib is a pickle: loading one can run any code"):
        load_forest_spec(checkpoint)
    (checkpoint / "forest.joblib").unlink()
    with pytest.raises(DataError, match="no whole classifier"):
        load_forest_spec(checkpoint)


def test_networks_and_classifiers_are_told_apart(folder, tmp_path):
    network = save_model_folder(tmp_path / "unet", *random_model(features=(4, 4)))
    with pytest.raises(DataError, match=r"network of fibseg train.*fibseg infer"):
        load_forest_spec(network)
    with pytest.raises(DataError, match=r"pixel classifier, not a network.*fibseg classify"):
        load_spec(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format_version": 99}, "Install a newer fibseg"),
        ({"kind": "unet"}, "has kind 'unet'"),
        ({"extra": 1}, "unknown keys"),
        ({"classes": []}, "classes is"),
        ({"classes": ["a/b"]}, "classes is"),
        ({"precision_nm": 0}, "precision_nm"),
        ({"sigmas_nm": {"volume": [], "border": []}}, "sigmas_nm.volume"),
        ({"sigmas_nm": {"volume": "20", "border": []}}, "sigmas_nm.volume"),
        ({"sigmas_nm": {"volume": [20.0, -1.0], "border": []}}, "above 0"),
        ({"sigmas_nm": {"volume": [20.0]}}, "lacks the keys"),
        ({"normalisation": {"low_percentile": 5}}, "lacks the keys"),
        ({"training": {"a": "_target_"}}, "plain data"),
        ({"training": {"a": "${x}"}}, "plain data"),
    ],
)
def test_a_description_that_breaks_a_rule_is_refused(folder, changes, said):
    changed(folder, **changes)
    with pytest.raises(DataError, match=said):
        load_forest_spec(folder)


def test_forests_and_description_of_two_models_are_refused(folder, tmp_path):
    other = save_forest_folder(tmp_path / "b", *random_forests(n_classes=2))
    (folder / "volume.onnx").write_bytes((other / "volume.onnx").read_bytes())
    with pytest.raises(DataError, match="not of one model"):
        load_forests(folder)


@pytest.mark.parametrize("text", ["", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "\udc80"])
def test_a_description_that_is_no_json_is_refused(folder, text):
    (folder / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="is not"):
        load_forest_spec(folder)
