"""TIFF files that open in Fiji with their size in nm, written plane by plane."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from fibseg.errors import UsageError
from fibseg.types import Spacing

FIJI_TYPES = ("uint8", "uint16", "float32")
LARGEST_FILE = 4 * 10**9
Planes = Iterable[NDArray[Any]]


def write_tiff(
    path: str | Path, planes: Planes, *, n_planes: int | None = None, spacing: Spacing
) -> Path:
    """Write one multi-page TIFF; returns its path.

    Parameters
    ----------
    planes
        An array (z, y, x) or any iterable of equal planes (y, x): uint8, uint16 or float32.
    n_planes
        How many there are, where `planes` has no length.
    spacing
        nm, (z, y, x), written the way ImageJ does.

    Raises
    ------
    UsageError
        If Fiji could not open the file: wrong type, more than 4 GB, no or unequal planes.
    """
    n_planes = len(planes) if n_planes is None and isinstance(planes, Sized) else n_planes
    if not n_planes:
        raise UsageError(f"No planes to write to {path}, or n_planes is missing.")
    iterator = iter(planes)
    first = np.asarray(next(iterator))
    _check_type(first, path)
    if n_planes * first.nbytes > LARGEST_FILE:
        raise UsageError(
            f"{path} would have {n_planes * first.nbytes / 1e9:.1f} GB; Fiji opens 4 GB. "
            "Write a folder of planes instead (write_tiff_stack)."
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, _alike(first, iterator, path), shape=(n_planes, *first.shape), dtype=first.dtype,
        **_fiji(spacing, axes="ZYX"),
    )
    return path


def write_tiff_stack(
    folder: str | Path, planes: Planes, *, name: str = "plane", spacing: Spacing
) -> list[Path]:
    """Write one TIFF per plane, ``folder/NAME_0000.tif`` …; returns their paths.

    Parameters
    ----------
    planes
        An array (z, y, x) or any iterable of equal planes (y, x): uint8, uint16 or float32.
    spacing
        nm, (z, y, x), written the way ImageJ does.

    Raises
    ------
    UsageError
        If Fiji could not open the files: wrong type, unequal planes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    iterator = iter(planes)
    paths: list[Path] = []
    for plane in _alike(np.asarray(next(iterator)), iterator, folder):
        _check_type(plane, folder)
        paths.append(folder / f"{name}_{len(paths):04d}.tif")
        tifffile.imwrite(paths[-1], plane, **_fiji(spacing, axes="YX"))
    return paths


def plane_bytes(
    plane: NDArray[Any], *, colors: Sequence[Sequence[int]] | None = None, spacing: Spacing
) -> bytes:
    """A TIFF of one plane (y, x), uint8, uint16 or float32, equal for equal planes.

    Parameters
    ----------
    colors
        How Fiji shows the values 0, 1, 2 … of a mask, red, green and blue; gray if left out.
    spacing
        nm, (z, y, x), written the way ImageJ does.

    Raises
    ------
    UsageError
        If Fiji could not open the file.
    """
    _check_type(plane, "The plane")
    written = _fiji(spacing, axes="YX")
    if colors is not None:
        table = np.zeros((3, 256), np.uint8)
        table[:, : len(colors)] = np.array(colors, np.uint8).T
        written["metadata"] |= {"LUTs": [table], "mode": "color"}
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.ascontiguousarray(plane), compression=None, **written)
    return buffer.getvalue()


def _fiji(spacing: Spacing, *, axes: str) -> dict[str, Any]:
    """What ImageJ writes: pixels per unit as resolution, the unit and plane distance as text."""
    z, y, x = spacing
    return {
        "imagej": True, "resolution": (1 / x, 1 / y), "resolutionunit": 1,
        "metadata": {"axes": axes, "unit": "nm", "spacing": float(z)},
    }


def _alike(
    first: NDArray[Any], rest: Iterator[NDArray[Any]], path: Path
) -> Iterator[NDArray[Any]]:
    """All planes, each checked to be like the first."""
    for number, plane in enumerate(chain([first], rest)):
        array = np.ascontiguousarray(plane)
        if array.ndim != 2 or array.shape != first.shape or array.dtype != first.dtype:
            raise UsageError(
                f"Plane {number} of {path} is {array.dtype} {array.shape}, the first one "
                f"{first.dtype} {first.shape}. All planes (y, x) of a TIFF must be alike."
            )
        yield array


def _check_type(plane: NDArray[Any], path: str | Path) -> None:
    if plane.dtype.name not in FIJI_TYPES:
        raise UsageError(
            f"{path}: Fiji cannot open {plane.dtype}. Convert it to one of {FIJI_TYPES}."
        )
