"""What a travelling model tells about itself: plain data that is stored inside the file."""

from __future__ import annotations

import json
from typing import Any

from fibseg import __version__
from fibseg.export.constants import Constants
from fibseg.export.spec import ModelSpec

KEY = "fibseg"
"""Under which key of the metadata of an ONNX file the passport stands."""

BACKGROUND = "background"
"""Name of the first channel."""

IMAGE, PROBABILITIES, LOW, HIGH = "image", "probabilities", "low", "high"
"""Names of the inputs and the output."""


def passport(
    spec: ModelSpec, constants: Constants, *, name: str, digest: str, licence: str, values: str
) -> dict[str, Any]:
    """Everything that a program needs to use the file well, as plain data.

    Parameters
    ----------
    spec, constants
        The model, and the grey values inside.
    name, digest
        Name of the model, and the digest of its weights and settings.
    licence
        SPDX name.
    values
        What goes in: ``"raw"`` grey values or ``"unit"``, those divided by the largest of the type.
    """
    scale = 1 if values == "raw" else constants.largest
    return {
        "format_version": 1,
        "fibseg": __version__,
        "name": name,
        "model_digest": digest,
        "classes": channels(spec),
        "spacing_nm": list(spec.spacing),
        "context": spec.context,
        "window": {"core": list(spec.window.core), "margin": spec.window.margin},
        "receptive_field": spec.receptive_field,
        "stride_multiple": spec.stride_multiple,
        "values": values,
        "normalisation": {
            "low": constants.low / scale, "high": constants.high / scale,
            "polarity": constants.polarity, "dtype": constants.dtype,
            "volume": constants.volume, "raw_digest": constants.raw_digest,
            "low_percentile": spec.normalisation["low_percentile"],
            "high_percentile": spec.normalisation["high_percentile"],
        },
        "licence": licence,
    }


def channels(spec: ModelSpec) -> list[str]:
    """Names of the channels that come out, background first."""
    return [BACKGROUND, *spec.classes]


def passport_text(told: dict[str, Any]) -> str:
    """The passport as JSON, keys sorted, so that equal ones are byte-equal."""
    return json.dumps(told, sort_keys=True, ensure_ascii=False)
