"""The ONNX file answers as scikit-learn does, and holds trees and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from forest_fakes import random_forests
from onnx import ModelProto, TensorProto, helper

from fibseg.errors import DataError
from fibseg.export import forest_to_onnx
from fibseg.export.forest_onnx import check_onnx
from fibseg.inference.forest import ROWS, Forest
from fibseg.models.forest import fit_forest

HERE = Path("m/volume.onnx")


def made(n_values=2, n_features=7, n=300, n_trees=32):
    rng = np.random.default_rng(n_values)
    values = rng.integers(1, n_values + 1, n)
    features = (rng.normal(size=(n, n_features)) + values[:, None]).astype(np.float32)
    return fit_forest(features, values, n_trees=n_trees), features


def edited(data, change):
    model = ModelProto.FromString(data)
    change(model)
    return model.SerializeToString()


def attribute(model, name):
    return next(a for a in model.graph.node[0].attribute if a.name == name)


@pytest.mark.parametrize("n_values", [2, 3, 5])
def test_probabilities_are_those_of_scikit_learn(n_values):
    forest, features = made(n_values)
    fresh = np.random.default_rng(9).normal(2, 2, (5000, 7)).astype(np.float32)
    ours = Forest(forest_to_onnx(forest))
    for rows in (features, fresh):
        np.testing.assert_allclose(ours(rows.T).T, forest.predict_proba(rows), atol=2e-6)
        np.testing.assert_allclose(ours(rows.T).sum(0), 1, atol=1e-5)


def test_a_voxel_has_the_same_bits_whatever_it_is_asked_with():
    forest, _ = made()
    ours = Forest(forest_to_onnx(forest))
    rows = np.random.default_rng(1).normal(2, 2, (7, ROWS + 77)).astype(np.float32)
    together = ours(rows)
    for n in (1, 3, 127, 128, 129, ROWS - 1):
        np.testing.assert_array_equal(ours(rows[:, -n:]), together[:, -n:])
    assert ours(rows[:, :0]).shape == (2, 0)


def test_equal_forests_are_byte_equal():
    assert forest_to_onnx(made()[0]) == forest_to_onnx(made()[0])


def test_a_forest_as_it_is_made_passes():
    for n_values in (2, 4):
        check_onnx(forest_to_onnx(made(n_values)[0]), HERE, n_features=7, n_values=n_values)


def test_what_is_no_onnx_file_is_refused():
    data = forest_to_onnx(made()[0])
    for bad in (b"", data[:-100], b"\x80\x04" + data, pickle.dumps([1]), b"PK\x03\x04rest"):
        with pytest.raises(DataError, match=r"volume.onnx"):
            check_onnx(bad, HERE, n_features=7, n_values=2)


def test_a_forest_of_another_model_is_refused():
    data = forest_to_onnx(made()[0])
    for n_features, n_values in ((8, 2), (7, 3)):
        with pytest.raises(DataError, match="has 7 features and 2 values"):
            check_onnx(data, HERE, n_features=n_features, n_values=n_values)


def test_other_operators_and_files_beside_it_are_refused():
    data = forest_to_onnx(made()[0])

    def more(model):
        model.graph.node.append(helper.make_node("Identity", ["probabilities"], ["again"]))

    def outside(model):
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type = "w", TensorProto.FLOAT
        tensor.dims.append(1)
        tensor.float_data.append(1.0)

    for change in (more, outside):
        with pytest.raises(DataError, match="not one forest"):
            check_onnx(edited(data, change), HERE, n_features=7, n_values=2)
    network = helper.make_model(helper.make_graph(
        [helper.make_node("Relu", ["features"], ["probabilities"])], "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 7])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 7])],
    ), opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    with pytest.raises(DataError, match=r"\['Relu'\]"):
        check_onnx(network.SerializeToString(), HERE, n_features=7, n_values=2)


@pytest.mark.parametrize("name", ["nodes_values", "class_weights"])
def test_numbers_that_are_none_are_refused(name):
    def spoil(model):
        attribute(model, name).floats[0] = float("nan")

    with pytest.raises(DataError, match=f"NaN or infinite {name}"):
        check_onnx(edited(forest_to_onnx(made()[0]), spoil), HERE, n_features=7, n_values=2)


@pytest.mark.parametrize("wrong", [7, 5000, 2**31, -1])
def test_features_that_there_are_not_are_refused(wrong):
    """ONNX Runtime would find out in the middle of a volume, or read what is no feature."""
    def spoil(model):
        attribute(model, "nodes_featureids").ints[0] = wrong

    with pytest.raises(DataError, match="but there are 7, counted from 0"):
        check_onnx(edited(forest_to_onnx(made()[0]), spoil), HERE, n_features=7, n_values=2)


@pytest.mark.parametrize("n_values", [2, 3])
@pytest.mark.parametrize("share", [-0.01, 0.1, 300.0])
def test_leaves_share_out_no_more_than_the_whole(n_values, share):
    def spoil(model):
        attribute(model, "class_weights").floats[3] = share

    data = edited(forest_to_onnx(made(n_values)[0]), spoil)
    with pytest.raises(DataError, match="leaves with shares from"):
        check_onnx(data, HERE, n_features=7, n_values=n_values)


@pytest.mark.parametrize(
    ("name", "value"),
    [("nodes_truenodeids", 0), ("nodes_falsenodeids", 10**6), ("class_nodeids", 10**6),
     ("class_ids", 77), ("nodes_treeids", 500)],
)
def test_nodes_that_are_no_trees_are_refused_before_they_are_asked(name, value):
    """A way back to the root would be walked for ever."""
    def spoil(model):
        attribute(model, name).ints[1] = value

    with pytest.raises(DataError, match="ONNX Runtime cannot use the forest"):
        Forest(edited(forest_to_onnx(made()[0]), spoil))


def test_the_forests_of_other_tests_pass_too():
    forests, spec = random_forests(n_classes=2)
    for stage, data in forests.items():
        n = 4 * len(spec.sigmas_nm[stage])
        check_onnx(data, HERE, n_features=n, n_values=3)
