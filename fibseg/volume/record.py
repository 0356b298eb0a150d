"""What is recorded of a raw image and of a product before the first voxel is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike

from fibseg.errors import DataError, UsageError
from fibseg.types import Spacing
from fibseg.volume.files import checked_name
from fibseg.volume.layout import OmeVersion
from fibseg.volume.metadata import State

Polarity = Literal["dark", "bright"]
UNLABELLED = 0
BACKGROUND = 1
PREFIX = "annotation_"
RAW_TYPES = ("uint8", "uint16")
LABEL_TYPES = ("uint8", "uint16", "uint32", "uint64")


def spacing_of(values: Any) -> Spacing:
    """`values` as a spacing in nm, (z, y, x).

    Raises
    ------
    DataError
        If they are not three finite numbers above zero.
    """
    try:
        z, y, x = (float(v) for v in values)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"spacing {values!r} is not three numbers. Give nm as [z,y,x], e.g. [20,10,10]."
        ) from error
    if not all(math.isfinite(s) and s > 0 for s in (z, y, x)):
        raise DataError(f"spacing {(z, y, x)} nm: each of (z, y, x) must be above zero.")
    return z, y, x


def raw_state(
    *, shape: Sequence[int], dtype: DTypeLike, spacing: Spacing, polarity: str,
    intensity_range: tuple[float, float] | None, ome_version: str, inputs: str,
) -> State:
    """Record of a raw image still to be written, its values checked."""
    if len(shape) != 3 or min(shape) < 1:
        raise DataError(f"A volume of shape {tuple(shape)}. It needs voxels along z, y and x.")
    if np.dtype(dtype).name not in RAW_TYPES:
        raise DataError(
            f"A raw image of type {np.dtype(dtype)}. Convert it to uint8 or uint16: "
            "intensity_range=[low,high] says which values become 0 and the largest."
        )
    if polarity not in get_args(Polarity):
        raise UsageError(f"polarity {polarity!r}. Use 'dark' or 'bright': how stain looks.")
    if ome_version not in get_args(OmeVersion):
        raise UsageError(f"ome_version {ome_version!r}. Use '0.5' or '0.4'.")
    limits = None if intensity_range is None else [float(v) for v in intensity_range]
    return {
        "kind": "image", "complete": False, "inputs": inputs, "digest": "",
        "polarity": polarity, "intensity_range": limits, "ome_version": ome_version,
        "shape": [int(n) for n in shape], "dtype": np.dtype(dtype).name,
        "spacing": list(spacing_of(spacing)), "levels": [], "percentiles": {},
    }


def label_name(name: str, *, kind: str, dtype: DTypeLike) -> str:
    """Name in ``labels/`` of a new label image: that of an annotation begins with annotation_.

    Raises
    ------
    UsageError
        If name, kind or type cannot be.
    """
    if kind not in ("labels", "annotation"):
        raise UsageError(f"kind {kind!r} of {name}. Use 'labels' or 'annotation'.")
    if np.dtype(dtype).name not in LABEL_TYPES:
        raise UsageError(f"Type {np.dtype(dtype)} of labels {name}. Use one of {LABEL_TYPES}.")
    if kind == "annotation":
        name = PREFIX + name.removeprefix(PREFIX)
    elif name.startswith(PREFIX):
        raise UsageError(f"Labels cannot be called {name!r}: that is a name of annotations.")
    return checked_name(name, what="label image")
