"""CZANN files as ZEN, arivis and czmodel write them."""

from __future__ import annotations

import json

import pytest
from foreign_files import czann_files, write_czann, zipped

from fibseg.errors import DataError
from fibseg.export.foreign import Side, read_foreign
from fibseg.export.foreign.onnx_model import UNIT


@pytest.mark.parametrize("layout", ["byxc", "bcyx", "yxc"])
def test_a_czann_is_read(tmp_path, layout):
    path = write_czann(tmp_path / "cells.czann", layout=layout, Scaling=[4e-9, 5e-9])
    model = read_foreign(path)
    assert (model.kind, model.layout) == ("czann", layout)
    assert model.sides == (Side(64, 0),) * 2
    assert model.margin == (8, 8)  # MinOverlap counts both neighbours
    assert model.spacing == pytest.approx((None, 5.0, 4.0))
    assert (model.classes, model.before, model.activation) == (((1, "Class_1"),), (UNIT,), "none")


@pytest.mark.parametrize(("changed", "wanted"), [
    ({"FormatVersion": None}, {}), ({"FormatVersion": "1.1.0"}, {}),
    ({"MinOverlap": None}, {"margin": None}), ({"MinOverlap": [0, 0]}, {"margin": None}),
    ({"MinOverlap": [10]}, {"margin": (5, 5)}),
    ({"MinOverlap": [15, 4]}, {"margin": (8, 2)}),
    ({"Type": "Regression", "Classes": None}, {"names": ("a",)}),  # ends in a softmax
    ({"Classes": ["er", "golgi"]}, {"names": ("er", "golgi")}),
    ({"Scaling": [4e-9, 4e-9, 8e-9]}, {"spacing": pytest.approx((8.0, 4.0, 4.0))}),
])
def test_what_may_be_left_out_or_differ(tmp_path, changed, wanted):
    model = read_foreign(write_czann(tmp_path / "a.czann", **changed))
    for key, value in wanted.items():
        assert getattr(model, key) == value


@pytest.mark.parametrize(("changed", "match"), [
    ({"Type": "ObjectDetection"}, "Type 'ObjectDetection'"),
    ({"Type": "MultiClassInstanceSegmentation"}, "fibseg runs"),
    ({"FormatVersion": "3.0.0"}, "FormatVersion '3.0.0'"),
    ({"FormatVersion": 2.1}, "FormatVersion"),
    ({"InputShape": [8, 64, 64, 1]}, "looks at boxes"), ({"InputShape": [64, 64, 3]}, "3 channels"),
    ({"InputShape": [64, 0, 1]}, "InputShape"), ({"InputShape": "64"}, "InputShape"),
    ({"InputShape": [1e6, 64, 1]}, "InputShape"), ({"InputShape": [99999, 64, 1]}, "InputShape"),
    ({"InputShape": [32, 32, 1], "OutputShape": [32, 32, 2]}, "not a value|description tells"),
    ({"OutputShape": [32, 32, 2]}, "tells results of"),
    ({"InputShape": [True, 64, 1]}, "InputShape"),
    ({"Classes": ["a"]}, "Classes"), ({"Classes": ["a", 5]}, "Classes"),
    ({"OutputShape": [64, 64, 3], "Classes": ["a", "b", "c"]}, "names 3 classes"),
    ({"MinOverlap": [-2, 4]}, "MinOverlap"), ({"MinOverlap": 4}, "MinOverlap"),
    ({"Scaling": [0, 1]}, "Scaling"), ({"Scaling": [1e-9]}, "Scaling"),
    ({"Id": "../x"}, "Id"), ({"Id": None}, "needed are"), ({"Evil": 1}, "known are"),
    ({"ModelName": "${oc.env:HOME}"}, "plain data"),
    ({"ModelName": {"_target_": "os.system"}}, "plain"),
])
def test_other_models_and_broken_descriptions_are_refused(tmp_path, changed, match):
    with pytest.raises(DataError, match=match):
        read_foreign(write_czann(tmp_path / "a.czann", **changed))


@pytest.mark.parametrize("data", [b"", b"[]", b"5", b'"text"', b"{", b"\xff", b"[" * 100_000])
def test_a_description_that_is_none_is_refused(tmp_path, data):
    path = zipped(tmp_path / "a.czann", {**czann_files(), "model.json": data})
    with pytest.raises(DataError, match=r"model\.json"):
        read_foreign(path)


def test_weights_that_are_a_zip_or_a_pickle_are_refused(tmp_path):
    inner = zipped(tmp_path / "saved.zip", {"saved_model.pb": b"x"}).read_bytes()
    for data in (inner, b"\x80\x04\x95cpathlib\nPath.touch\n", b""):
        path = zipped(tmp_path / "a.czann", {**czann_files(), "model.model": data})
        with pytest.raises(DataError, match="not a whole ONNX file"):
            read_foreign(path)


def test_a_class_named_like_a_path_stays_in_the_store(tmp_path):
    path = write_czann(tmp_path / "a.czann", Classes=["Background", "../../marker"])
    assert read_foreign(path).names == ("marker",)
    assert json.loads(czann_files(Classes=["Background", "../../marker"])["model.json"])["Classes"]
