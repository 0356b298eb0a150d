"""CZANN of ZEN and arivis, 1.0 to 2.1: a zip of ``model.json`` and a graph, ``model.model``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fibseg.errors import DataError
from fibseg.export.foreign.archive import Archive
from fibseg.export.foreign.limits import FILE_BYTES, SIDE, TEXT_BYTES
from fibseg.export.foreign.model import ForeignModel, Side
from fibseg.export.foreign.onnx_model import UNIT, Told, read_model
from fibseg.export.foreign.text import read_json
from fibseg.export.schema import is_number

DESCRIPTION, GRAPH = "model.json", "model.model"
VERSIONS = ("1.0.0", "1.1.0", "2.0.0", "2.1.0")
SEMANTIC = ("SingleClassSemanticSegmentation", "MultiClassSemanticSegmentation", "Regression")
NEEDED = {"Id", "Type", "InputShape", "OutputShape"}
KNOWN = NEEDED | {"FormatVersion", "MinOverlap", "Classes", "ModelName", "Scaling"}
_REMEDY = "Have the model exported again, with czmodel or fibseg export."


def read_czann(archive: Archive, *, digest: str, stem: str) -> ForeignModel:
    """The model of a CZANN.

    Raises
    ------
    DataError
        If the archive or the graph is hostile, or the description breaks a rule of the format.
    """
    where = f"{DESCRIPTION} of {archive.path}"
    d = _described(read_json(archive.read(DESCRIPTION, most=TEXT_BYTES), where), where)
    height, width, channels = _shape(d["InputShape"], "InputShape", where)
    out = _shape(d["OutputShape"], "OutputShape", where)
    if out[:2] != (height, width):
        raise DataError(f"{where} tells results of {out} for images of {height} x {width} px.")
    told = Told(
        kind="czann", digest=digest, stem=stem, sides=(Side(height, 0), Side(width, 0)),
        margin=_margin(d.get("MinOverlap"), where), names=_classes(d, out[2], where),
        before=(UNIT,), probabilities=True, spacing=_spacing(d.get("Scaling"), where),
    )
    if channels != 1:
        raise DataError(
            f"{where} tells images of {channels} channels; fibseg gives one grey channel. Use a "
            "model of one channel."
        )
    return read_model(
        archive.read(GRAPH, most=FILE_BYTES), told, f"{GRAPH} of {archive.path}"
    )


def _described(data: Any, where: str) -> dict[str, Any]:
    """The description, its keys and words checked."""
    if not isinstance(data, Mapping) or not set(data) >= NEEDED or not set(data) <= KNOWN:
        keys = sorted(data) if isinstance(data, Mapping) else data
        raise DataError(
            f"{where} has {keys!r}; needed are {sorted(NEEDED)}, known are {sorted(KNOWN)}. "
            f"{_REMEDY}"
        )
    version = data.get("FormatVersion", VERSIONS[1])
    if version not in VERSIONS:
        raise DataError(
            f"{where} has FormatVersion {version!r}; read are {', '.join(VERSIONS)}. {_REMEDY}"
        )
    if data["Type"] not in SEMANTIC:
        raise DataError(
            f"{where} has the Type {data['Type']!r}; fibseg runs {', '.join(SEMANTIC)}."
        )
    if not isinstance(data["Id"], str) or not re.fullmatch(r"[0-9A-Za-z-]{1,64}", data["Id"]):
        raise DataError(f"{where} has the Id {data['Id']!r}, which is none. {_REMEDY}")
    return dict(data)


def _shape(value: Any, key: str, where: str) -> tuple[int, int, int]:
    """Height, width and channels."""
    if isinstance(value, list) and len(value) == 4:
        raise DataError(f"{where} has {key} {value}: it looks at boxes. Use a 2D model.")
    ok = isinstance(value, list) and len(value) == 3 and all(
        isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= SIDE for v in value
    )
    if not ok:
        raise DataError(
            f"{where} has {key} {value!r}, not [height, width, channels] of 1 to {SIDE}. {_REMEDY}"
        )
    return value[0], value[1], value[2]


def _margin(value: Any, where: str) -> tuple[int, int] | None:
    """Half of MinOverlap, which counts both neighbours; None where it is missing or says 0."""
    if value is None:
        return None
    ok = isinstance(value, list) and len(value) in (1, 2) and all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= SIDE for v in value
    )
    if not ok:
        raise DataError(
            f"{where} has MinOverlap {value!r}, not one or two whole numbers. {_REMEDY}"
        )
    return (-(-value[0] // 2), -(-value[-1] // 2)) if any(value) else None


def _classes(d: Mapping[str, Any], n: int, where: str) -> tuple[str, ...] | None:
    """Names of the channels, as many as there are."""
    value = d.get("Classes")
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != n or not all(
        isinstance(v, str) and 0 < len(v) <= 256 for v in value
    ):
        raise DataError(
            f"{where} has Classes {str(value)[:200]} for an OutputShape of {n} channels. {_REMEDY}"
        )
    return tuple(value)


def _spacing(value: Any, where: str) -> tuple[float | None, float, float] | None:
    """Scaling, metres of x, y and perhaps z, as nm (z, y, x)."""
    if value is None:
        return None
    ok = isinstance(value, list) and len(value) in (2, 3) and all(
        is_number(v) and 1e-11 < v < 1 for v in value
    )
    if not ok:
        raise DataError(f"{where} has Scaling {value!r}, not two or three in metres. {_REMEDY}")
    nm = [float(v) * 1e9 for v in value]
    return (nm[2] if len(nm) == 3 else None), nm[1], nm[0]
