"""Connected components of one array: the kernel that labels, holes and seams are made of."""

from __future__ import annotations

from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from fibseg.types import Labels


def connected(image: NDArray[Any], *, connectivity: int) -> tuple[Labels, int]:
    """Numbered components of what is not 0, and how many there are.

    Parameters
    ----------
    image
        Mask, or labels: voxels of different value belong to different components. Any shape,
        an empty one too.
    connectivity
        4 or 8 in a plane; 6, 18 or 26 in a volume.

    >>> connected(np.array([[1, 0, 1], [0, 0, 1]], dtype=bool), connectivity=8)
    (array([[1, 0, 2],
           [0, 0, 2]], dtype=uint32), 2)
    """
    if image.size == 0:
        return np.zeros(image.shape, dtype=np.uint32), 0
    # As bytes: cc3d 4.1.1 raises "maximum length exception" for boolean arrays of odd shape with
    # single voxels side by side, such as [True, False, True]. Bytes are as fast.
    bytewise = np.ascontiguousarray(image)
    if bytewise.dtype == bool:
        bytewise = bytewise.view(np.uint8)
    labels, n = cc3d.connected_components(
        bytewise, connectivity=connectivity, return_N=True, out_dtype=np.uint32
    )
    return labels, int(n)
