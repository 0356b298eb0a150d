"""bioimage.io models, format 0.5: a zip of ``rdf.yaml`` and files, of which only ONNX is taken.

Weights of other kinds can run code when they are loaded; they are never opened.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from fibseg.errors import DataError
from fibseg.export.foreign.archive import Archive
from fibseg.export.foreign.axes import Axes, read_axes
from fibseg.export.foreign.limits import FILE_BYTES, TEXT_BYTES
from fibseg.export.foreign.model import ForeignModel
from fibseg.export.foreign.onnx_model import Told, read_model
from fibseg.export.foreign.steps import read_steps
from fibseg.export.foreign.text import read_yaml
from fibseg.export.schema import plain

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")
_USED = ("inputs", "outputs", "weights")
_REMEDY = "Have the model packed again in the format 0.5 of bioimage.io."


def description_in(archive: Archive) -> str | None:
    """Name of the description in an archive, if it has one."""
    return next((name for name in DESCRIPTIONS if name in archive.names), None)


def read_bioimage(archive: Archive, *, digest: str, stem: str) -> ForeignModel:
    """The model of a bioimage.io package.

    Raises
    ------
    DataError
        If the archive or the graph is hostile, the description breaks a rule of the format, or
        asks for something that fibseg does not do.
    """
    name = description_in(archive) or DESCRIPTIONS[0]
    where = f"{name} of {archive.path}"
    d = _described(read_yaml(archive.read(name, most=TEXT_BYTES), where), where)
    image, result = (_only_one(d[key], f"{key} of {where}") for key in ("inputs", "outputs"))
    axes = read_axes(image.get("axes"), f"the input of {where}")
    out = read_axes(result.get("axes"), f"the output of {where}")
    _check_alike(image, axes, out, where)
    graph, file = _graph(archive, d["weights"], where)
    told = Told(
        kind="bioimageio", digest=digest, stem=stem, layout=axes.layout, result_layout=out.layout,
        sides=axes.sides, margin=out.halo, square=axes.square, names=out.channels,
        before=read_steps(image.get("preprocessing"), f"preprocessing of {where}", before=True),
        after=read_steps(result.get("postprocessing"), f"postprocessing of {where}", before=False),
        probabilities=_between_0_and_1(result.get("data")), spacing=axes.spacing,
    )
    return read_model(graph, told, f"{file} of {archive.path}")


def _described(data: Any, where: str) -> dict[str, Any]:
    """The description, if it is one of a model in a version that is read; what is used is plain."""
    if not isinstance(data, Mapping) or data.get("type") != "model":
        raise DataError(f"{where} does not describe a model. {_REMEDY}")
    version = data.get("format_version")
    if not isinstance(version, str) or not re.fullmatch(r"0\.5\.\d{1,4}", version):
        raise DataError(f"{where} has format_version {version!r}; 0.5 is read. {_REMEDY}")
    missing = [key for key in _USED if key not in data]
    if missing:
        raise DataError(f"{where} lacks {', '.join(missing)}. {_REMEDY}")
    for key in _USED:
        plain(data[key], f"{key} of {where}")
    return dict(data)


def _only_one(value: Any, where: str) -> dict[str, Any]:
    """The tensor, if there is one only."""
    if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], Mapping):
        n = len(value) if isinstance(value, list) else "no list of"
        raise DataError(f"{where}: {n} tensors; fibseg gives one image and takes one result.")
    return dict(value[0])


def _check_alike(image: Mapping[str, Any], axes: Axes, out: Axes, where: str) -> None:
    """Refuse results that are not on the pixels of the image."""
    for axis in "yx":
        source = out.references.get(axis)
        if source is not None and source != (image.get("id"), axes.ids[axis]):
            raise DataError(
                f"{where}: the size of the output's {axis} follows {source}, not the same axis of "
                f"the input. {_REMEDY}"
            )
    if out.offset or out.scales != axes.scales:
        raise DataError(
            f"{where}: results have other pixels than images (scale {out.scales} for "
            f"{axes.scales}, offset {out.offset}). Use a model that gives each pixel a value."
        )


def _graph(archive: Archive, weights: Any, where: str) -> tuple[bytes, str]:
    """The ONNX file, its digest compared, and its name."""
    if not isinstance(weights, Mapping) or "onnx" not in weights:
        found = sorted(weights) if isinstance(weights, Mapping) else weights
        raise DataError(
            f"{where} has weights of the kinds {found}, which are not opened: loading them can run "
            "code. Use a package with ONNX weights; bioimageio.core can convert it where you "
            "trust it."
        )
    entry = weights["onnx"]
    source = entry.get("source") if isinstance(entry, Mapping) else None
    if not isinstance(source, str) or "://" in source:
        raise DataError(
            f"{where} has its ONNX weights at {source!r}, not in the package; nothing is "
            "downloaded. Download the whole package."
        )
    if entry.get("external_data") is not None:
        raise DataError(f"{where} keeps ONNX weights in a second file. {_REMEDY}")
    name = source.removeprefix("./")
    data = archive.read(name, most=FILE_BYTES)
    told, found = entry.get("sha256"), hashlib.sha256(data).hexdigest()
    if told is not None and told != found:
        raise DataError(
            f"{name} of {archive.path} has the SHA-256 {found}, its description tells {told}: it "
            "was changed or damaged. Copy the package again."
        )
    return data, name


def _between_0_and_1(data: Any) -> bool:
    """Whether the result is told to be within 0 and 1."""
    described = data[0] if isinstance(data, list) and data else data
    found = described.get("range") if isinstance(described, Mapping) else None
    return isinstance(found, list) and found == [0, 1]
