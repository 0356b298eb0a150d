"""The model card: what a person should know before using a model."""

from __future__ import annotations

import json

from fibseg.export.spec import ModelSpec


def model_card(spec: ModelSpec) -> str:
    """Markdown text of the card, without a time stamp, so that equal models have equal cards."""
    z, y, x = spec.spacing
    rule = spec.normalisation
    lines = [
        f"# {', '.join(spec.classes)}: a fibseg model",
        "",
        "Segments volume electron microscopy. The folder holds plain data only; nothing in it "
        "can execute.",
        "",
        "```",
        "fibseg infer model=THIS_FOLDER volume=cell.ome.zarr",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| classes | background, {', '.join(spec.classes)} |",
        f"| working spacing (z, y, x) | {z:g} x {y:g} x {x:g} nm |",
        f"| architecture | `{json.dumps(spec.network, sort_keys=True)}` |",
        f"| input planes | {spec.in_channels} |",
        f"| intensities | percentile {rule['low_percentile']:g} to 0 and "
        f"{rule['high_percentile']:g} to 1 of each volume, stain {rule['stain']} |",
        f"| receptive radius | {spec.receptive_field} px |",
        f"| window | core {spec.window.core[0]} x {spec.window.core[1]} px, "
        f"margin {spec.window.margin} px |",
        f"| made with | {', '.join(f'{k} {v}' for k, v in sorted(spec.versions.items()))} |",
        "",
        "## Trained on",
        "",
        *_block(spec.training),
        "## Scores on the held-out data",
        "",
        *_block(spec.metrics),
        "Scores hold for images like those it was trained on. Check a few planes of any new "
        "volume by eye before counting.",
        "",
    ]
    return "\n".join(lines)


def _block(data: dict[str, object]) -> list[str]:
    """Nested data as a JSON block."""
    if not data:
        return ["Not recorded.", ""]
    return ["```json", json.dumps(data, indent=1, sort_keys=True), "```", ""]
