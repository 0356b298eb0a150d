"""Bare ONNX files: what they do not tell is taken by stated rules."""

from __future__ import annotations

import json

import pytest
from foreign_files import onnx_model, write_onnx
from onnx import TensorProto

from fibseg.errors import DataError
from fibseg.export.foreign import Side, Step, read_foreign
from fibseg.export.foreign.onnx_model import UNIT


@pytest.mark.parametrize(("layout", "sides", "wanted"), [
    ("bcyx", ("h", "w"), (Side(64, 64),) * 2), ("byxc", ("h", "w"), (Side(64, 64),) * 2),
    ("cyx", (96, 64), (Side(96, 0), Side(64, 0))), ("yxc", (64, "w"), (Side(64, 0), Side(64, 64))),
])
def test_the_layout_follows_from_the_only_channel(tmp_path, layout, sides, wanted):
    model = read_foreign(write_onnx(tmp_path / "mito.onnx", layout=layout, sides=sides))
    assert (model.kind, model.layout, model.result_layout) == ("onnx", layout, layout)
    assert model.sides == wanted
    assert (model.names, model.margin, model.spacing) == (("mito",), None, None)
    assert (model.before, model.after, model.activation) == ((UNIT,), (), "none")


@pytest.mark.parametrize(("n", "end", "activation", "names"), [
    (1, "Sigmoid", "none", ("m",)), (1, None, "sigmoid", ("m",)), (2, None, "softmax", ("m",)),
    (3, "Softmax", "none", ("class1", "class2")), (2, "Sigmoid", "none", ("class0", "class1")),
    (3, "Relu", "softmax", ("class1", "class2")),
])
def test_the_end_of_the_graph_tells_what_comes_out(tmp_path, n, end, activation, names):
    model = read_foreign(write_onnx(tmp_path / "m.onnx", n=n, end=end))
    assert (model.activation, model.names) == (activation, names)


@pytest.mark.parametrize(
    ("dtype", "largest"), [(TensorProto.UINT8, 255), (TensorProto.UINT16, 65535)]
)
def test_whole_numbers_are_given_as_such(tmp_path, dtype, largest):
    model = read_foreign(write_onnx(tmp_path / "m.onnx", dtype=dtype))
    assert model.before == (UNIT, Step("scale_linear", (("gain", float(largest)), ("offset", 0.0))))


@pytest.mark.parametrize(("change", "match"), [
    ({"layout": "bcyx", "batch": 4}, r"images of shape \[4, 1, 'any', 'any'\]"),
    ({"sides": (100_000, 64)}, "at most 8192"),
    ({"dtype": TensorProto.INT64}, "takes int64 and gives float32"),
])
def test_what_no_plane_fits_into_is_refused(tmp_path, change, match):
    with pytest.raises(DataError, match=match):
        read_foreign(write_onnx(tmp_path / "m.onnx", **change))


def rewritten(tmp_path, change):
    model = onnx_model()
    change(model.graph)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_three_channels_are_refused(tmp_path):
    def change(graph):
        graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3

    with pytest.raises(DataError, match="with 1 channel, one at a time"):
        read_foreign(rewritten(tmp_path, change))


def test_results_of_other_pixels_are_refused(tmp_path):
    def change(graph):
        conv = next(n for n in graph.node if n.op_type == "Conv")
        next(a for a in conv.attribute if a.name == "pads").ints[:] = [0, 0, 0, 0]
        del graph.value_info[:]

    with pytest.raises(DataError, match="not a value for each pixel"):
        read_foreign(rewritten(tmp_path, change))


def passport(**changed):
    told = {
        "format_version": 1, "classes": ["background", "mito"], "spacing_nm": [8.0, 4.0, 4.0],
        "context": 0, "window": {"core": [64, 64], "margin": 16}, "stride_multiple": 8,
        "values": "raw", "normalisation": {"polarity": "dark", "low": 3.0}, "more": 1, **changed,
    }
    return {"fibseg": json.dumps({k: v for k, v in told.items() if v is not None})}


def test_the_passport_of_fibseg_is_read(tmp_path):
    model = read_foreign(write_onnx(tmp_path / "m.onnx", metadata=passport()))
    assert (model.names, model.spacing, model.margin) == (("mito",), (8.0, 4.0, 4.0), (16, 16))
    assert (model.core, model.multiple, model.sides) == ((64, 64), 8, (Side(8, 8),) * 2)
    assert (model.before, model.polarity) == ((), None)  # its graph has no inputs for them
    unit = read_foreign(write_onnx(tmp_path / "u.onnx", metadata=passport(values="unit")))
    assert unit.before == (UNIT,)


@pytest.mark.parametrize("changed", [
    {"format_version": 2}, {"classes": ["../x", "y"]}, {"classes": None}, {"classes": ["a", "a"]},
    {"spacing_nm": [0, 1, 1]}, {"spacing_nm": [1, 1]}, {"context": -1}, {"window": {"core": [4]}},
    {"window": {"core": [4, 4, 4], "margin": 1}}, {"stride_multiple": 0}, {"values": "other"},
    {"normalisation": {"polarity": "green"}}, {"more": "${oc.env:HOME}"},
    {"more": {"_target_": "os.system"}}, {"context": 1}, {"classes": ["background", "a", "b", "c"]},
])
def test_a_passport_that_cannot_be_meant_is_refused(tmp_path, changed):
    path = write_onnx(tmp_path / "m.onnx", metadata=passport(**changed))
    with pytest.raises(DataError):
        read_foreign(path)
