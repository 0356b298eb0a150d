"""The words that every signature of fibseg is written in. Axis order is always (z, y, x)."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Spacing: TypeAlias = tuple[float, float, float]
"""Size of one voxel in nm, (z, y, x)."""

Shape: TypeAlias = tuple[int, int, int]
"""Number of voxels, (z, y, x)."""

Image: TypeAlias = NDArray[Any]
"""Intensities, shape (z, y, x); uint8, uint16 or a float type."""

Labels: TypeAlias = NDArray[Any]
"""Numbered objects, unsigned integers, 0 = none; shape (z, y, x)."""

Mask: TypeAlias = NDArray[np.bool_]
"""True inside, shape (z, y, x)."""

Probs: TypeAlias = NDArray[np.float32]
"""Probabilities 0 to 1."""

Table: TypeAlias = dict[str, NDArray[Any]]
"""Columns of equal length, one row per object; missing is NaN."""
