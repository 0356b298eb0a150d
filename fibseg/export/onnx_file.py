"""A graph as one ONNX file: static operators, all weights inside, no reference to other files."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fibseg import __version__

if TYPE_CHECKING:  # each takes seconds to import
    from onnx import ModelProto
    from torch import Tensor, nn

OPSET = 18

Free = Mapping[str, Mapping[int, str]]
"""Names of the axes that may have any length, by input or output and number of the axis."""


def graph_to_onnx(
    graph: nn.Module, example: Sequence[Tensor], *, inputs: Sequence[str], output: str,
    free: Free | None = None, defaults: Mapping[str, float] | None = None,
    metadata: Mapping[str, str] | None = None, opset: int = OPSET,
) -> bytes:
    """Bytes of the ONNX file of a graph, the same for the same graph.

    Parameters
    ----------
    graph
        Traced on `example`; nothing in it may depend on values.
    example
        Its arguments.
    inputs, output
        Names of the arguments and of the result.
    free
        Axes of any length; all others have that of the example.
    defaults
        Scalar inputs that may be left out, and what they are then.
    metadata
        Text by key, stored with the graph.
    opset
        Version of the operators.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="fibseg-onnx-") as folder:
        path = Path(folder) / "graph.onnx"
        with torch.no_grad(), warnings.catch_warnings():
            # The newer exporter of torch writes weights to a second file, and takes much longer.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph.eval().cpu(), tuple(example), path, dynamo=False, opset_version=opset,
                input_names=list(inputs), output_names=[output], external_data=False,
                dynamic_axes={name: dict(axes) for name, axes in (free or {}).items()},
            )
        data = path.read_bytes()
    return _finished(data, defaults or {}, metadata or {})


def _finished(data: bytes, defaults: Mapping[str, float], metadata: Mapping[str, str]) -> bytes:
    """The file with defaults and metadata, checked."""
    from onnx import ModelProto, checker, numpy_helper

    model: ModelProto = ModelProto()
    model.ParseFromString(data)
    for name, value in defaults.items():
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    model.graph.name = "fibseg"
    model.producer_name, model.producer_version = "fibseg", __version__
    for key in sorted(metadata):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, metadata[key]
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))
