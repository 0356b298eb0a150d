"""The documentation of a bioimage.io package, for people."""

from __future__ import annotations

import json

from fibseg.export.constants import Constants
from fibseg.export.passport import channels
from fibseg.export.spec import ModelSpec
from fibseg.export.terms import NOT_STATED, Terms


def documentation(
    spec: ModelSpec, constants: Constants, *, name: str, terms: Terms
) -> str:
    """Markdown text, without a time stamp, so that equal models have equal texts."""
    z, y, x = spec.spacing
    lines = [
        f"# {name}",
        "",
        f"Probabilities of {', '.join(channels(spec))} in planes of volume electron microscopy, "
        "from a 2D U-Net that was trained with fibseg on a few painted planes.",
        "",
        "## How to use it",
        "",
        f"- Give planes at {y:g} x {x:g} nm a pixel"
        + (f", and {spec.context} neighbours on each side as channels, {z:g} nm apart."
           if spec.context else "."),
        f"- Give raw grey values as they are stored ({constants.dtype}), not normalised. Inside, "
        f"{constants.low:g} to {constants.high:g} become the range of the network, and stain is "
        f"{constants.polarity}: the values of the volume {constants.volume}. An image of other "
        "brightness or contrast has to be brought to that range first.",
        f"- Pixels within {spec.window.margin} px of the border of a tile depend on what is beyond "
        "it: let tiles overlap by twice that, and cut it off.",
        "- `test_input.npy` is a window of the images named in `parity.json`.",
        "",
        "## Training data",
        "",
        *_block(spec.training.get("volumes", [])),
        "## Validation",
        "",
        "Scores on what was held out of training:",
        "",
        *_block(spec.metrics),
        "They hold for images like those it was trained on. Check a few planes of any new volume "
        "by eye before counting.",
        "",
        "That this package gives what the model gives in torch is measured in `parity.json`.",
        "",
        "## Terms",
        "",
        f"Licence: {terms.licence}. Authors: {', '.join(terms.authors) or NOT_STATED}.",
        "",
    ]
    return "\n".join(lines)


def _block(data: object) -> list[str]:
    """Nested data as a JSON block."""
    if not data:
        return ["Not recorded.", ""]
    return ["```json", json.dumps(data, indent=1, sort_keys=True), "```", ""]
