"""CZANN, the model format of ZEISS ZEN and arivis: a zip of a graph and a description.

Formats 2.1 and 1.1 as described with czmodel (https://pypi.org/project/czmodel): images are
[height, width, channels] without a batch, float32 from 0 to 1.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import torch
from torch import nn

from fibseg.errors import DataError, UsageError
from fibseg.export.archive import stored_zip
from fibseg.export.constants import Constants
from fibseg.export.graph import TileGraph
from fibseg.export.onnx_file import graph_to_onnx
from fibseg.export.passport import IMAGE, KEY, PROBABILITIES, channels, passport_text
from fibseg.export.spec import ModelSpec

TYPES = {"segmentation": "SingleClassSemanticSegmentation", "regression": "Regression"}
"""What programs make of the output: each pixel its likeliest class, or images of probability."""

OPSETS = {"2.1": 18, "1.1": 12}
"""Operators by version of the format; programs that read 1.1 do not know newer ones."""

DESCRIPTION, GRAPH, PARITY, LICENCE = "model.json", "model.model", "parity.txt", "license.txt"
MOST = 4096
"""Largest side of a tile, px."""


@dataclass(frozen=True)
class CzannSettings:
    """How a CZANN is made.

    Parameters
    ----------
    tile
        Side of the image that goes in at once, px.
    kind
        One of `TYPES`.
    version
        One of `OPSETS`.

    Raises
    ------
    UsageError
        If one of them cannot be meant.
    """

    tile: int = 512
    kind: str = "segmentation"
    version: str = "2.1"

    def __post_init__(self) -> None:
        if self.kind not in TYPES:
            raise UsageError(f"czann_type={self.kind!r} is neither segmentation nor regression.")
        if self.version not in OPSETS:
            raise UsageError(f"czann_version={self.version!r} is neither 2.1 nor 1.1.")

    def check(self, spec: ModelSpec) -> None:
        """Nothing, if a model can travel so.

        Raises
        ------
        DataError
            If it looks at neighbouring planes, which the format has no place for.
        UsageError
            If the tile does not fit the model.
        """
        if spec.context:
            raise DataError(
                f"The model looks at {spec.in_channels} planes at once (network.context="
                f"{spec.context}), but a CZANN is given single planes. Use format=onnx or "
                "format=bioimageio, or train with network.context=0."
            )
        multiple, least = spec.stride_multiple, 2 * spec.window.margin + spec.stride_multiple
        if self.tile % multiple or not least <= self.tile <= max(MOST, least):
            near = min(max(round(self.tile / multiple) * multiple, least), max(MOST, least))
            raise UsageError(
                f"tile={self.tile} does not fit the model: it takes multiples of {multiple} from "
                f"{least} (twice its margin of {spec.window.margin}, and one step) to "
                f"{max(MOST, least)}. Use e.g. tile={near}."
            )


def czann_graph(
    network: nn.Module, spec: ModelSpec, constants: Constants, settings: CzannSettings,
    told: dict[str, Any],
) -> bytes:
    """ONNX file of a tile of fixed size, (1, y, x, 1) to (1, y, x, channels).

    Parameters
    ----------
    told
        Passport, stored with the graph.
    """
    return graph_to_onnx(
        TileGraph(network, constants), (torch.zeros(1, settings.tile, settings.tile, 1),),
        inputs=(IMAGE,), output=PROBABILITIES, metadata={KEY: passport_text(told)},
        opset=OPSETS[settings.version],
    )


def czann_description(
    spec: ModelSpec, settings: CzannSettings, *, name: str, inputs: str
) -> dict[str, Any]:
    """What stands in ``model.json``.

    Parameters
    ----------
    name
        Of the model.
    inputs
        Fingerprint of all that the file is made from: its Id follows from that.
    """
    side, names = settings.tile, channels(spec)
    told = {
        "Id": str(uuid.uuid5(uuid.NAMESPACE_OID, inputs)),
        "Type": TYPES[settings.kind],
        "InputShape": [side, side, 1],
        "OutputShape": [side, side, len(names)],
        # Half of it lies on each side of what counts of a tile: the margin, which is even.
        "MinOverlap": [2 * spec.window.margin] * 2,
        "Classes": names,
        "ModelName": name,
        "Scaling": [_metres(spec.spacing[2]), _metres(spec.spacing[1])],
    }
    return told if settings.version == "1.1" else {"FormatVersion": f"{settings.version}.0", **told}


def czann_bytes(
    graph: bytes, description: dict[str, Any], *, parity: str, licence: str
) -> bytes:
    """The file.

    Parameters
    ----------
    parity
        Text of the certificate. Its name is that of a text, since readers take any JSON file in
        a CZANN for the description.
    licence
        Text of the licence, or its name.
    """
    return stored_zip({
        DESCRIPTION: (json.dumps(description, ensure_ascii=False) + "\n").encode(), GRAPH: graph,
        PARITY: parity.encode(), LICENCE: (licence + "\n").encode(),
    })


def _metres(nm: float) -> float:
    """A length in metres, with the digits that it has in nm.

    >>> _metres(5.3)
    5.3e-09
    """
    return float(Decimal(repr(nm)).scaleb(-9))
