"""Integers that may pass 64 bits, as columns: value = high · 2³² + low with 0 ≤ low < 2³².

The second moments of an object of 10¹² voxels at coordinates of 10⁵ are about 10²².
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fibseg.types import Table

_BITS = 32
_LOW = (1 << _BITS) - 1


def split(name: str, values: NDArray[Any]) -> Table:
    """Columns ``NAME_high`` and ``NAME_low``, int64, of int64 or of Python integers.

    >>> split("a", np.array([-1, 2**70], dtype=object))["a_high"].tolist()
    [-1, 274877906944]
    """
    return {
        f"{name}_high": (values >> _BITS).astype(np.int64),
        f"{name}_low": (values & _LOW).astype(np.int64),
    }


def carry(name: str, table: Table) -> None:
    """Move into ``NAME_high`` what passes 2³² in ``NAME_low`` after an addition, in place."""
    table[f"{name}_high"] += table[f"{name}_low"] >> _BITS
    table[f"{name}_low"] &= _LOW


def joined(name: str, table: Table) -> NDArray[np.object_]:
    """The values as Python integers."""
    high = table[f"{name}_high"].astype(object)
    return np.asarray((high << _BITS) + table[f"{name}_low"], dtype=object)
