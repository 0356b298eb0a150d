"""The folder of a pixel classifier: `volume.onnx`, `border.onnx`, `model.json`, `README.md`.

The forests are bare trees in ONNX and the description is checked plain data: no pickle, no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fibseg.errors import DataError
from fibseg.export.folder import CARD, DESCRIPTION, is_pickle, write_folder
from fibseg.export.forest_onnx import check_onnx
from fibseg.export.forest_spec import ForestSpec, forest_card

STAGES = ("volume", "border")
"""Forests of a model, in the order in which they are asked; the second may be missing."""

_MATTERS = ("classes", "precision_nm", "sigmas_nm", "normalisation")


def save_forest_folder(
    folder: str | Path, forests: Mapping[str, bytes], spec: ForestSpec, *, overwrite: bool = False
) -> Path:
    """Path of the model folder, written so that a crash leaves either a whole model or none.

    Parameters
    ----------
    folder
        Created if missing.
    forests
        ONNX files of `fibseg.export.forest_to_onnx` by stage.
    spec
        Their description.
    overwrite
        Replace another model that stands there.

    Raises
    ------
    ExistsError
        If another model stands there and `overwrite` is not set.
    DataError
        If the description is not plain data.
    """
    contents = {_file(stage): forests[stage] for stage in stages_of(spec)}
    contents |= {CARD: forest_card(spec).encode(), DESCRIPTION: spec.to_json().encode()}
    return write_folder(folder, contents, key="model", overwrite=overwrite)


def load_forest_spec(folder: str | Path) -> ForestSpec:
    """Load the description of the pixel classifier in `folder`.

    Raises
    ------
    DataError
        If the folder holds no whole classifier, or something else, or a rule is broken.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not a model folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}. Give the folder that fibseg classify has written.")
    if not (folder / DESCRIPTION).is_file() or not (folder / _file("volume")).is_file():
        raise DataError(_foreign(folder))
    try:
        text = (folder / DESCRIPTION).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{folder / DESCRIPTION} is not text. Copy the folder again.") from error
    spec = ForestSpec.from_json(text)
    missing = [_file(s) for s in stages_of(spec) if not (folder / _file(s)).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}. Copy the model folder again.")
    return spec


def load_forests(folder: str | Path) -> tuple[dict[str, bytes], ForestSpec]:
    """ONNX files of the classifier in `folder` by stage, checked, and its description.

    Raises
    ------
    DataError
        If the folder holds no whole classifier, or a file is anything but a forest that fits.
    """
    from fibseg.models.features import FEATURES

    spec = load_forest_spec(folder)
    forests = {}
    for stage in stages_of(spec):
        path = Path(folder) / _file(stage)
        forests[stage] = path.read_bytes()
        check_onnx(
            forests[stage], path, n_features=len(FEATURES) * len(spec.sigmas_nm[stage]),
            n_values=spec.n_values,
        )
    return forests, spec


def forest_digest(folder: str | Path) -> str:
    """SHA-256 of all in the folder of a classifier that decides about its output."""
    spec: dict[str, Any] = asdict(load_forest_spec(folder))
    digest = hashlib.sha256(json.dumps({k: spec[k] for k in _MATTERS}, sort_keys=True).encode())
    for stage in STAGES:
        if spec["sigmas_nm"][stage]:
            digest.update((Path(folder) / _file(stage)).read_bytes())
    return digest.hexdigest()


def is_forest(folder: str | Path) -> bool:
    """Whether a folder holds a pixel classifier rather than a network."""
    return (Path(folder) / _file("volume")).is_file()


def stages_of(spec: ForestSpec) -> list[str]:
    """Names of the forests that the model has."""
    return [stage for stage in STAGES if spec.sigmas_nm[stage]]


def _file(stage: str) -> str:
    return f"{stage}.onnx"


def _foreign(folder: Path) -> str:
    """What is wrong with a folder that is no classifier's."""
    if (folder / "weights.safetensors").is_file():
        return (
            f"{folder} holds a network of fibseg train, not a pixel classifier. Use it with "
            f"'fibseg infer model={folder} volume=…'."
        )
    pickles = sorted(p for p in folder.iterdir() if p.is_file() and is_pickle(p))
    if pickles:
        return (
            f"{pickles[0]} is a pickle: loading one can run any code, so fibseg never does. Give "
            f"the folder with {_file('volume')} and {DESCRIPTION} that fibseg classify writes."
        )
    return (
        f"{folder} lacks {DESCRIPTION} or {_file('volume')}: it holds no whole classifier. Train "
        "one with 'fibseg classify annotation=… volume=…'."
    )
