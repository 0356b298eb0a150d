"""``fibseg export``: a model, or objects, as files for other programs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from fibseg.blocks import Runner
from fibseg.errors import UsageError


def run(
    *, format: str, out: str, model: str | None = None, volume: str | None = None,
    labels: str | None = None, name: str | None = None, overwrite: bool = False,
    licence: str = "CC-BY-4.0", authors: Sequence[str] | None = None, cite: str | None = None,
    doi: str | None = None, tile: int = 512, czann_type: str = "segmentation",
    czann_version: str = "2.1", probabilities: str | None = None, level: int = 0,
    label: int | Sequence[int] | None = None, unit: str = "um", max_faces: int | None = None,
    separate: bool = False, blocks: Runner | None = None,
) -> Mapping[str, Any]:
    """Write files to the folder `out`; returns what they are, by path.

    Parameters
    ----------
    format
        Of a model ``"onnx"``, ``"czann"``, ``"bioimageio"`` or ``"all"``; of what is in a store
        ``"tiff"``, ``"stl"`` or ``"ply"``.
    out
        Folder, made if missing; other files there are left alone. Of objects also a file.
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
    probabilities, level, label, unit, max_faces, separate, blocks
        Of what is in a store: see `fibseg.pipeline.travel.export_objects`.

    Raises
    ------
    UsageError
        If it is not told what to export, or a setting cannot be meant.
    DataError
        If the model cannot travel that way, or does not give the same as in torch.
    ExistsError
        If a file stands that holds something else.
    """
    of_model = {
        "licence": licence, "authors": authors, "cite": cite, "doi": doi, "tile": tile,
        "czann_type": czann_type, "czann_version": czann_version,
    }
    of_objects = {
        "labels": labels, "probabilities": probabilities, "level": level, "label": label,
        "unit": unit, "max_faces": max_faces, "separate": separate,
    }
    if model is None and volume is None:
        raise UsageError(
            "Say what to export: model=FOLDER, or volume=STORE, as a rule with labels=NAME."
        )
    if model is None:
        _refuse_set(of_model, "objects")
        from fibseg.pipeline.travel import export_objects

        return export_objects(
            str(volume), kind=format, out=out, labels=labels, probabilities=probabilities,
            name=name, level=level, label=label, unit=unit, max_faces=max_faces,
            separate=separate, blocks=blocks, overwrite=overwrite,
        )
    _refuse_set(of_objects, "a model")
    from fibseg.export.czann import CzannSettings
    from fibseg.export.terms import Terms
    from fibseg.pipeline.export_model import export_model

    return export_model(
        model, kind=format, out=out, volume=volume, name=name, overwrite=overwrite,
        terms=Terms(licence, authors or (), cite, doi),
        czann=CzannSettings(tile, czann_type, czann_version),
    )


def _refuse_set(values: Mapping[str, Any], what: str) -> None:
    """Nothing, if settings that do not belong to what is exported are left at their defaults.

    Raises
    ------
    UsageError
        For the first that is not: it would have no effect.
    """
    defaults = inspect.signature(run).parameters
    for key, value in values.items():
        if value != defaults[key].default:
            raise UsageError(
                f"{key}={value} has no meaning for the export of {what}. Leave it out; models and "
                "objects are exported by two commands."
            )
