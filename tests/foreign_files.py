"""Small model files as others make them: ONNX by onnx.helper, CZANN, bioimage.io packages."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def weights(n: int = 2, *, radius: int = 1, seed: int = 0, planes: int = 1) -> np.ndarray:
    """Kernel of shape (n, planes, k, k); of several classes each with its own."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, planes, 2 * radius + 1, 2 * radius + 1)).astype(np.float32) * 4


def onnx_model(
    *, n: int = 2, end: str | None = "Softmax", layout: str = "bcyx",
    sides: Sequence[Any] = ("height", "width"), radius: int = 1, seed: int = 0, dtype: int = FLOAT,
    metadata: Mapping[str, str] | None = None, nodes: Sequence[Any] = (), batch: Any = "batch",
    scale: float = 1.0,
) -> onnx.ModelProto:
    """One convolution and its end, in any layout.

    Parameters
    ----------
    nodes
        Further nodes, which nobody uses.
    scale
        Of the kernel, for graphs that take whole numbers.
    """
    dims = {"b": batch, "c": 1, "y": sides[0], "x": sides[1]}
    shape = [dims[a] for a in layout]
    out = [n if a == "c" else dims[a] for a in layout]
    graph_nodes, at = [], "image"

    def add(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        graph_nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    if dtype != FLOAT:
        at = add("Cast", [at], "floats", to=FLOAT)
    if "b" not in layout:
        at = add("Unsqueeze", [at, "axis0"], "batched")
    full = layout if "b" in layout else "b" + layout
    if full != "bcyx":
        at = add("Transpose", [at], "first", perm=[full.index(a) for a in "bcyx"])
    at = add("Conv", [at, "w", "bias"], "values", pads=[radius] * 4)
    graph_nodes.extend(nodes)
    if end is not None:
        at = add(end, [at], "shares", **({"axis": 1} if end == "Softmax" else {}))
    if full != "bcyx":
        at = add("Transpose", [at], "last", perm=["bcyx".index(a) for a in full])
    if "b" not in layout:
        at = add("Squeeze", [at, "axis0"], "single")
    add("Identity", [at], "result")
    w = weights(n, radius=radius, seed=seed) * scale
    stored = [numpy_helper.from_array(w, "w"),
              numpy_helper.from_array(-w.sum((1, 2, 3)) / 2, "bias")]
    if "b" not in layout:
        stored.append(numpy_helper.from_array(np.array([0]), "axis0"))
    graph = helper.make_graph(
        graph_nodes, "small", [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info("result", FLOAT, out)], stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, dict(metadata or {}))
    return model


def data_of(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString())


def write_onnx(path: Path, **keywords: Any) -> Path:
    path.write_bytes(data_of(onnx_model(**keywords)))
    return path


def zipped(path: Path, files: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def czann_description(side: int = 64, n: int = 2, **changed: Any) -> dict[str, Any]:
    """The ``model.json`` of a CZANN 2.1; a key set to None is left out."""
    d = {
        "FormatVersion": "2.1.0", "Id": "b511d295-91ff-46ca-bb60-b2e26c393809",
        "Type": "SingleClassSemanticSegmentation", "InputShape": [side, side, 1],
        "OutputShape": [side, side, n], "MinOverlap": [16, 16],
        "Classes": ["Background", *(f"Class {k}" for k in range(1, n))], "ModelName": "small",
        **changed,
    }
    return {key: value for key, value in d.items() if value is not None}


def czann_files(
    side: int = 64, n: int = 2, layout: str = "byxc", radius: int = 1, **changed: Any
) -> dict[str, bytes]:
    model = onnx_model(n=n, layout=layout, sides=(side, side), batch=1, radius=radius)
    return {
        "model.json": json.dumps(czann_description(side, n, **changed)).encode(),
        "model.model": data_of(model),
    }


def write_czann(path: Path, **keywords: Any) -> Path:
    return zipped(path, czann_files(**keywords))


def space(axis: str, **keywords: Any) -> dict[str, Any]:
    return {"type": "space", "id": axis, **keywords}


def follow(axis: str, offset: int = 0) -> dict[str, Any]:
    return {"tensor_id": "raw", "axis_id": axis, "offset": offset}


def description(n: int = 2, *, data: bytes = b"", **changed: Any) -> dict[str, Any]:
    """The ``rdf.yaml`` of a bioimage.io model; keys like ``inputs.0.axes.2.unit`` change it."""
    size = {"min": 32, "step": 16}
    d: dict[str, Any] = {
        "format_version": "0.5.4", "type": "model", "name": "small", "description": "${x} is text",
        "inputs": [{
            "id": "raw", "axes": [
                {"type": "batch"}, {"type": "channel", "channel_names": ["grey"]},
                space("y", size=size), space("x", size=dict(size)),
            ],
            "data": {"type": "float32"}, "test_tensor": {"source": "in.npy"},
            "preprocessing": [
                {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"],
                                                 "min_percentile": 1, "max_percentile": 99}},
            ],
        }],
        "outputs": [{
            "id": "shares", "axes": [
                {"type": "batch"}, {"type": "channel", "channel_names": ["background", "mito"][:n]},
                space("y", size=follow("y"), halo=8), space("x", size=follow("x"), halo=8),
            ],
            "data": {"type": "float32", "range": [0, 1]}, "test_tensor": {"source": "out.npy"},
        }],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 18,
                             "sha256": hashlib.sha256(data).hexdigest()}},
        "timestamp": "2024-01-02T03:04:05+00:00",
    }
    for path, value in changed.items():
        _change(d, path.split("."), value)
    return d


def _change(d: Any, path: list[str], value: Any) -> None:
    first, *rest = path
    key: Any = int(first) if first.isdigit() else first
    if rest:
        _change(d[key], rest, value)
    elif value is None:
        del d[key]
    else:
        d[key] = value


def package_files(model: Mapping[str, Any] | None = None, **changed: Any) -> dict[str, bytes]:
    data = data_of(onnx_model(**(model or {})))
    text = yaml.safe_dump(description(data=data, **changed), sort_keys=False)
    return {"rdf.yaml": text.encode(), "weights.onnx": data, "in.npy": _npy(), "out.npy": _npy()}


def write_package(path: Path, model: Mapping[str, Any] | None = None, **changed: Any) -> Path:
    return zipped(path, package_files(model, **changed), method=zipfile.ZIP_DEFLATED)


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((1, 1, 8, 8), np.float32))
    return file.getvalue()
