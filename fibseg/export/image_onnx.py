"""A model as an ONNX file that takes raw grey values of any height and width."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fibseg.export.constants import Constants
from fibseg.export.graph import ImageGraph
from fibseg.export.onnx_file import graph_to_onnx
from fibseg.export.passport import HIGH, IMAGE, KEY, LOW, PROBABILITIES, passport_text
from fibseg.export.spec import ModelSpec


def image_onnx(
    network: nn.Module, spec: ModelSpec, constants: Constants, told: dict[str, Any], *,
    adjustable: bool,
) -> bytes:
    """ONNX file from float32 (batch, planes, height, width) to probabilities of all channels.

    Parameters
    ----------
    told
        Passport, stored with the graph.
    adjustable
        Make `LOW` and `HIGH` inputs that may be left out, so that the file can be used on images
        of other brightness.
    """
    side = 2 * spec.stride_multiple
    image = torch.zeros(1, spec.in_channels, side, side)
    range_ = (torch.tensor(constants.low), torch.tensor(constants.high)) if adjustable else ()
    free = {0: "batch", 2: "height", 3: "width"}
    return graph_to_onnx(
        ImageGraph(network, constants, multiple=spec.stride_multiple), (image, *range_),
        inputs=(IMAGE, LOW, HIGH) if adjustable else (IMAGE,), output=PROBABILITIES,
        free={IMAGE: free, PROBABILITIES: free},
        defaults={LOW: constants.low, HIGH: constants.high} if adjustable else {},
        metadata={KEY: passport_text(told)},
    )
