"""``fibseg export``: a model, or objects, as files for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.errors import UsageError


def run(
    *, format: str, out: str, model: str | None = None, volume: str | None = None,
    labels: str | None = None, name: str | None = None, overwrite: bool = False,
    licence: str = "CC-BY-4.0", authors: Sequence[str] | None = None, cite: str | None = None,
    doi: str | None = None, tile: int = 512, czann_type: str = "segmentation",
    czann_version: str = "2.1", level: int = 0, label: int | Sequence[int] | None = None,
) -> Mapping[str, Any]:
    """Write files to the folder `out`; returns what they are, by path.

    Parameters
    ----------
    format
        Of a model ``"onnx"``, ``"czann"``, ``"bioimageio"`` or ``"all"``.
    out
        Folder, made if missing; other files there are left alone.
    model
        Model folder.
    volume
        With `model`, the store whose grey values go into the files, by default that of training;
        else the store of the objects.
    labels
        Label image of `volume` whose objects are exported.
    name
        Name of the files; by default that of the model folder or of the labels.
    overwrite
        Replace files that hold something else.
    licence, authors, cite, doi
        Told in the files: SPDX name, who made the model, and what to cite.
    tile, czann_type, czann_version
        Of a CZANN: side in px, ``"segmentation"`` or ``"regression"``, ``"2.1"`` or ``"1.1"``.
    level, label
        Of objects: level of the pyramid, and numbers of those wanted.

    Raises
    ------
    UsageError
        If it is not told what to export, or a setting cannot be meant.
    DataError
        If the model cannot travel that way, or does not give the same as in torch.
    ExistsError
        If a file stands that holds something else.
    """
    if (model is None) == (labels is None):
        raise UsageError(
            "Say what to export: model=FOLDER, or volume=STORE with labels=NAME, and not both."
        )
    if model is None:
        raise UsageError("This release exports no objects. Export a model: model=FOLDER.")
    from fibseg.export.czann import CzannSettings
    from fibseg.export.terms import Terms
    from fibseg.pipeline.export_model import export_model

    return export_model(
        model, kind=format, out=out, volume=volume, name=name, overwrite=overwrite,
        terms=Terms(licence, authors or (), cite, doi),
        czann=CzannSettings(tile, czann_type, czann_version),
    )
