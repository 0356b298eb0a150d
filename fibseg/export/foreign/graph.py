"""An ONNX graph of a stranger: parsed, searched for what it may not hold, and asked what it takes.

A graph cannot run code of its own as long as all operators are those of ONNX. What is left to do
harm are references to other files, sizes, and loops without an end; each is refused here. Random
operators are refused too, since the result of a voxel must not depend on when it is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fibseg.errors import DataError
from fibseg.export.foreign.limits import BRANCHES, DEPTH, FILE_BYTES, NODES, TENSOR_VALUES

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
ENDLESS = ("Loop", "Scan", "SequenceMap")
RANDOM = (
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
    "Bernoulli",
)
_PASSES_ON = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast", "Slice", "Pad")
_ENDS = {"Softmax": "softmax", "Sigmoid": "sigmoid", "HardSigmoid": "sigmoid"}
_REMEDY = "Have it exported again, as one file of plain ONNX operators."


@dataclass(frozen=True)
class Tensor:
    """Input or output of a graph.

    Parameters
    ----------
    name
        What the graph calls it.
    dtype
        NumPy's name of its type.
    dims
        Length of each axis; None may be any.
    """

    name: str
    dtype: str
    dims: tuple[int | None, ...]


@dataclass(frozen=True)
class Graph:
    """What a graph that passed all checks takes and gives.

    Attributes
    ----------
    image, result
        The input that must be given, and the output.
    options
        Inputs that may be left out.
    end
        ``"softmax"`` or ``"sigmoid"`` where the graph ends in one, moved or cut at most; else "".
    metadata
        Text by key, as stored with the graph.
    """

    image: Tensor
    result: Tensor
    options: tuple[Tensor, ...]
    end: str
    metadata: dict[str, str]


def read_graph(data: bytes, where: str) -> Graph:
    """The facts of an ONNX file, every rule checked.

    Raises
    ------
    DataError
        If it is none, or holds something that a network does not need.
    """
    from onnx import checker

    model = _parsed(data, where)
    _check_model(model, where)
    for graph in _graphs(model.graph, where):
        _check_nodes(graph, where)
        _check_tensors(graph, where)
    try:
        checker.check_model(model)
    except (checker.ValidationError, RuntimeError, ValueError) as error:
        raise DataError(f"{where} breaks a rule of ONNX ({_first(error)}). {_REMEDY}") from error
    return _facts(model, where)


def check_sizes(data: bytes, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Shape of the result for an image of that shape, no array on the way being huge.

    Raises
    ------
    DataError
        If one is, or the shape does not fit the graph.
    """
    from onnx import shape_inference

    model = _parsed(data, where)
    given = {i.name for i in model.graph.initializer}
    (image,) = [i for i in model.graph.input if i.name not in given]
    for dim, length in zip(image.type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = length
    try:
        told = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except (shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{where} does not fit together for an image of shape {shape} ({_first(error)}). "
            f"{_REMEDY}"
        ) from error
    for value in (*told.graph.value_info, *told.graph.output):
        dims = [max(int(d.dim_value), 1) for d in value.type.tensor_type.shape.dim]
        if _product(dims) > TENSOR_VALUES:
            raise DataError(
                f"{where} makes an array of shape {dims} inside ({value.name[:80]!r}); at most "
                f"{TENSOR_VALUES} values are taken. {_REMEDY}"
            )
    return tuple(int(d.dim_value) for d in told.graph.output[0].type.tensor_type.shape.dim)


def _parsed(data: bytes, where: str) -> Any:
    """The message."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    if len(data) > FILE_BYTES:
        raise DataError(f"{where} has {len(data)} bytes, at most {FILE_BYTES} are read. {_REMEDY}")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError, ValueError) as error:
        raise DataError(
            f"{where} is not a whole ONNX file ({_first(error)}). Copy it again."
        ) from error
    if not model.ir_version or not model.graph.node:
        raise DataError(f"{where} is not a whole ONNX file: it has no graph. Copy it again.")
    return model


def _check_model(model: Any, where: str) -> None:
    """Refuse operators that are not of ONNX, functions and training."""
    foreign = sorted({o.domain for o in model.opset_import} - set(DOMAINS))
    if foreign:
        raise DataError(f"{where} needs operators of {foreign}, which are not ONNX's. {_REMEDY}")
    if model.functions:
        named = [f"{f.domain}.{f.name}" for f in model.functions][:5]
        raise DataError(f"{where} brings functions of its own, {named}. {_REMEDY}")
    if model.training_info:
        raise DataError(f"{where} holds steps of training. {_REMEDY}")


def _graphs(graph: Any, where: str, depth: int = 0) -> Iterator[Any]:
    """The graph and those inside its nodes."""
    if depth > BRANCHES:
        raise DataError(f"{where} has graphs inside graphs, more than {BRANCHES} deep. {_REMEDY}")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + [*attribute.graphs]:
                yield from _graphs(inner, where, depth + 1)


def _check_nodes(graph: Any, where: str) -> None:
    """Refuse operators that are foreign, endless or random."""
    if len(graph.node) > NODES:
        raise DataError(f"{where} has {len(graph.node)} operators, at most {NODES}. {_REMEDY}")
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise DataError(
                f"{where} has the operator {node.op_type!r} of {node.domain!r}, which is not "
                f"ONNX's. {_REMEDY}"
            )
        if node.op_type in ENDLESS:
            raise DataError(f"{where} has a {node.op_type}, which might never end. {_REMEDY}")
        if node.op_type in RANDOM:
            raise DataError(
                f"{where} draws random numbers ({node.op_type}): it would give another result "
                f"each time. {_REMEDY}"
            )


def _check_tensors(graph: Any, where: str) -> None:
    """Refuse weights that lie in other files, or claim more than they hold."""
    for tensor in _tensors(graph):
        if tensor.external_data or tensor.data_location:
            raise DataError(
                f"{where} keeps {tensor.name[:80]!r} in another file, which is never opened. "
                "Have it exported as one file (external_data=False)."
            )
        n = _product(tensor.dims)
        if any(d < 0 for d in tensor.dims) or n > 2 * tensor.ByteSize():
            raise DataError(
                f"{where} has {tensor.name[:80]!r} of shape {list(tensor.dims)} in "
                f"{tensor.ByteSize()} bytes, which cannot be. {_REMEDY}"
            )


def _tensors(graph: Any) -> Iterator[Any]:
    """All stored arrays of one graph."""
    yield from graph.initializer
    sparse = [*graph.sparse_initializer]
    for node in graph.node:
        for a in node.attribute:
            yield from ([a.t] if a.HasField("t") else []) + [*a.tensors]
            sparse += ([a.sparse_tensor] if a.HasField("sparse_tensor") else [])
            sparse += a.sparse_tensors
    for s in sparse:
        yield s.values
        yield s.indices


def _facts(model: Any, where: str) -> Graph:
    """What the graph takes and gives."""
    given = {i.name for i in model.graph.initializer}
    inputs = [_tensor(i, where) for i in model.graph.input]
    needed = [i for i in inputs if i.name not in given]
    outputs = [_tensor(o, where) for o in model.graph.output]
    if len(needed) != 1 or len(outputs) != 1:
        raise DataError(
            f"{where} takes {[i.name for i in needed]} and gives {[o.name for o in outputs]}; "
            "fibseg gives one image and takes one result. Have it exported that way."
        )
    metadata = {p.key: p.value for p in model.metadata_props}
    if len(metadata) < len(model.metadata_props):
        raise DataError(f"{where} has a key of its metadata twice. {_REMEDY}")
    options = tuple(i for i in inputs if i.name in given)
    return Graph(needed[0], outputs[0], options, _end(model.graph), metadata)


def _tensor(value: Any, where: str) -> Tensor:
    """Input or output as plain data."""
    from onnx import helper

    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise DataError(f"{where} does not tell the shape of {value.name!r}. {_REMEDY}")
    dims = tuple(
        int(d.dim_value) if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in kind.shape.dim
    )
    try:
        dtype = str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except KeyError as error:
        raise DataError(f"{where} does not tell the type of {value.name!r}. {_REMEDY}") from error
    return Tensor(value.name, dtype, dims)


def _end(graph: Any) -> str:
    """How values become shares at the end of the graph."""
    made_by = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    for _ in range(DEPTH):
        node = made_by.get(name)
        if node is None:
            return ""
        if node.op_type not in _PASSES_ON:
            return _ENDS.get(node.op_type, "")
        name = node.input[0]
    return ""


def _product(dims: Any) -> int:
    n = 1
    for d in dims:
        n *= int(d)
    return n


def _first(error: BaseException) -> str:
    """First line of a message, which may quote the file, without signs that steer a terminal."""
    first = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return "".join(c if c.isprintable() else "?" for c in first)
