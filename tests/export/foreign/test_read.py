"""The door: what a file is, is told by its content, and each wrong one is one clear error."""

from __future__ import annotations

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from foreign_files import (
    czann_files,
    onnx_model,
    package_files,
    write_czann,
    write_onnx,
    write_package,
    zipped,
)

from fibseg.errors import DataError
from fibseg.export.foreign import is_model_file, read, read_foreign


def test_the_content_decides_and_not_the_name(tmp_path):
    kinds = {"onnx": write_onnx, "czann": write_czann, "bioimageio": write_package}
    for kind, write in kinds.items():
        path = write(tmp_path / "model.dat")
        found = read_foreign(path)
        assert found.kind == kind
        assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert is_model_file(path)
    assert not is_model_file(tmp_path)


class Evil:
    """Would make a file where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("marker",)


@pytest.mark.parametrize("save", [
    lambda path: torch.save({"state_dict": Evil()}, path),
    lambda path: torch.save(Evil(), path, _use_new_zipfile_serialization=False),
    lambda path: path.write_bytes(pickle.dumps(Evil())),
    lambda path: path.write_bytes(pickle.dumps(Evil(), protocol=2)),
    lambda path: np.save(path, np.array([Evil()], object), allow_pickle=True),
])
@pytest.mark.parametrize("name", ["model.onnx", "model.czann", "best.ckpt", "m.npy"])
def test_pickles_are_never_opened(tmp_path, monkeypatch, save, name):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / name)
    (made,) = tmp_path.iterdir()
    with pytest.raises(DataError, match=r"pickle|not a whole ONNX|behind its end|no model that"):
        read_foreign(made)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"text", b"\x89PNG\r\n", b"\0" * 999])
def test_other_files_are_one_clear_error(tmp_path, data):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(DataError, match="Copy it again"):
        read_foreign(path)


def test_zips_of_other_things_are_told_by_what_is_in_them(tmp_path):
    with pytest.raises(DataError, match=r"zip of \['word/document.xml'\], which is no model"):
        read_foreign(zipped(tmp_path / "a.docx", {"word/document.xml": b"<x/>"}))
    with pytest.raises(DataError, match="There is no model file"):
        read_foreign(tmp_path / "none.onnx")


def test_several_models_in_one_file_are_refused(tmp_path):
    both = package_files() | czann_files()
    twice = package_files()
    twice["bioimageio.yaml"] = twice["rdf.yaml"]
    for files in (both, twice):
        with pytest.raises(DataError, match="several models in one"):
            read_foreign(zipped(tmp_path / "a.zip", files))


def test_messages_do_not_steer_the_terminal(tmp_path):
    evil = "\x1b[2J\x1b]0;marker\x07\nfibseg infer: all is well"
    model = onnx_model()
    model.graph.node[0].op_type = evil
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    for file in (
        path, zipped(tmp_path / "a.czann", czann_files(Type=evil)),
        zipped(tmp_path / "b.czann", czann_files(**{evil: 1})),
        write_package(tmp_path / "c.zip", type=evil), write_package(tmp_path / "d.zip", **{
            "inputs.0.preprocessing": [{"id": evil}]
        }), write_package(tmp_path / "e.zip", **{"inputs.0.axes.2.id": evil}),
        write_package(tmp_path / "f.zip", weights={evil: {}}),
    ):
        with pytest.raises(DataError) as caught:
            read_foreign(file)
        assert str(caught.value).isprintable()


def test_a_large_file_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "FILE_BYTES", 10)
    with pytest.raises(DataError, match="at most 10 are read"):
        read_foreign(write_onnx(tmp_path / "m.onnx"))


@pytest.mark.parametrize("write", [write_onnx, write_czann, write_package])
def test_every_cut_is_told(tmp_path, write):
    whole = write(tmp_path / "m.dat").read_bytes()
    path = tmp_path / "cut.dat"
    for keep in np.linspace(1, len(whole) - 1, 12).astype(int):
        path.write_bytes(whole[:keep])
        with pytest.raises(DataError):
            read_foreign(path)


@pytest.mark.parametrize("write", [write_onnx, write_czann, write_package])
def test_damage_is_an_error_or_nothing_worse(tmp_path, write):
    """Any flipped byte either leaves a model that passes all checks, or is a DataError."""
    whole = bytearray(write(tmp_path / "m.dat").read_bytes())
    path, rng = tmp_path / "bad.dat", np.random.default_rng(0)
    told = 0
    for at in rng.integers(0, len(whole), 60):
        bad = bytearray(whole)
        bad[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bad)
        try:
            read_foreign(path)
        except DataError:
            told += 1
    assert told > 5
