"""A model as a package for the bioimage.io model zoo, format 0.5: a zip that holds data only.

The format: https://bioimage-io.github.io/spec-bioimage-io. Written without its library, which the
tests validate the packages with.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.export.archive import stored_zip
from fibseg.export.bioimageio_text import documentation
from fibseg.export.constants import Constants
from fibseg.export.onnx_file import OPSET
from fibseg.export.passport import IMAGE, KEY, PROBABILITIES, channels
from fibseg.export.spec import ModelSpec
from fibseg.export.terms import Terms

FORMAT = "0.5.4"
"""Version of the format: one that programs of some age read, too."""

DESCRIPTION, GRAPH, README, PARITY = "rdf.yaml", "weights.onnx", "README.md", "parity.json"
INPUT, OUTPUT = "test_input.npy", "test_output.npy"

_FOREIGN = re.compile(r"[^A-Za-z0-9_+\- ()]+")


@dataclass(frozen=True)
class Example:
    """An image and what the model makes of it.

    Parameters
    ----------
    image
        Raw grey values as stored, shape (1, planes, y, x).
    probabilities
        float32, shape (1, channels, y, x).
    """

    image: NDArray[Any]
    probabilities: NDArray[np.float32]


def example_side(spec: ModelSpec) -> int:
    """Smallest side of an image in which something is left between the margins, px."""
    return 2 * spec.window.margin + spec.stride_multiple


def bioimageio_bytes(
    graph: bytes, spec: ModelSpec, constants: Constants, example: Example, *, name: str,
    terms: Terms, told: dict[str, Any], parity: str,
) -> bytes:
    """The package.

    Parameters
    ----------
    graph
        Of `fibseg.export.image_onnx.image_onnx`, without adjustable inputs.
    example
        Stored with it, for programs to test themselves; `example_side` high and wide.
    name, terms, told, parity
        Of the model: its name, on which terms it travels, passport and certificate.
    """
    files = {
        GRAPH: graph, INPUT: _npy(example.image), OUTPUT: _npy(example.probabilities),
        README: documentation(spec, constants, name=name, terms=terms).encode(),
        PARITY: parity.encode(),
    }
    rdf = description(spec, constants, name=name, terms=terms, told=told, files=files)
    return stored_zip({DESCRIPTION: _yaml(rdf), **files})


def description(
    spec: ModelSpec, constants: Constants, *, name: str, terms: Terms, told: dict[str, Any],
    files: dict[str, bytes],
) -> dict[str, Any]:
    """What stands in ``rdf.yaml``, as plain data."""
    record = terms.record()
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": _FOREIGN.sub("-", f"fibseg {name}")[:64],
        "description": (
            f"Probabilities of {', '.join(channels(spec))} in planes of volume electron "
            "microscopy, from a 2D U-Net trained with fibseg. Normalisation is inside."
        )[:512],
        "authors": [{"name": author} for author in record["authors"]],
        "cite": record["citations"],
        "license": terms.licence,
        "tags": [
            "unet", "2d", "semantic-segmentation", "electron-microscopy", "fib-sem", "fibseg",
            "onnx", *spec.classes,
        ],
        "documentation": _file(README, files),
        "attachments": [_file(PARITY, files)],
        "inputs": [{
            "id": IMAGE,
            "description": _planes_told(spec),
            "axes": [
                {"type": "batch"}, _planes_axis(spec), *(_input_axis(spec, i) for i in (1, 2)),
            ],
            "test_tensor": _file(INPUT, files),
            "data": {"type": constants.dtype, "range": [0, constants.largest]},
            "preprocessing": [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}],
        }],
        "outputs": [{
            "id": PROBABILITIES,
            "description": "probability of each channel; they add up to 1",
            "axes": [
                {"type": "batch"},
                {"type": "channel", "channel_names": channels(spec)},
                *(_output_axis(spec, i) for i in (1, 2)),
            ],
            "test_tensor": _file(OUTPUT, files),
            "data": {"type": "float32", "range": [0.0, 1.0]},
        }],
        "weights": {"onnx": {**_file(GRAPH, files), "opset_version": OPSET}},
        "config": {KEY: told},
    }


def _planes_axis(spec: ModelSpec) -> dict[str, Any]:
    """The channels that go in: the plane, and its neighbours if the model looks at them."""
    c = spec.context
    names = [f"plane_{k:+d}" if k else "plane" for k in range(-c, c + 1)]
    return {"type": "channel", "channel_names": names}


def _planes_told(spec: ModelSpec) -> str:
    """The input in words."""
    if spec.context == 0:
        return "raw grey values of one plane"
    return f"raw grey values of a plane and {spec.context} neighbours on each side"


def _input_axis(spec: ModelSpec, axis: int) -> dict[str, Any]:
    """The y or x of an image."""
    return {
        "type": "space", "id": "zyx"[axis], "unit": "nanometer", "scale": spec.spacing[axis],
        "concatenable": True, "size": {"min": example_side(spec), "step": spec.stride_multiple},
    }


def _output_axis(spec: ModelSpec, axis: int) -> dict[str, Any]:
    """The y or x of the probabilities: in its halo they would be others in a larger image."""
    return {
        "type": "space", "id": "zyx"[axis], "unit": "nanometer", "scale": spec.spacing[axis],
        "size": {"tensor_id": IMAGE, "axis_id": "zyx"[axis]}, "halo": spec.window.margin,
    }


def _file(name: str, files: dict[str, bytes]) -> dict[str, str]:
    """A file of the package with its digest."""
    return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}


def _npy(array: NDArray[Any]) -> bytes:
    """An array as NumPy stores it."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def _yaml(data: dict[str, Any]) -> bytes:
    """Plain data as YAML, keys in their order."""
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)).encode()
