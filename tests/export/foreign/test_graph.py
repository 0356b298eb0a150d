"""Graphs of strangers: only ONNX's own operators, all in one file, of limited size, with an end."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from foreign_files import FLOAT, data_of, onnx_model
from onnx import TensorProto, helper, numpy_helper

from fibseg.errors import DataError
from fibseg.export.foreign import graph as rules
from fibseg.export.foreign.graph import check_sizes, read_graph


def refused(model, match):
    data = model if isinstance(model, bytes) else data_of(model)
    with pytest.raises(DataError, match=match):
        read_graph(data, "it")


def test_what_a_graph_takes_and_gives_is_told():
    graph = read_graph(data_of(onnx_model(n=3, metadata={"who": "me"})), "it")
    assert (graph.image.name, graph.image.dtype, graph.image.dims) == (
        "image", "float32", (None, 1, None, None)
    )
    assert graph.result.dims == (None, 3, None, None)
    assert graph.metadata == {"who": "me"}
    assert graph.options == ()


@pytest.mark.parametrize(("end", "layout", "found"), [
    ("Softmax", "bcyx", "softmax"), ("Sigmoid", "byxc", "sigmoid"), (None, "bcyx", ""),
    ("Relu", "bcyx", ""), ("Softmax", "yxc", "softmax"), ("HardSigmoid", "cyx", "sigmoid"),
])
def test_the_end_is_found_behind_what_only_moves(end, layout, found):
    assert read_graph(data_of(onnx_model(end=end, layout=layout)), "it").end == found


def test_inputs_with_defaults_are_options():
    model = onnx_model()
    for name in ("low", "high"):
        model.graph.input.append(helper.make_tensor_value_info(name, FLOAT, []))
        model.graph.initializer.append(numpy_helper.from_array(np.float32(3), name))
    assert [o.name for o in read_graph(data_of(model), "it").options] == ["low", "high"]


def external(model, location):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "72")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


@pytest.mark.parametrize("location", ["marker.bin", "../marker.bin", "/etc/passwd", ""])
def test_weights_in_other_files_are_never_opened(tmp_path, monkeypatch, location):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marker.bin").write_bytes(bytes(72))
    refused(external(onnx_model(), location), "in another file, which is never opened")


def test_weights_elsewhere_are_found_wherever_they_hide():
    hidden = numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    entry = hidden.external_data.add()
    entry.key, entry.value = "location", "x"
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=hidden)], "inner", [],
        [helper.make_tensor_value_info("c", FLOAT, [3])],
    )
    plain = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value_float=1.0)], "plain", [],
        [helper.make_tensor_value_info("c", FLOAT, [])],
    )
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("y", 9, [], [True]))
    nodes = [
        [helper.make_node("Constant", [], ["k"], value=hidden)],
        [yes, helper.make_node("If", ["yes"], ["k"], then_branch=inner, else_branch=plain)],
    ]
    for extra in nodes:
        refused(onnx_model(nodes=extra), "in another file")
    model = onnx_model()
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(hidden)
    refused(model, "in another file")


@pytest.mark.parametrize(
    "domain", ["com.microsoft", "evil", "org.pytorch.aten", "ai.onnx.training"]
)
def test_operators_of_others_are_refused(domain):
    node = helper.make_node("Run", ["image"], ["k"], domain=domain)
    model = onnx_model(nodes=[node])
    refused(model, "not ONNX's")
    model.opset_import.append(helper.make_opsetid(domain, 1))
    refused(model, "not ONNX's")


def test_unknown_operators_are_refused():
    refused(onnx_model(nodes=[helper.make_node("RunCommand", ["image"], ["k"])]), "rule of ONNX")


def test_functions_and_training_are_refused():
    model = onnx_model()
    model.functions.append(helper.make_function(
        "evil", "Run", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])],
        [helper.make_opsetid("", 18)],
    ))
    refused(model, r"functions of its own, \['evil.Run'\]")
    model = onnx_model()
    model.training_info.add()
    refused(model, "training")


@pytest.mark.parametrize("op", ["Loop", "Scan", "SequenceMap"])
def test_loops_are_refused(op):
    node = helper.make_node(op, ["image"], ["k"])
    refused(onnx_model(nodes=[node]), f"a {op}, which might never end")


@pytest.mark.parametrize(
    "op", ["RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"]
)
def test_random_numbers_are_refused(op):
    refused(onnx_model(nodes=[helper.make_node(op, ["image"], ["k"])]), "draws random numbers")


def test_what_is_hidden_in_a_branch_is_found():
    inner = helper.make_graph(
        [helper.make_node("RandomNormal", [], ["c"], shape=[3])], "inner", [],
        [helper.make_tensor_value_info("c", FLOAT, [3])],
    )
    yes = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("y", 9, [], [True]))
    node = helper.make_node("If", ["yes"], ["k"], then_branch=inner, else_branch=inner)
    refused(onnx_model(nodes=[yes, node]), "draws random numbers")


def test_graphs_nested_without_end_are_refused():
    inner = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [], [])
    for _ in range(12):
        inner = helper.make_graph(
            [helper.make_node("If", ["a"], ["b"], then_branch=inner)], "g", [], []
        )
    model = onnx_model()
    model.graph.node.append(inner.node[0])
    refused(model, "graphs inside graphs, more than 8 deep")


@pytest.mark.parametrize("dims", [[2**40], [2**31, 2**31], [-1], [3, 3, 3, 3, 3, 3]])
def test_weights_that_claim_more_than_they_hold_are_refused(dims):
    model = onnx_model()
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.raw_data = "big", FLOAT, bytes(40)
    tensor.dims.extend(dims)
    refused(model, "which cannot be")


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand", "Tile"])
def test_huge_arrays_inside_are_found_before_they_are_made(op):
    shape = np.array([2**20, 2**20], np.int64)
    make = numpy_helper.from_array(shape, "huge")
    nodes = [helper.make_node("Constant", [], ["huge"], value=make)]
    if op == "ConstantOfShape":
        nodes.append(helper.make_node(op, ["huge"], ["k"]))
    else:
        one = numpy_helper.from_array(np.ones((1, 1), np.float32), "one")
        nodes.append(helper.make_node("Constant", [], ["one"], value=one))
        nodes.append(helper.make_node(op, ["one", "huge"], ["k"]))
    data = data_of(onnx_model(nodes=nodes))
    read_graph(data, "it")
    with pytest.raises(DataError, match=r"makes an array of shape \[1048576, 1048576\]"):
        check_sizes(data, (1, 1, 64, 64), "it")


def test_sizes_tell_the_shape_of_the_result():
    data = data_of(onnx_model(n=3, layout="byxc"))
    assert check_sizes(data, (1, 40, 56, 1), "it") == (1, 40, 56, 3)


def test_a_shape_that_does_not_fit_is_told():
    data = data_of(onnx_model(sides=(64, 64)))
    with pytest.raises(DataError, match="does not fit together"):
        check_sizes(data, (1, 1, 32, 64), "it")


@pytest.mark.parametrize("data", [
    b"", b"\x00" * 50, b"hello world, this is no model", b"\x08\x09", b"\x80\x04\x95evil.",
])
def test_other_files_are_refused(data):
    refused(data, "not a whole ONNX file")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_cut_files_are_refused(share):
    data = data_of(onnx_model(radius=3))
    refused(data[: int(len(data) * share)], "ONNX")


def test_too_large_a_file_is_refused_unread(monkeypatch):
    monkeypatch.setattr(rules, "FILE_BYTES", 100)
    refused(onnx_model(), "at most 100 are read")


def test_too_many_operators_are_refused(monkeypatch):
    monkeypatch.setattr(rules, "NODES", 2)
    refused(onnx_model(), "operators, at most 2")


def test_more_than_one_image_or_result_is_refused():
    model = onnx_model()
    model.graph.input.append(helper.make_tensor_value_info("second", FLOAT, [1]))
    refused(model, r"takes \['image', 'second'\]")
    model = onnx_model()
    model.graph.output.append(helper.make_tensor_value_info("values", FLOAT, [1, 2, 3, 4]))
    refused(model, r"gives \['result', 'values'\]")


def test_inputs_that_are_no_tensors_are_refused():
    model = onnx_model()
    model.graph.input[0].type.CopyFrom(onnx.TypeProto(
        sequence_type=onnx.TypeProto.Sequence(elem_type=helper.make_tensor_type_proto(FLOAT, [1]))
    ))
    refused(model, "does not tell the shape|rule of ONNX")


def test_a_key_of_the_metadata_twice_is_refused():
    model = onnx_model(metadata={"fibseg": "{}"})
    entry = model.metadata_props.add()
    entry.key, entry.value = "fibseg", "{}"
    refused(model, "twice|rule of ONNX")
