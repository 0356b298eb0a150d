"""A random forest as an ONNX graph of one node: thresholds and shares, no code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fibseg.errors import DataError

if TYPE_CHECKING:  # each takes a second to import
    from onnx import ModelProto
    from sklearn.ensemble import ExtraTreesClassifier

INPUT, OUTPUT = "features", "probabilities"
"""Names of the input, float32 (voxels, features), and of the output, float32 (voxels, values)."""

OPSET = {"": 18, "ai.onnx.ml": 3}
NODE = "TreeEnsembleClassifier"

_ROUNDING = 1e-4


def forest_to_onnx(forest: ExtraTreesClassifier) -> bytes:
    """Bytes of the ONNX file of a fitted forest, the same for the same forest."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model: ModelProto = to_onnx(
        forest, initial_types=[(INPUT, FloatTensorType([None, forest.n_features_in_]))],
        options={"zipmap": False}, target_opset=OPSET,
    )
    return bytes(model.SerializeToString(deterministic=True))


def check_onnx(data: bytes, where: Path, *, n_features: int, n_values: int) -> None:
    """Nothing, if `data` are a forest as `forest_to_onnx` makes them.

    A model travels between people, so that all but trees is refused: other operators, references
    to other files, numbers that are not finite, features that there are not, leaves that share out
    more than the whole. That the nodes are trees is for ONNX Runtime to tell.

    Raises
    ------
    DataError
        If they are not.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto, checker

    model = ModelProto()
    try:
        model.ParseFromString(data)
        checker.check_model(model)
    except (DecodeError, checker.ValidationError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or ["empty"])[0]
        raise DataError(f"{where} is not a whole ONNX file ({first}). {_REMEDY}") from error
    graph = model.graph
    operators = sorted(node.op_type for node in graph.node)
    if operators != [NODE] or graph.initializer or model.functions:
        raise DataError(f"{where} holds {operators}, not one forest ({NODE}) alone. {_REMEDY}")
    found = _features_of(graph), len(graph.output[1:]) and _values_of(graph.node[0])
    if found != (n_features, n_values):
        raise DataError(
            f"{where} has {found[0]} features and {found[1]} values, model.json {n_features} and "
            f"{n_values}: they are not of one model. {_REMEDY}"
        )
    for attribute in graph.node[0].attribute:
        if not all(map(math.isfinite, attribute.floats)):
            raise DataError(f"{where} has NaN or infinite {attribute.name}. {_REMEDY}")
    _check_trees(graph.node[0], where, n_features=n_features)


def _check_trees(node: Any, where: Path, *, n_features: int) -> None:
    """Nothing, if the trees ask for features that there are, and each voxel gets shares up to 1."""
    numbers = {a.name: np.array(a.floats or a.ints) for a in node.attribute}
    asked = numbers["nodes_featureids"]
    if ((asked < 0) | (asked >= n_features)).any():
        raise DataError(
            f"{where} asks for feature {asked.max()} (least {asked.min()}), but there are "
            f"{n_features}, counted from 0. {_REMEDY}"
        )
    trees, shares = numbers["class_treeids"], numbers["class_weights"]
    _, leaf = np.unique([trees, numbers["class_nodeids"]], axis=1, return_inverse=True)
    # A tree has one voice of n, which its leaf shares out; the rest is of the first value.
    of_leaf = np.bincount(leaf.reshape(-1), shares) * len(np.unique(trees))
    if (shares < 0).any() or (of_leaf > 1 + _ROUNDING).any():
        raise DataError(
            f"{where} has leaves with shares from {shares.min():g} to {of_leaf.max():g} of a "
            f"whole: its probabilities would be none. {_REMEDY}"
        )


def _features_of(graph: Any) -> int:
    """Width of the only input; 0 where it is something else."""
    if [i.name for i in graph.input] != [INPUT] or OUTPUT not in [o.name for o in graph.output]:
        return 0
    dims = graph.input[0].type.tensor_type.shape.dim
    return int(dims[1].dim_value) if len(dims) == 2 else 0


def _values_of(node: Any) -> int:
    """Number of values that the forest tells apart."""
    return next(
        (len(a.ints) for a in node.attribute if a.name == "classlabels_int64s"), 0
    )


_REMEDY = "Copy the model folder again, or train again with fibseg classify."
