"""A model folder as files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fibseg.errors import UsageError
from fibseg.export import load_network, load_spec, weights_digest
from fibseg.export.constants import constants_of, trained_constants
from fibseg.export.graph import ImageGraph
from fibseg.export.onnx_file import graph_to_onnx
from fibseg.export.passport import HIGH, IMAGE, KEY, LOW, PROBABILITIES, passport, passport_text
from fibseg.volume import Volume
from fibseg.volume.files import write_bytes

FORMATS = ("onnx", "czann", "bioimageio", "all")


def export_model(
    model: str, *, kind: str, out: str, volume: str | None, name: str | None, overwrite: bool,
    licence: str, authors: Sequence[str] | None, cite: str | None, doi: str | None, tile: int,
    czann_type: str, czann_version: str,
) -> dict[str, Any]:
    """Write the files; see `fibseg.pipeline.export.run`."""
    if kind not in FORMATS:
        raise UsageError(f"format={kind!r} is none of {', '.join(FORMATS)}.")
    spec = load_spec(model)
    constants = (
        trained_constants(spec, model) if volume is None else constants_of(Volume.open(volume))
    )
    network, _ = load_network(model)
    name = name or Path(model).resolve().name
    graph = ImageGraph(network, constants, multiple=spec.stride_multiple)
    side = 2 * spec.stride_multiple
    free = {0: "batch", 2: "height", 3: "width"}
    told = passport(
        spec, constants, name=name, digest=weights_digest(model), licence=licence, values="raw"
    )
    data = graph_to_onnx(
        graph,
        (torch.zeros(1, spec.in_channels, side, side), torch.tensor(0.0), torch.tensor(1.0)),
        inputs=(IMAGE, LOW, HIGH), output=PROBABILITIES,
        free={IMAGE: free, PROBABILITIES: free},
        defaults={LOW: constants.low, HIGH: constants.high},
        metadata={KEY: passport_text(told)},
    )
    path = Path(out) / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)
    return {str(path): f"{len(data) / 1e6:.3g} MB"}
