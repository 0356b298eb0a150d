"""Whole volumes as one compressed TIFF that opens with its size in nm, written plane by plane."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.types import Shape, Spacing
from fibseg.volume.files import partial_path, room_for, sync_folder
from fibseg.volume.tiff import LARGEST_FILE, Planes

IMAGEJ, OME = "ImageJ", "OME"
_IMAGEJ_TYPES = ("uint8", "uint16")
_OME_TYPES = (*_IMAGEJ_TYPES, "uint32")
_ORIENTATION = (274, "H", 1, 1, True)
"""Top left, as ever; ImageJ takes a file with this tag for one whose pages it has to look up."""
_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def style_of(path: Path, *, shape: Shape, dtype: np.dtype[Any]) -> str:
    """How the size of a voxel is told in a TIFF: `IMAGEJ` or `OME`.

    The ImageJ way is read by Fiji itself and by most programs; but it knows no 32-bit integers and
    no more than 4 GB, and a name that ends in ``.ome.tif`` promises the other one. Fiji opens that
    with Bio-Formats, which is part of it.
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    plain = dtype.name in _IMAGEJ_TYPES and n_bytes <= LARGEST_FILE
    return IMAGEJ if plain and not path.name.lower().endswith((".ome.tif", ".ome.tiff")) else OME


def write_volume(
    path: Path, planes: Planes, *, shape: Shape, dtype: np.dtype[Any], note: str = "",
    spacing: Spacing,
) -> Path:
    """Write one TIFF of zlib pages, BigTIFF where it may get larger than 4 GB; returns its path.

    It has its name only when it is whole, and no time stamp: equal planes make equal bytes.

    Parameters
    ----------
    path
        A file; what stands there is replaced.
    planes
        Planes (y, x) in order, taken one by one.
    shape, dtype
        Of all of them together, (z, y, x): uint8, uint16 or uint32.
    note
        Words of ASCII to be kept in the description.
    spacing
        nm, (z, y, x).

    Raises
    ------
    UsageError
        If type, number or size of the planes is not as told.
    """
    if dtype.name not in _OME_TYPES or not all(shape):
        raise UsageError(f"{path}: a TIFF of {dtype} {shape}. Give {_OME_TYPES} and voxels.")
    style = style_of(path, shape=shape, dtype=dtype)
    partial = partial_path(path)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    iterator = iter(planes)
    try:
        with room_for(path, n_bytes), partial.open("w+b") as file:
            with tifffile.TiffWriter(
                file, imagej=style == IMAGEJ, bigtiff=style == OME and n_bytes > LARGEST_FILE,
                ome=False,
            ) as tiff:
                tiff.write(
                    _checked(iterator, shape, dtype, path), shape=shape, dtype=dtype,
                    compression="zlib", photometric="minisblack", extratags=[_ORIENTATION],
                    **_described(style, path.name, shape, dtype, note, spacing),
                )
            if next(iterator, None) is not None:
                raise UsageError(f"{path} got more than its {shape[0]} planes.")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    return path


def _described(
    style: str, name: str, shape: Shape, dtype: np.dtype[Any], note: str, spacing: Spacing
) -> dict[str, Any]:
    """What `tifffile` is told of the size of a voxel."""
    z, y, x = spacing
    if style == IMAGEJ:
        told: dict[str, Any] = {"axes": "ZYX", "unit": "nm", "spacing": float(z)}
        return {
            "resolution": (1 / x, 1 / y), "resolutionunit": 1,
            "metadata": {**told, "fibseg": note} if note else told,
        }
    return {
        "resolution": (1e7 / x, 1e7 / y), "resolutionunit": "CENTIMETER", "metadata": None,
        "description": ome_xml(name, shape=shape, dtype=dtype, note=note, spacing=spacing),
        "software": False,
    }


def ome_xml(
    name: str, *, shape: Shape, dtype: np.dtype[Any], note: str = "", spacing: Spacing
) -> str:
    """OME-XML of one volume of one channel, without the usual random number: equal each time.

    Parameters
    ----------
    name
        Of the image.
    shape, dtype
        (z, y, x) and type.
    note
        Kept as the description.
    spacing
        nm, (z, y, x).
    """
    z, y, x = shape
    sizes = "".join(
        f' PhysicalSize{axis}="{float(s)!r}" PhysicalSize{axis}Unit="nm"'
        for axis, s in zip("ZYX", spacing, strict=True)
    )
    description = f"<Description>{note}</Description>" if note else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{_NAMESPACE}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="{_NAMESPACE} {_NAMESPACE}/ome.xsd" Creator="fibseg">'
        f'<Image ID="Image:0" Name={quoteattr(name.encode("ascii", "replace").decode())}>'
        f'{description}<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="{dtype.name}" '
        f'SizeX="{x}" SizeY="{y}" SizeZ="{z}" SizeC="1" SizeT="1"{sizes}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="{z}"/></Pixels></Image></OME>'
    )


def _checked(
    planes: Iterator[NDArray[Any]], shape: Shape, dtype: np.dtype[Any], path: Path
) -> Iterator[NDArray[Any]]:
    """All planes, each checked to be what was told, and as many as were told."""
    n = 0
    for plane in planes:
        if plane.shape != shape[1:] or plane.dtype != dtype:
            raise UsageError(
                f"Plane {n} of {path} is {plane.dtype} {plane.shape}; {shape[0]} planes of "
                f"{dtype} {shape[1:]} were to come."
            )
        yield np.ascontiguousarray(plane)
        n += 1
    if n < shape[0]:
        raise UsageError(f"{path} got {n} of its {shape[0]} planes.")
