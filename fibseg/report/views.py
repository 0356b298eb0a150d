"""Planes of the report: raw below, one transparent layer per kind of object above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.pictures import Color, error_layer, gray, label_layer, length_text, scale_bar_nm
from fibseg.report.encode import jpeg_uri, packed_numbers, png_uri

AXES = {"xy": (1, 2), "xz": (0, 2), "yz": (0, 1)}
"""Axes of the volume that are the rows and columns of a plane; yz lies on its side, z downwards."""

ALWAYS = "errors"
"""Name of a layer that cannot be switched off."""


@dataclass(frozen=True)
class Ids:
    """Which object lies in which pixel of a plane, so that the page can colour it anew.

    Parameters
    ----------
    kind
        Number of the kind of object.
    shape
        Rows and columns.
    labels
        `packed_numbers` of the labels in this plane, ascending, uint32.
    places
        `packed_numbers` of every pixel: 0 for none, else 1 + place in `labels`; uint16, or uint32
        where there are more labels than that.
    """

    kind: int
    shape: tuple[int, int]
    labels: str
    places: str


@dataclass(frozen=True)
class View:
    """One plane, ready for the page.

    Parameters
    ----------
    title, place
        Such as ``"XY"`` and ``"z = 88"``.
    base
        Data URI of the raw, or of a finished picture.
    layers
        Number of the kind of object (or `ALWAYS`) and data URI of its layer.
    aspect
        Physical width / height.
    bar_percent, bar_text
        Scale bar: share of the width, and its length in words.
    ids
        Objects by pixel, one for each numbered layer.
    """

    title: str
    place: str
    base: str
    layers: tuple[tuple[int | str, str], ...]
    aspect: float
    bar_percent: float
    bar_text: str
    ids: tuple[Ids, ...] = ()


@dataclass(frozen=True, eq=False)
class ObjectLayer:
    """One kind of object in a plane.

    Parameters
    ----------
    labels
        (rows, columns).
    color
        Of all objects; None for one per object.
    filled
        Whether more than the outline is coloured.
    """

    labels: NDArray[Any]
    color: Color | None = None
    filled: bool = True

    def picture(self) -> str:
        """Data URI of the layer as it stands while no column colours it."""
        alpha = 0.0 if not self.filled else 0.35 if self.color is None else 0.16
        return png_uri(label_layer(self.labels, color=self.color, alpha=alpha))


def plane_view(
    raw: NDArray[Any], layers: Sequence[ObjectLayer], *, title: str, place: str, low: float,
    high: float, invert: bool = False, spacing: tuple[float, float],
) -> View:
    """View of a plane with objects over it.

    Parameters
    ----------
    raw
        Intensities (rows, columns).
    layers
        Of the same shape.
    low, high
        Intensities shown black and white.
    invert
        Show dark as bright.
    spacing
        Distance of rows and of columns, nm.
    """
    base = gray(raw, low=low, high=high, invert=invert)
    pictures = tuple((i, layer.picture()) for i, layer in enumerate(layers))
    ids = tuple(object_ids(layer.labels, kind=i) for i, layer in enumerate(layers))
    return _view(
        base.shape, jpeg_uri(base), pictures, title=title, place=place, ids=ids, spacing=spacing
    )


def object_ids(labels: NDArray[Any], *, kind: int) -> Ids:
    """Objects of a label plane (rows, columns) by pixel."""
    values = np.asarray(labels).astype(np.uint32)
    there, places = np.unique(values, return_inverse=True)
    if not (there.size and there[0] == 0):
        places = places + 1  # every pixel lies in an object: leave 0 for none
    named = there[there > 0]
    dtype = np.uint16 if len(named) < 2**16 else np.uint32
    n_rows, n_columns = values.shape
    return Ids(
        kind, (n_rows, n_columns), packed_numbers(named), packed_numbers(places.astype(dtype))
    )


def error_view(
    raw: NDArray[Any], prediction: NDArray[Any], truth: NDArray[Any], *, title: str, place: str,
    low: float, high: float, invert: bool = False, scored: NDArray[np.bool_] | None = None,
    spacing: tuple[float, float],
) -> View:
    """View of a plane with what is right, invented and missed in it, hatched if not `scored`."""
    base = gray(raw, low=low, high=high, invert=invert)
    layer = png_uri(error_layer(prediction, truth, scored=scored))
    return _view(
        base.shape, jpeg_uri(base), ((ALWAYS, layer),), title=title, place=place, spacing=spacing
    )


def _view(
    shape: Sequence[int], base: str, layers: tuple[tuple[int | str, str], ...], *, title: str,
    place: str, ids: tuple[Ids, ...] = (), spacing: tuple[float, float],
) -> View:
    height_nm, width_nm = (n * s for n, s in zip(shape, spacing, strict=True))
    bar = scale_bar_nm(width_nm)
    return View(
        title=title, place=place, base=base, layers=layers,
        aspect=round(width_nm / height_nm, 4),
        bar_percent=round(100 * bar / width_nm, 2), bar_text=length_text(bar),
        ids=ids,
    )
