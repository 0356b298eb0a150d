"""All that is needed to use a trained forest on a new volume, except its trees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fibseg.errors import DataError
from fibseg.export.schema import (
    exact_keys,
    names,
    plain,
    positive_numbers,
    read_json_text,
    refuse_newer,
    whole_number,
)
from fibseg.export.spec import checked_normalisation, installed_versions

FOREST_FORMAT = 1
"""Raised whenever an older fibseg could misread a newer `model.json` of a forest."""

KIND = "forest"
PACKAGES = ("fibseg", "scikit-learn", "skl2onnx", "onnx", "numpy", "scipy")
"""What decides about the numbers of a forest."""


@dataclass(frozen=True)
class ForestSpec:
    """The description of a pixel classifier, one to one with its `model.json`.

    Parameters
    ----------
    classes
        Names of the classes; background is not among them.
    precision_nm
        Voxels of the pyramid level that is classified are at most so large.
    sigmas_nm
        Gaussians of the features: ``volume`` of the forest that sees the whole volume, ``border``
        of the one that sees what lies near a border, on a finer level; empty if there is none.
    normalisation
        The rule of `fibseg.export.ModelSpec`.
    training
        Volume and painted voxels that the model comes from.
    versions
        Releases of the packages that made it.
    """

    classes: tuple[str, ...]
    precision_nm: float
    sigmas_nm: dict[str, tuple[float, ...]]
    normalisation: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    kind: str = KIND
    format_version: int = FOREST_FORMAT

    @property
    def n_values(self) -> int:
        """Number of probabilities of a voxel: background, then the classes."""
        return len(self.classes) + 1

    def to_json(self) -> str:
        """Text of `model.json`, keys sorted, so that equal specs are byte-equal.

        Raises
        ------
        DataError
            If a value is not plain data, or breaks a rule of the format.
        """
        checked = asdict(parse_forest(asdict(self)))
        return json.dumps(plain(checked, "model.json"), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ForestSpec:
        """Spec from the text of a `model.json`.

        Raises
        ------
        DataError
            If the text is not JSON, or the description breaks a rule of the format.
        """
        return parse_forest(read_json_text(text))


def parse_forest(data: Any) -> ForestSpec:
    """Spec from the data of a `model.json`, every rule of the format checked.

    Raises
    ------
    DataError
        If a key is missing, unknown or has a value that cannot be meant.
    """
    refuse_newer(data, FOREST_FORMAT)
    d = plain(exact_keys(data, (f.name for f in fields(ForestSpec)), "model.json"), "model.json")
    if d["kind"] != KIND:
        raise DataError(f"model.json has kind {d['kind']!r}, not {KIND!r}. Train it again.")
    sigmas = exact_keys(d["sigmas_nm"], ("volume", "border"), "sigmas_nm")
    return ForestSpec(
        classes=names(d["classes"], "classes"),
        precision_nm=positive_numbers([d["precision_nm"]], "precision_nm", n=1)[0],
        sigmas_nm={
            "volume": _sizes(sigmas["volume"], "sigmas_nm.volume", least=1),
            "border": _sizes(sigmas["border"], "sigmas_nm.border", least=0),
        },
        normalisation=checked_normalisation(d["normalisation"]),
        training=exact_keys(d["training"], d["training"], "training"),
        versions=exact_keys(d["versions"], d["versions"], "versions"),
        format_version=whole_number(d["format_version"], "format_version", least=1),
    )


def forest_card(spec: ForestSpec) -> str:
    """Markdown text of the card, without a time stamp, so that equal models have equal cards."""
    lines = [
        f"# {', '.join(spec.classes)}: a fibseg pixel classifier", "",
        "Random forests that tell voxels of volume electron microscopy apart. The folder holds "
        "plain data only; nothing in it can execute.", "",
        "```", "fibseg classify model=THIS_FOLDER volume=cell.ome.zarr", "```", "",
        "| | |", "|---|---|",
        f"| classes | background, {', '.join(spec.classes)} |",
        f"| classified on voxels of at most | {spec.precision_nm:g} nm |",
        f"| Gaussians of the features | {_listed(spec.sigmas_nm['volume'])} |",
        f"| near borders | {_listed(spec.sigmas_nm['border'])} |",
        f"| made with | {', '.join(f'{k} {v}' for k, v in sorted(spec.versions.items()))} |", "",
        "## Trained on", "",
        "```json", json.dumps(spec.training, indent=1, sort_keys=True), "```", "",
        "It knows what was painted in that volume. Look at a few planes of any new one before "
        "counting.", "",
    ]
    return "\n".join(lines)


def forest_versions() -> dict[str, str]:
    """Releases of Python and of the packages that decide about a forest."""
    return installed_versions(PACKAGES)


def _sizes(value: Any, where: str, *, least: int) -> tuple[float, ...]:
    """Sizes above 0, at least so many."""
    n = len(value) if isinstance(value, Sequence) and not isinstance(value, str) else -1
    return positive_numbers(value, where, n=max(n, least))


def _listed(sizes: Sequence[float]) -> str:
    return ", ".join(f"{s:g}" for s in sizes) + " nm" if sizes else "none"
